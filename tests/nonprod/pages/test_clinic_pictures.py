"""The clinic shows the pictures that Manage makes of the gateway's copies."""

import json

import pytest

from nonprod.models import ManageFailure, ManageImage
from nonprod.pages.appointments import appointments_of_today
from tests.nonprod.pages.conftest import Browser

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("gateway_stopped"), pytest.mark.once]

JPEG = b"\xff\xd8\xff\xe0 a picture"


def image(action_id: str, laterality: str, view_position: str, picture: bytes = JPEG) -> ManageImage:
    uid = f"1.2.{ManageImage.objects.count() + 1}"
    return ManageImage.objects.create(
        action_id=action_id,
        study_instance_uid="1.2",
        series_instance_uid=uid,
        sop_instance_uid=uid,
        laterality=laterality,
        view_position=view_position,
        picture=picture,
    )


@pytest.fixture
def action_id() -> str:
    """Send an action for the first appointment; return its id."""
    first = appointments_of_today()[0]
    first.action, first.reply = {"action_id": "a1"}, {"status": "created"}
    first.save()
    return "a1"


class TestPictures:
    def test_each_image_of_the_action_is_in_its_row_in_the_order_of_the_views(
        self, browser: Browser, action_id: str
    ) -> None:
        for laterality, view in (("L", "MLO"), ("R", "MLO"), ("L", "CC"), ("R", "CC")):
            image(action_id, laterality, view)
        image("another", "R", "CC")
        shown = browser.clinic()
        assert [part[:7].partition('"')[0] for part in shown.split('alt="')[1:]] == ["R CC", "L CC", "R MLO", "L MLO"]

    def test_a_picture_is_the_jpeg_that_manage_made(self, browser: Browser, action_id: str) -> None:
        kept = image(action_id, "R", "CC")
        response = browser.client.get(f"/nonprod/clinic/pictures/{kept.pk}")
        assert (response.content, response["Content-Type"]) == (JPEG, "image/jpeg")

    def test_an_image_that_manage_could_not_decode_has_no_picture(self, browser: Browser, action_id: str) -> None:
        kept = image(action_id, "R", "CC", picture=b"")
        assert "<img" not in browser.clinic()
        assert browser.client.get(f"/nonprod/clinic/pictures/{kept.pk}").status_code == 404

    def test_a_failure_report_is_shown_as_manage_shows_it(self, browser: Browser, action_id: str) -> None:
        ManageFailure.objects.create(action_id=action_id, error="Screening gateway: 1 not sent, 3 sent")
        assert "1 not sent, 3 sent" in browser.clinic()

    def test_the_appointments_page_shows_them_large(self, browser: Browser, action_id: str) -> None:
        image(action_id, "R", "CC")
        shown = browser.client.get(f"/nonprod/clinic/{appointments_of_today()[0].pk}").content.decode()
        assert 'alt="Mammogram R CC"' in shown
        assert json.dumps({"action_id": "a1"}, indent=2).replace('"', "&quot;") in shown
