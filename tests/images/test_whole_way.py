"""Tests of the whole way are asked for, taken by one uploader each, and ended if that is stopped."""

from datetime import timedelta

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from images.models import WholeWayTest
from images.whole_way import TAKES_AT_MOST, add_step, ask_for_test, run_next_test, take_next_test
from relay.models import ReceivedAction
from tests.factories import WorklistItemFactory
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db, pytest.mark.once]

State = WholeWayTest.State


def run(outcome: str = State.PASSED) -> list[WholeWayTest]:
    """Run a test if one waits, with a single step; return those that ran."""
    ran: list[WholeWayTest] = []

    def one_step(test: WholeWayTest) -> None:
        ran.append(test)
        add_step(test, "a step", outcome, "found")

    run_next_test(one_step)
    return ran


def sent_by_manage(**changes: object) -> WorklistItem:
    """Create a test item and the action of Manage's that made it."""
    values = {"is_test": True, "status": "SCHEDULED", **changes}
    item: WorklistItem = WorklistItemFactory.create(**values)
    ReceivedAction.objects.create(
        action_id=item.accession_number,
        action_type="worklist.create_test_item",
        accession_number=item.accession_number,
        outcome="created",
        is_final=True,
        received_at=timezone.now(),
    )
    return item


class TestAskingForATest:
    def test_makes_a_test_item_for_the_test_machines(self) -> None:
        test = ask_for_test("admin:jane")
        item = WorklistItem.objects.get()
        assert (item.pk, item.is_test, item.proves_ae_title) == (test.item_id, True, "")
        assert (test.accession_number, test.asked_by, test.state) == (item.accession_number, "admin:jane", "waiting")


class TestTakingTests:
    def test_the_one_that_waits_longest_is_next_and_nobody_takes_it_twice(self) -> None:
        first, second = ask_for_test("admin:jane"), ask_for_test("admin:jane")
        now = timezone.now()
        assert [take_next_test(now) for _ in range(3)] == [first, second, None]

    def test_a_failed_step_ends_the_test(self) -> None:
        ask_for_test("admin:jane")
        (test,) = run(State.FAILED)
        test.refresh_from_db()
        assert (test.state, test.ended_at is not None) == ("failed", True)
        assert [(step["name"], step["outcome"], step["text"]) for step in test.steps] == [("a step", "failed", "found")]

    def test_one_whose_uploader_was_stopped_has_failed(self) -> None:
        test = ask_for_test("admin:jane")
        take_next_test(timezone.now() - TAKES_AT_MOST - timedelta(seconds=1))
        assert run() == []
        test.refresh_from_db()
        assert (test.state, test.steps[-1]["text"]) == (
            "failed",
            "The uploader was stopped while the test was running",
        )


class TestTestsOfManage:
    def test_in_production_each_test_item_of_manage_is_worked_through_once(self, settings: Settings) -> None:
        settings.PRODUCTION = True
        item = sent_by_manage()
        sent_by_manage(status="COMPLETED")
        assert [(test.item_id, test.asked_by) for test in run()] == [(item.pk, "manage")]
        assert run() == []

    def test_elsewhere_the_modality_emulator_does_that(self) -> None:
        sent_by_manage()
        assert run() == []
        assert WholeWayTest.objects.count() == 0

    def test_a_womans_item_is_never_touched(self, settings: Settings) -> None:
        settings.PRODUCTION = True
        sent_by_manage(is_test=False)
        assert run() == []
