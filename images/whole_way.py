"""Keep the tests of the whole way: who asked for each, which step of it passed, and why one did not.

A test works through a test item as a machine does (`images/test_machine.py`), in a thread of the uploader. Several
uploaders share the tests: one takes each.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from core.statements import insert_unless_known
from images.items import worklist
from images.models import WholeWayTest

State = WholeWayTest.State

#: A test takes a few seconds, or minutes if Manage is away. After this long, its uploader was stopped.
TAKES_AT_MOST = timedelta(minutes=10)


@transaction.atomic
def ask_for_test(by: str) -> WholeWayTest:
    """Make a test item, and queue a test that works through it."""
    item = worklist().create_test_item(by)
    return WholeWayTest.objects.create(item_id=item.id, accession_number=item.accession_number, asked_by=by)


def add_tests_of_manage() -> None:
    """Queue a test for each test item that Manage has sent.

    Outside production the modality emulator does that (`nonprod/modality_emulator/worker.py`).
    """
    if not settings.PRODUCTION:
        return
    for item in worklist().waiting_test_items():
        insert_unless_known(
            WholeWayTest(item_id=item.id, accession_number=item.accession_number, asked_by=WholeWayTest.MANAGE)
        )


def end_interrupted_tests(now: datetime) -> None:
    """Fail the tests whose uploader was stopped before they ended."""
    for test in WholeWayTest.objects.filter(state=State.RUNNING, started_at__lt=now - TAKES_AT_MOST):
        add_step(test, "The test runs to its end", State.FAILED, "The uploader was stopped while the test was running")


def take_next_test(now: datetime) -> WholeWayTest | None:
    """Take the test that has waited longest, so that no other process runs it; return None if none waits."""
    for test in WholeWayTest.objects.filter(state=State.WAITING).order_by("created_at"):
        if WholeWayTest.objects.filter(pk=test.pk, state=State.WAITING).update(state=State.RUNNING, started_at=now):
            test.refresh_from_db()
            return test
    return None


def add_step(test: WholeWayTest, name: str, outcome: str, text: str) -> None:
    """Add a step to the report; the first that failed ends the test."""
    test.steps = [*test.steps, {"name": name, "outcome": outcome, "text": text, "at": timezone.now().isoformat()}]
    if outcome == State.FAILED:
        test.state, test.ended_at = State.FAILED, timezone.now()
    test.save(update_fields=["steps", "state", "ended_at", "updated_at"])


def end_test(test: WholeWayTest) -> None:
    """End a test in which no step has failed."""
    test.state, test.ended_at = State.PASSED, timezone.now()
    test.save(update_fields=["state", "ended_at", "updated_at"])


def run_next_test(run: Callable[[WholeWayTest], None]) -> int:
    """Run one test if one waits; return how many."""
    now = timezone.now()
    add_tests_of_manage()
    end_interrupted_tests(now)
    test = take_next_test(now)
    if test is None:
        return 0
    run(test)
    return 1
