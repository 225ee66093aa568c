"""The round that looks for steps without an end: from a thread of its own, whatever the database does."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.utils import timezone

from tests.dicom.requests import PATIENCE, Unit
from tests.factories import create as create_item
from tests.worklist.performed_step.full_reports import started
from tests.worklist_fixtures import LogLines
from worklist.models import MppsException, PerformedProcedureStep
from worklist.performed_step.abandoned_steps import AbandonedStepsCheck


@pytest.fixture
def rounds() -> Iterator[AbandonedStepsCheck]:
    """A thread that goes round, stopped at the end."""
    stopping = threading.Event()
    made = AbandonedStepsCheck(stopping)
    yield made
    stopping.set()
    made.join(PATIENCE)
    assert not made.is_alive()


@pytest.fixture
def _old_step(unit: Unit) -> None:
    """One that began more than a day ago."""
    unit.create("2.25.1", started(create_item()))
    PerformedProcedureStep.objects.update(created_at=timezone.now() - timedelta(hours=25))


@pytest.mark.usefixtures("_old_step")
class TestRounds:
    def test_tell_of_a_step_without_an_end_at_the_start(self, rounds: AbandonedStepsCheck, log: LogLines) -> None:
        rounds.start()
        assert vars(log.wait_for("abandoned steps found"))["found"] == 1
        assert MppsException.objects.get().reason == MppsException.Reason.ABANDONED

    def test_go_on_when_the_database_is_away(
        self,
        rounds: AbandonedStepsCheck,
        log: LogLines,
        database_away: Callable[[], AbstractContextManager[None]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("worklist.performed_step.abandoned_steps.CHECK_SECONDS", 0.05)
        with database_away():
            rounds.start()
            log.wait_for("abandoned steps not checked")
        log.wait_for("abandoned steps found")
