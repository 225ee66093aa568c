"""When Manage is told that images have failed, and what."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from images.answers import Answer, Outcome
from images.failure_reports import apply_report_answer, claim_report, queue_reports
from images.manage_api import ManageApi
from images.models import FailureReport, ReceivedImage
from nonprod.models import ManageFailure
from tests.images.waiting import KnownItems, known_to_manage, waiting_image

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("items")]

State, Reason = ReceivedImage.State, ReceivedImage.Reason
NOW = timezone.now()
DELAY = timedelta(seconds=121)


@pytest.fixture
def item(items: KnownItems) -> Any:
    return items.add(action_id="A")


def failed(item: Any, reason: str = Reason.NO_COPY, **values: Any) -> ReceivedImage:
    """Add an image that has failed."""
    defaults = {"state": State.FAILED, "action_id": item.action_id, "received_at": NOW, "next_attempt_at": None}
    return waiting_image(item, reason=reason, **{**defaults, **values})


def due_report(now: Any = NOW + DELAY) -> FailureReport | None:
    """Queue what is to be queued, and claim a report."""
    queue_reports(now)
    return claim_report(now)


class TestWhen:
    def test_when_the_images_have_come_to_rest(self, item: Any) -> None:
        failed(item)
        assert due_report(NOW + timedelta(seconds=60)) is None
        assert due_report()

    def test_not_while_another_image_of_the_action_waits(self, item: Any) -> None:
        failed(item)
        other = waiting_image(item, received_at=NOW)
        assert due_report() is None
        ReceivedImage.objects.filter(pk=other.pk).update(state=State.UPLOADED)
        assert due_report(NOW + 2 * DELAY)

    def test_not_when_another_has_just_come(self, item: Any) -> None:
        failed(item)
        waiting_image(item, state=State.UPLOADED, received_at=NOW + DELAY - timedelta(seconds=5))
        assert due_report() is None

    def test_another_womans_images_do_not_delay_it(self, items: KnownItems, item: Any) -> None:
        failed(item)
        waiting_image(items.add(), received_at=NOW + DELAY)
        assert due_report()

    def test_once_for_each_action(self, item: Any) -> None:
        failed(item)
        failed(item)
        report = due_report()
        assert report
        apply_report_answer(report, Answer(Outcome.TAKEN, 200), NOW + DELAY)
        assert due_report(NOW + 2 * DELAY) is None
        assert FailureReport.objects.get().delivered_at

    def test_also_for_an_image_that_failed_before_it_came_into_the_queue(self, item: Any) -> None:
        failed(item, action_id="")
        report = due_report()
        assert report
        assert report.action_id == "A"

    def test_it_is_withdrawn_when_a_person_has_the_image_sent_again(self, item: Any) -> None:
        image = failed(item)
        queue_reports(NOW)
        ReceivedImage.objects.filter(pk=image.pk).update(state=State.WAITING)
        queue_reports(NOW)
        assert not FailureReport.objects.exists()

    @pytest.mark.parametrize("reason", [Reason.DAY_OVER, Reason.REFUSED, Reason.FILE_LOST, Reason.LONG_PATIENT_ID])
    def test_for_each_reason(self, item: Any, reason: str) -> None:
        failed(item, reason)
        assert due_report()


class TestWhat:
    def test_how_many_and_why_and_nothing_of_the_patient(self, item: Any) -> None:
        failed(item)
        failed(item, Reason.REFUSED)
        failed(item, Reason.REFUSED)
        waiting_image(item, state=State.UPLOADED, action_id="A", received_at=NOW)
        report = due_report()
        assert report
        assert report.sentence == (
            "Screening gateway: 3 not sent, 1 sent. "
            "Why: no copy for Manage could be made of it (1); Manage refused it (2)"
        )


class TestAnswers:
    @pytest.mark.parametrize("status", [403, 404])
    def test_a_refusal_is_final(self, item: Any, status: int) -> None:
        failed(item)
        report = due_report()
        assert report
        apply_report_answer(report, Answer(Outcome.NEVER, status, "why"), NOW)
        assert due_report(NOW + 2 * DELAY) is None
        stored = FailureReport.objects.get()
        assert (stored.delivered_at, stored.last_status, stored.next_attempt_at) == (None, status, None)

    def test_anything_else_is_tried_again(self, item: Any) -> None:
        failed(item)
        report = due_report()
        assert report
        apply_report_answer(report, Answer(Outcome.UNKNOWN, 500, "why"), NOW + DELAY)
        assert due_report(NOW + DELAY) is None
        assert due_report(NOW + 2 * DELAY)

    @pytest.mark.django_db(transaction=True)
    def test_manage_shows_the_sentence(self, manage: ManageApi, item: Any) -> None:
        known_to_manage(item)
        failed(item)
        report = due_report()
        assert report
        apply_report_answer(report, manage.report_failure(report.action_id, report.sentence), NOW)
        assert ManageFailure.objects.get(action_id="A").error == report.sentence
