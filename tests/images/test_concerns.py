"""What needs attention among the images."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from core.concerns import Concern, Severity, open_concerns
from images.concerns import CONCERNS
from images.models import ReceivedImage
from images.spool import spool
from tests.images.received import stored

pytestmark = [pytest.mark.django_db, pytest.mark.once]

State, Reason = ReceivedImage.State, ReceivedImage.Reason
Find = Callable[[datetime], Iterable[Concern]]


@pytest.fixture(autouse=True)
def _spool(settings: Any, tmp_path: Path) -> None:
    settings.IMAGE_SPOOL_DIR, settings.IMAGE_MIN_FREE_BYTES = tmp_path, 0


def found() -> dict[str, tuple[Severity, str]]:
    """Return the severity and the title of each concern about images, by key."""
    now = timezone.now()
    concerns = [each for find in CONCERNS for each in find(now) if each.count]
    return {each.key: (each.severity, each.title) for each in concerns}


def ago(**time: float) -> datetime:
    """Return when that was."""
    return timezone.now() - timedelta(**time)


class TestConcerns:
    def test_are_none_without_images_and_with_those_that_are_on_their_way(self) -> None:
        stored()
        stored(state=State.UPLOADED)
        stored(state=State.NOT_SENT, reason=Reason.NO_ACTION, is_test=True)
        assert found() == {}

    def test_tell_of_a_womans_images_that_no_action_takes_to_manage(self) -> None:
        stored(state=State.NOT_SENT, reason=Reason.NO_ACTION)
        assert found()["images_of_no_action"][0] == Severity.WARNING

    def test_are_registered(self) -> None:
        stored(state=State.UNLINKED)
        assert "images_unlinked" in {each.key for each in open_concerns(timezone.now())}

    @pytest.mark.parametrize("reason", [Reason.ANOTHER_PATIENT, Reason.SEVERAL_ITEMS, Reason.TEST_MACHINE])
    def test_are_a_problem_where_an_image_may_be_another_womans(self, reason: str) -> None:
        stored(state=State.HELD, reason=reason, item_accession_number="ACC1")
        assert found()["image_another_patient"][0] == Severity.PROBLEM

    def test_tell_of_images_that_wait_for_a_decision_since_their_item_was_put_back(self) -> None:
        stored(state=State.HELD, reason=Reason.PUT_BACK, item_accession_number="ACC1")
        assert found()["images_put_back"][0] == Severity.WARNING

    def test_name_the_number_only_to_those_who_may_see_it(self) -> None:
        stored(state=State.HELD, reason=Reason.ANOTHER_PATIENT, item_accession_number="ACC1")
        (concern,) = [each for each in open_concerns(timezone.now()) if each.key == "image_another_patient"]
        (line,) = concern.lines()
        assert ("ACC1" in line.words, "ACC1" in line.words_without_number) == (True, False)

    def test_are_a_warning_where_an_image_belongs_to_no_item(self) -> None:
        stored(state=State.UNLINKED)
        assert found() == {"images_unlinked": (Severity.WARNING, "1 image without an item on the worklist")}

    def test_announce_the_day_before_an_image_of_no_item_is_deleted(self) -> None:
        stored(state=State.UNLINKED, received_at=ago(days=6, hours=1))
        title = "1 image without an item, to be deleted within a day"
        assert found() == {"images_deleted_soon": (Severity.WARNING, title)}

    def test_count_the_images_that_manage_does_not_get_by_reason(self) -> None:
        stored(state=State.FAILED, reason=Reason.REFUSED)
        stored(state=State.FAILED, reason=Reason.REFUSED)
        assert found() == {"images_failed": (Severity.PROBLEM, "2 images did not reach Manage (Manage refused it)")}

    def test_name_the_day_that_ended_too_early(self) -> None:
        stored(state=State.FAILED, reason=Reason.DAY_OVER, received_at=ago(days=1))
        yesterday = timezone.localtime(ago(days=1))
        assert f"1 image of {yesterday.day} {yesterday:%B} had" in found()["images_day_over"][1]

    @pytest.mark.parametrize("state", [State.FAILED, State.HELD])
    def test_tell_a_day_before_files_are_deleted_that_somebody_might_want(self, state: str) -> None:
        values: Any = {"state": state, "reason": Reason.ANOTHER_VERSION, "file": "image.dcm"}
        stored(**values, received_at=ago(days=5, hours=23))
        assert "failed_images_deleted_soon" not in found()
        ReceivedImage.objects.update(received_at=ago(days=6, minutes=1))
        assert found()["failed_images_deleted_soon"] == (
            Severity.WARNING,
            "1 image that Manage may not have, to be deleted within a day",
        )

    def test_end_when_the_files_are_deleted(self) -> None:
        stored(state=State.FAILED, reason=Reason.REFUSED, deleted_at=timezone.now())
        assert found() == {}

    def test_leave_out_test_images(self) -> None:
        stored(state=State.FAILED, reason=Reason.REFUSED, is_test=True)
        assert found() == {}

    @pytest.mark.parametrize(
        ("minutes", "severity", "words"), [(11, Severity.WARNING, "10 minutes"), (61, Severity.PROBLEM, "an hour")]
    )
    def test_get_worse_while_an_image_waits(self, minutes: int, severity: Severity, words: str) -> None:
        stored(received_at=ago(minutes=minutes))
        assert found() == {"images_waiting": (severity, f"1 image waiting for Manage for more than {words}")}

    def test_tell_at_once_that_manage_does_not_accept_the_gateway(self) -> None:
        stored(last_status=403)
        assert found() == {"images_not_accepted": (Severity.WARNING, "1 image not accepted by Manage at present")}

    def test_warn_of_a_disk_that_gets_full(self, settings: Any) -> None:
        free = spool().free_bytes()
        settings.IMAGE_MIN_FREE_BYTES = free * 3 // 4
        assert found()["image_disk"][0] == Severity.WARNING
        settings.IMAGE_MIN_FREE_BYTES = free * 2
        assert found()["image_disk"][0] == Severity.PROBLEM
