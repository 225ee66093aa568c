"""Who sends which image next, under which action, and what becomes of it."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.database import borrowed_connection
from core.large_tables import midnight
from images.answers import Answer, Outcome
from images.decisions import discard
from images.items import Action
from images.models import FailureReport, ReceivedImage
from images.queue import (
    LEASE,
    apply_answer,
    claim_image,
    ready_to_send,
    renew,
    retry_at,
    settle,
)
from tests.images.waiting import KnownItems, waiting_image

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("items")]

State, Reason = ReceivedImage.State, ReceivedImage.Reason
NOW = timezone.make_aware(datetime(2026, 11, 23, 10, 0))
TODAY = NOW.date()
TAKEN = Answer(Outcome.TAKEN, 201)
NOT_IN_PROGRESS = Answer(Outcome.UNKNOWN, 500, "500")
FORBIDDEN = Answer(Outcome.SLOWER, 403, "403")
NO_LINE = Answer(Outcome.NOT_ARRIVED, None, "no line")


@pytest.fixture
def item(items: KnownItems) -> Any:
    """An item whose action is of the day of these tests."""
    return items.add(action_id="A", action_day=TODAY)


def due(item: Any, **values: Any) -> ReceivedImage:
    """Add an image that is due at NOW."""
    return waiting_image(item, **{"received_at": NOW, "next_attempt_at": NOW, **values})


def claimed(now: Any = NOW) -> ReceivedImage:
    """Claim an image that must be there."""
    image = claim_image(now)
    assert image
    return image


def attempt(answer: Answer, now: Any = NOW) -> ReceivedImage:
    """Claim an image, send it with this answer, and return it as it then is."""
    image = claimed(now)
    action = ready_to_send(image, now, on_its_way=True)
    assert action
    assert apply_answer(image, action, answer, now)
    image.refresh_from_db()
    return image


class TestClaims:
    def test_a_claimed_image_is_claimed_by_nobody_else(self, item: Any) -> None:
        image = due(item)
        assert claimed().pk == image.pk
        assert claim_image(NOW) is None

    def test_an_expired_lease_is_taken_over_and_the_first_holder_writes_nothing(self, item: Any) -> None:
        due(item)
        first = claimed()
        second = claimed(NOW + LEASE)
        assert not renew(first, NOW + LEASE)
        assert not apply_answer(first, Action("A", TODAY), TAKEN, NOW + LEASE)
        assert apply_answer(second, Action("A", TODAY), TAKEN, NOW + LEASE)
        assert ReceivedImage.objects.get().state == State.UPLOADED

    def test_a_renewed_lease_is_kept(self, item: Any) -> None:
        due(item)
        assert renew(claimed(), NOW + LEASE / 2)
        assert claim_image(NOW + LEASE) is None

    def test_an_image_is_not_due_before_its_time(self, item: Any) -> None:
        due(item, next_attempt_at=NOW + timedelta(seconds=1))
        assert claim_image(NOW) is None

    def test_what_a_person_has_discarded_meanwhile_stays_so(self, item: Any) -> None:
        due(item)
        image = claimed()
        ReceivedImage.objects.update(state=State.DISCARDED)
        assert not apply_answer(image, Action("A", TODAY), TAKEN, NOW)
        assert ReceivedImage.objects.get().state == State.DISCARDED


@pytest.mark.django_db(transaction=True)
class TestSeveralUploaders:
    def test_each_image_is_claimed_once(self, item: Any) -> None:
        for _ in range(12):
            due(item)
        claims: list[Any] = []
        begin = threading.Barrier(4)

        def claim_all() -> None:
            with borrowed_connection():
                begin.wait()
                while image := claim_image(NOW):
                    claims.append(image.pk)

        threads = [threading.Thread(target=claim_all) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(claims) == sorted(ReceivedImage.objects.values_list("pk", flat=True))

    def test_images_of_one_study_go_under_one_action_at_the_same_instant(self, items: KnownItems, item: Any) -> None:
        for _ in range(4):
            due(item)
        images = [claimed() for _ in range(4)]
        begin = threading.Barrier(4)
        chosen: list[str] = []

        def send(image: ReceivedImage) -> None:
            with borrowed_connection():
                begin.wait()
                items.send_again(item)  # a newer action in each moment
                action = ready_to_send(image, NOW, on_its_way=True)
                assert action
                chosen.append(action.id)

        threads = [threading.Thread(target=send, args=(image,)) for image in images]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(chosen) == 4
        assert len(set(chosen)) == 1


class TestAnswers:
    def test_taken(self, item: Any) -> None:
        due(item)
        image = attempt(TAKEN)
        assert (image.state, image.uploaded_at, image.next_attempt_at) == (State.UPLOADED, NOW, None)
        assert (image.action_id, image.last_status, image.lease_until, image.attempts) == ("A", 201, None, 1)

    def test_refused_for_good(self, item: Any) -> None:
        due(item)
        image = attempt(Answer(Outcome.NEVER, 400, "why"))
        assert (image.state, image.reason, image.next_attempt_at) == (State.FAILED, Reason.REFUSED, None)

    def test_our_own_fault_is_logged_as_an_error(self, item: Any, caplog: pytest.LogCaptureFixture) -> None:
        due(item)
        image = attempt(Answer(Outcome.OUR_FAULT, 422, "why"))
        assert (image.state, image.reason) == (State.FAILED, Reason.OUR_FAULT)
        assert [record.levelname for record in caplog.records] == ["ERROR"]

    @pytest.mark.parametrize("answer", [NOT_IN_PROGRESS, NO_LINE, FORBIDDEN])
    def test_anything_else_is_tried_again_within_five_minutes(self, item: Any, answer: Answer) -> None:
        due(item)
        image = attempt(answer)
        assert (image.state, image.last_status, image.last_error) == (State.WAITING, answer.status, answer.error)
        assert image.last_outcome == answer.outcome.value
        assert image.next_attempt_at
        assert NOW < image.next_attempt_at <= NOW + timedelta(seconds=300)

    def test_forbidden_is_tried_again_more_slowly(self, item: Any) -> None:
        due(item)
        at = attempt(FORBIDDEN).next_attempt_at
        assert at
        assert at >= NOW + timedelta(seconds=150)

    def test_success_lets_others_go_that_were_held_up(self, items: KnownItems, item: Any) -> None:
        later = NOW + timedelta(minutes=4)
        long_wait = {"attempts": 9, "next_attempt_at": later}
        waiting = {
            "same Study": due(item, **long_wait, last_outcome="unknown", last_status=500),
            "no line": due(items.add(), **long_wait, last_outcome="not_arrived"),
            "another Study": due(items.add(), **long_wait, last_outcome="unknown", last_status=500),
            "no answer": due(item, **long_wait, last_outcome="unknown"),
        }
        due(item)
        attempt(TAKEN)
        rows = ReceivedImage.objects.in_bulk()
        woken = [why for why, image in waiting.items() if rows[image.pk].next_attempt_at == NOW]
        assert woken == ["same Study", "no line"]


class TestWaits:
    def test_they_grow_to_the_longest_with_jitter(self, settings: Any) -> None:
        settings.IMAGE_RETRY_SECONDS = 40
        waits = [(retry_at(attempts, NOW) - NOW).total_seconds() for attempts in (1, 3, 5, 50, 5000)]
        assert all(
            0.5 * longest <= wait <= longest for wait, longest in zip(waits, (2, 5.12, 13.1072, 40, 40), strict=True)
        )
        assert len({retry_at(50, NOW) for _ in range(5)}) > 1

    def test_none_passes_midnight(self) -> None:
        end_of_day = midnight(TODAY + timedelta(days=1))
        assert retry_at(50, end_of_day - timedelta(seconds=1)) == end_of_day


class TestAction:
    def test_once_taken_the_study_stays_under_the_action(self, items: KnownItems, item: Any) -> None:
        due(item)
        attempt(TAKEN)
        items.send_again(item)
        due(item)
        assert attempt(TAKEN).action_id == "A"

    def test_so_it_does_after_an_unknown_outcome(self, items: KnownItems, item: Any) -> None:
        due(item)
        attempt(NOT_IN_PROGRESS)
        items.send_again(item)
        due(item)
        assert attempt(TAKEN).action_id == "A"

    def test_so_it_does_if_a_person_then_discards_the_image(self, items: KnownItems, item: Any) -> None:
        due(item)
        discard(attempt(NOT_IN_PROGRESS), "admin:jane", "Not hers.")
        items.send_again(item)
        due(item)
        assert attempt(TAKEN).action_id == "A"

    @pytest.mark.parametrize("answer", [NO_LINE, FORBIDDEN])
    def test_what_has_not_arrived_goes_under_the_newest(self, items: KnownItems, item: Any, answer: Answer) -> None:
        due(item)
        assert attempt(answer).action_id == ""
        items.send_again(item, action_id="B")
        assert attempt(TAKEN, NOW + timedelta(minutes=5)).action_id == "B"

    def test_forbidden_leaves_it_known_that_another_may_be_with_manage(self, items: KnownItems, item: Any) -> None:
        under = {"study_instance_uid": item.study_instance_uid, "action_id": "A", "action_day": TODAY}
        held = due(item, **under, state=State.HELD, next_attempt_at=None)
        due(item)
        attempt(FORBIDDEN)
        held.refresh_from_db()
        assert held.may_be_with_manage
        items.send_again(item, action_id="B")
        assert attempt(TAKEN, NOW + timedelta(minutes=5)).action_id == "B"

    def test_after_the_report_a_person_can_send_it_under_a_new_action(self, items: KnownItems, item: Any) -> None:
        due(item, action_id="A", action_day=TODAY)
        FailureReport.objects.create(action_id="A", delivered_at=NOW)
        items.send_again(item, action_id="B")
        assert attempt(TAKEN).action_id == "B"

    def test_a_superseded_item_counts_as_its_successor(self, items: KnownItems, item: Any) -> None:
        due(item)
        attempt(TAKEN)
        successor = items.add(action_id="B", action_day=TODAY, study_instance_uid=item.study_instance_uid)
        items.items[item.id] = successor
        due(successor)
        assert attempt(TAKEN).action_id == "A"

    def test_what_a_person_linked_to_another_item_goes_under_that_items_action(
        self, items: KnownItems, item: Any
    ) -> None:
        due(item)
        attempt(TAKEN)
        other = items.add(action_id="B", action_day=TODAY, study_instance_uid=item.study_instance_uid)
        due(other)
        assert attempt(NOT_IN_PROGRESS).action_id == "B"

    def test_two_women_with_one_study_uid_are_kept_apart(self, items: KnownItems, item: Any) -> None:
        due(item)
        attempt(TAKEN)
        other = items.add(
            action_id="B", action_day=TODAY, patient_id="9990000026", study_instance_uid=item.study_instance_uid
        )
        due(other)
        assert attempt(TAKEN).action_id == "B"


class TestHindrances:
    def settled(self, now: Any = NOW) -> ReceivedImage:
        """Try to send an image that must not be sent; return what has become of it."""
        image = claimed(now)
        assert ready_to_send(image, now, on_its_way=True) is None
        image.refresh_from_db()
        assert image.lease_until is None
        return image

    def test_at_midnight_what_is_left_has_failed(self, item: Any) -> None:
        due(item)
        attempt(NOT_IN_PROGRESS)
        end_of_day = midnight(TODAY + timedelta(days=1))
        assert claimed(end_of_day - timedelta(seconds=1))
        settle(ReceivedImage.objects.get(), next_attempt_at=end_of_day)
        image = self.settled(end_of_day)
        assert (image.state, image.reason) == (State.FAILED, Reason.DAY_OVER)
        assert (image.action_id, image.action_day) == ("A", TODAY)

    def test_a_new_action_the_next_day_lets_it_go(self, items: KnownItems, item: Any) -> None:
        due(item)
        attempt(NOT_IN_PROGRESS)
        tomorrow = TODAY + timedelta(days=1)
        items.send_again(item, action_id="B", action_day=tomorrow)
        assert attempt(TAKEN, midnight(tomorrow)).action_id == "B"

    def test_what_came_before_its_item_was_put_back_is_held(self, items: KnownItems, item: Any) -> None:
        due(item, attempts=3)
        attempt(NOT_IN_PROGRESS)
        put_back_at = NOW + timedelta(minutes=1)
        items.send_again(item, put_back_at=put_back_at)
        image = self.settled(NOW + timedelta(minutes=5))
        assert (image.state, image.reason, image.next_attempt_at) == (State.HELD, Reason.PUT_BACK, None)
        assert image.may_be_with_manage

        later = put_back_at + timedelta(minutes=1)
        due(item, received_at=later, series_instance_uid=image.series_instance_uid)
        assert self.settled(NOW + timedelta(minutes=5)).reason == Reason.PUT_BACK, "the wrong woman is still selected"

        due(item, received_at=put_back_at)
        assert attempt(TAKEN, NOW + timedelta(minutes=5)).action_id == "A", "Manage may know the Study under A"

    def test_a_long_patient_id_is_never_sent(self, items: KnownItems) -> None:
        due(items.add(patient_id="99900000189", action_day=TODAY))
        image = self.settled()
        assert (image.state, image.reason) == (State.FAILED, Reason.LONG_PATIENT_ID)

    def test_an_item_without_an_action_is_not_for_manage(self, items: KnownItems) -> None:
        due(items.add(action_id="", action_day=None))
        image = self.settled()
        assert (image.state, image.reason) == (State.NOT_SENT, Reason.NO_ACTION)

    def test_after_the_report_it_fails_and_says_so(self, item: Any) -> None:
        FailureReport.objects.create(action_id="A", delivered_at=NOW)
        due(item)
        image = self.settled()
        assert (image.state, image.reason) == (State.FAILED, Reason.AFTER_REPORT)

    def test_while_the_report_is_on_its_way_it_waits(self, item: Any) -> None:
        FailureReport.objects.create(action_id="A", lease_until=NOW + LEASE)
        due(item)
        image = self.settled()
        assert image.state == State.WAITING
        assert image.next_attempt_at
        assert image.next_attempt_at > NOW
