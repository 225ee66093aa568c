"""The admin's landing page and timelines: what is on them, for whom, and where they lead."""

import re
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from dashboard.admin_index import MOST, concerns
from dicom.models import Modality
from relay.models import ReceivedAction
from tests.dashboard.gatherings import everything_runs
from tests.factories import WorklistItemFactory, item_of_an_action
from tests.users import client_of, page
from tests.worklist.performed_step import reports
from worklist.models import Delivery, ItemAlarm, WorklistItem, WorklistQuery

pytestmark = pytest.mark.django_db

INDEX = reverse("admin:index")


@pytest.fixture
def support() -> Client:
    """Somebody of the group that sees no patient data."""
    return client_of("support")


def failed(number: int = 1, **values: object) -> ReceivedAction:
    """An action that was refused."""
    given = {
        "action_id": f"action-{number}",
        "action_type": "worklist.update_status",
        "accession_number": "ACC1",
        "outcome": "not_found",
        "received_at": timezone.now(),
        "payload": "{}",
        "reply": '{"status":"error","code":"not_found"}',
        **values,
    }
    return ReceivedAction.objects.create(**given)


def unshowable() -> WorklistItem:
    """A woman of today who is missing on a list."""
    item = WorklistItemFactory.create(accession_number="ACC7", scheduled_date=timezone.localdate())
    ItemAlarm.objects.add({item.pk: "PatientAddress"}, timezone.now())
    return item


def asked_by(ae_title: str) -> None:
    """A machine has asked."""
    WorklistQuery.objects.create(asked_at=timezone.now(), calling_ae_title=ae_title, correlation_id="c1")


def titles(user: str) -> list[str]:
    """The kinds that somebody is told of, without the processes, of which none runs here."""
    found = concerns(User.objects.get(username=user), timezone.now())
    return [concern.title for concern in found if concern.title != "Processes"]


class TestTheLandingPage:
    @pytest.mark.parametrize("group", ["support", "clinic"])
    def test_has_every_kind_with_the_latest_and_a_way_to_all(self, group: str) -> None:
        item = WorklistItemFactory.create(accession_number="ACC1")
        reports.create_step("2.25.1", reports.scheduled_step(item), PatientID="9990000099")
        reports.create_step("2.25.2")
        failed()
        unshowable()
        asked_by("STRANGER")
        client = client_of(group)
        text = page(client, INDEX)
        for title in (
            "Wrong patient",
            "Missing on the machines",
            "Failed actions of the past 7 days",
            "MPPS exceptions",
            "Unknown AE titles",
            "Processes",
        ):
            assert title in text, title
        assert "STRANGER" in text
        assert "ACC7: PatientAddress" in text
        links = {unescape(link) for link in re.findall(r'href="(/admin/[^"]*)"', text)}
        assert [link for link in links if client.get(link, follow=True).status_code != 200] == []

    def test_says_that_nothing_does(self, support: Client) -> None:
        everything_runs()
        assert "Nothing needs attention" in page(support, INDEX)

    def test_counts_no_further_than_it_tells(self, support: Client) -> None:
        for number in range(MOST + 1):
            failed(number)
        assert f">{MOST}+<" in page(support, INDEX)

    def test_leaves_out_what_is_done_known_or_long_ago(self, support: Client) -> None:
        failed(1, received_at=timezone.now() - timedelta(days=8))
        failed(2, outcome="created")
        Modality.objects.create(ae_title="MAMMO1")
        asked_by("MAMMO1")
        WorklistItem.objects.filter(pk=unshowable().pk).update(status="COMPLETED")
        assert titles("support") == []

    def test_tells_nobody_what_they_may_not_see(self, client: Client) -> None:
        failed()
        unshowable()
        client.force_login(User.objects.create_user("nobody", is_staff=True))
        text = page(client, INDEX)
        assert titles("nobody") == []
        assert "ACC7" not in text
        assert 'name="accession_number"' not in text

    def test_finds_an_item_by_its_number(self, support: Client) -> None:
        item = unshowable()
        assert 'name="accession_number"' in page(support, INDEX)
        response = support.get(reverse("admin:worklist_worklistitem_changelist"), {"accession_number": "ACC7"})
        assert response.headers["Location"] == reverse("admin:worklist_worklistitem_change", args=[item.pk])

    def test_costs_the_same_however_many_there_are(
        self, support: Client, django_assert_max_num_queries: object
    ) -> None:
        for number in range(20):
            failed(number)
            asked_by(f"STRANGER{number}")
        with django_assert_max_num_queries(30):  # type: ignore[operator]
            page(support, INDEX)


class TestATimeline:
    @pytest.mark.parametrize("group", ["support", "clinic"])
    def test_has_all_of_an_item_one_click_from_the_action_and_the_item(self, group: str) -> None:
        item = item_of_an_action(accession_number="ACC1", participant__name="SMITH^JANE")
        action = failed()
        Delivery.objects.add([item.pk], "MAMMO1", timezone.now())
        reports.create_step("2.25.1", reports.scheduled_step(item))
        client = client_of(group)
        of_item, of_action = (
            reverse(f"{name}-timeline", args=[record.pk]) for name, record in (("item", item), ("action", action))
        )
        assert of_item in page(client, reverse("admin:worklist_worklistitem_change", args=[item.pk]))
        assert of_action in page(client, reverse("admin:relay_receivedaction_change", args=[action.pk]))
        for text in (page(client, of_item), page(client, of_action)):
            told = ("not_found", "Item made by", "First shown to MAMMO1", "MPPS started", "MAMMO1</td>", "IN PROGRESS")
            assert [each for each in told if each not in text] == []
            assert "SMITH" not in text

    def test_of_an_action_without_an_item_has_what_came_and_what_was_answered(self, support: Client) -> None:
        text = page(support, reverse("action-timeline", args=[failed().pk]))
        assert "answered: not_found" in text

    def test_is_on_the_clinics_clock(self, support: Client) -> None:
        summer = timezone.now().replace(year=2026, month=7, day=1, hour=10, minute=11, second=12)
        assert "11:11:12" in page(support, reverse("action-timeline", args=[failed(received_at=summer).pk]))

    @pytest.mark.parametrize("name", ["item", "action"])
    def test_of_nothing_is_not_found(self, support: Client, name: str) -> None:
        nobody = "00000000-0000-0000-0000-000000000000"
        assert support.get(reverse(f"{name}-timeline", args=[nobody])).status_code == 404

    def test_is_for_those_who_may_see_all_that_it_is_made_of(self, client: Client) -> None:
        address = reverse("action-timeline", args=[failed().pk])
        assert client.get(address).status_code == 302
        client.force_login(User.objects.create_user("nobody", is_staff=True))
        assert client.get(address).status_code == 403
