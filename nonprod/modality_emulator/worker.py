"""Owns what the emulator does by itself: it performs the steps of `worklist.create_test_item`, over DICOM, in seconds.

It looks for new test items in the gateway's own database, and does all the rest as any modality does. One that fails is
tried again a few times, more and more slowly, and then left. Nobody's name is in its log.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone
from pydicom.dataset import Dataset

from core.contract import ItemStatus
from core.correlation import correlated
from core.database import borrowed_connection
from nonprod.modality_emulator.console import step_query
from nonprod.modality_emulator.modality import Modality, NoAnswer, PerformedStep
from relay.models import ReceivedAction
from worklist.models import WorklistItem

logger = logging.getLogger(__name__)

ACTION_TYPE, OUTCOME = "worklist.create_test_item", "created"
#: Older ones were left by an earlier run: nobody waits for them.
RECEIVED_WITHIN = timedelta(hours=1)
MOST_FAILURES = 5
DUPLICATE = 0x0111


def waiting_items() -> list[WorklistItem]:
    """The items that test actions of the last hour have made, as long as they are SCHEDULED."""
    actions = ReceivedAction.objects.filter(
        action_type=ACTION_TYPE, outcome=OUTCOME, received_at__gte=timezone.now() - RECEIVED_WITHIN
    )
    numbers = list(actions.values_list("accession_number", flat=True))
    return list(WorklistItem.objects.filter(accession_number__in=numbers, status=ItemStatus.SCHEDULED))


@dataclass
class Task:
    """One test item on its way: found on the list, N-CREATE, exposures, N-SET."""

    item: WorklistItem
    modality: Modality
    due: float
    step: PerformedStep | None = None
    is_created: bool = False
    is_over: bool = False
    failures: int = 0

    @property
    def request(self) -> str:
        """What is sent next."""
        if self.step is None:
            return "C-FIND"
        return "N-SET" if self.is_created else "N-CREATE"

    def begin(self) -> None:
        """Find the item on the list, unless it has been found, and report the step as begun."""
        if self.step is None:
            self.step = self.modality.prepare(self._row())
        try:
            self.step.create()
        except NoAnswer as refusal:
            if not (self.failures and refusal.status == DUPLICATE):  # it came the first time, only its answer was lost
                raise
        self.is_created = True

    def end(self) -> None:
        """Report it as completed."""
        assert self.step is not None  # noqa: S101
        self.step.complete()
        self.is_over = True

    def _row(self) -> Dataset:
        rows = self.modality.query(step_query(self.item.accession_number))
        if not rows:
            raise NoAnswer("the item is not on the list")
        return rows[0]


@dataclass
class Worker:
    """Performs the test items, several at once, in one thread: each turn sends what is due."""

    modality: Modality
    exposure_seconds: float = 2.0
    clock: Callable[[], float] = time.monotonic
    tasks: dict[UUID, Task] = field(default_factory=dict)
    _sees_the_store: bool = True

    def turn(self) -> None:
        """Look for new items, and go on with each that it is time for."""
        self._take_up()
        for task in list(self.tasks.values()):
            if not task.is_over and task.due <= self.clock():
                self._go_on(task)

    def finish(self) -> None:
        """End the steps that have begun, without further exposure: none is to be left in progress."""
        for task in self.tasks.values():
            if task.is_created and not task.is_over:
                self._go_on(task)

    def _take_up(self) -> None:
        try:
            with borrowed_connection():
                waiting = {item.pk: item for item in waiting_items()}
        except DatabaseError as error:
            if self._sees_the_store:
                logger.warning("test items not read", extra={"error": type(error).__name__})
            self._sees_the_store = False
            return
        self._sees_the_store = True
        self.tasks = {key: task for key, task in self.tasks.items() if key in waiting or not task.is_over}
        for key, item in waiting.items():
            if key not in self.tasks:
                self.tasks[key] = Task(item, self._modality_of(item), self.clock())

    def _modality_of(self, item: WorklistItem) -> Modality:
        """The item's own station, as another one may not be shown it."""
        return replace(self.modality, ae_title=item.station_ae_title or self.modality.ae_title)

    def _go_on(self, task: Task) -> None:
        with correlated(task.item.correlation_id):
            try:
                self._send(task)
            except NoAnswer as answer:
                self._note_failure(task, _problem(answer))
            except Exception as error:  # the outermost edge of this task: the others go on
                logger.exception("test item failed", extra={"item": str(task.item.pk)})
                self._note_failure(task, type(error).__name__)

    def _send(self, task: Task) -> None:
        extra = {"item": str(task.item.pk), "calling_ae_title": task.modality.ae_title}
        if task.is_created:
            task.end()
            logger.info("test item completed", extra=extra)
        else:
            task.begin()
            task.due = self.clock() + self.exposure_seconds
            logger.info("test item started", extra=extra)

    def _note_failure(self, task: Task, problem: str) -> None:
        """Try again after 1, 2, 4, 8 seconds, then no more."""
        task.due = self.clock() + 2**task.failures
        task.failures += 1
        task.is_over = task.failures >= MOST_FAILURES
        extra = {"item": str(task.item.pk), "request": task.request, "problem": problem, "failures": task.failures}
        if task.is_over:
            logger.error("test item left: its request failed too often", extra=extra)
        else:
            logger.warning("a test item's request failed and will be sent again", extra=extra)


def _problem(answer: NoAnswer) -> str:
    """The status, without the comment: another's words may be about anybody."""
    return str(answer) if answer.status is None else f"status {answer.status:04X}"
