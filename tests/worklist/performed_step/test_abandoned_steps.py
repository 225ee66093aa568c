"""A thread finds abandoned steps, and continues after a database failure."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta

import pytest
from django.utils import timezone

from core.regular_check import RegularCheck
from tests.dicom.requests import PATIENCE, Unit
from tests.factories import create as create_item
from tests.worklist.performed_step.reports import creation
from tests.worklist_fixtures import LogLines
from worklist.models import MppsException, PerformedProcedureStep
from worklist.performed_step.abandoned_steps import abandoned_steps_check


@pytest.fixture
def check() -> Iterator[RegularCheck]:
    """Yield the thread before its start, and stop it at the end."""
    stopping = threading.Event()
    thread = abandoned_steps_check(stopping)
    yield thread
    stopping.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.fixture
def _old_step(unit: Unit) -> None:
    """Begin a step more than a day ago."""
    unit.create("2.25.1", creation(create_item()))
    PerformedProcedureStep.objects.update(created_at=timezone.now() - timedelta(hours=25))


@pytest.mark.usefixtures("_old_step")
class TestAbandonedStepsCheck:
    def test_finds_an_abandoned_step_at_the_start(self, check: RegularCheck, log: LogLines) -> None:
        check.start()
        line = vars(log.wait_for("check found cases"))
        assert (line["check"], line["found"]) == ("abandoned steps", 1)
        assert MppsException.objects.get().reason == MppsException.Reason.ABANDONED

    def test_continues_after_a_database_failure(
        self,
        check: RegularCheck,
        log: LogLines,
        database_down: Callable[[], AbstractContextManager[None]],
    ) -> None:
        check.seconds = 0.05
        with database_down():
            check.start()
            assert vars(log.wait_for("check failed"))["check"] == "abandoned steps"
        assert vars(log.wait_for("check found cases"))["check"] == "abandoned steps"
