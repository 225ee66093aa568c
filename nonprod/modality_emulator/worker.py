"""Perform the steps of test items (`worklist.create_test_item`) within seconds.

The worker finds new test items in the gateway's database; everything else it does over DICOM like any modality. It
retries a failed request a few times with growing pauses, then gives up. Its log contains no names.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.db import DatabaseError
from django.utils import timezone

from core.contract import ItemStatus
from core.correlation import correlated
from core.database import borrowed_connection
from dicom.scu import VIEWS, PerformedStep, RequestFailed
from nonprod.modality_emulator.unit import Exposure, ModalityEmulator
from nonprod.modality_emulator.worklist_queries import step_query
from relay.models import ReceivedAction
from worklist.models import WorklistItem

logger = logging.getLogger(__name__)

ACTION_TYPE, OUTCOME = "worklist.create_test_item", "created"
#: The emulator's AE title unless another is given.
TEST_MACHINE = "TESTMACHINE"
#: Older ones are left over from an earlier run.
RECEIVED_WITHIN = timedelta(hours=1)
MAX_FAILURES = 5
DUPLICATE = 0x0111


def waiting_items() -> list[WorklistItem]:
    """Return the SCHEDULED items that test actions of the last hour have created."""
    actions = ReceivedAction.objects.filter(
        action_type=ACTION_TYPE, outcome=OUTCOME, received_at__gte=timezone.now() - RECEIVED_WITHIN
    )
    numbers = list(actions.values_list("accession_number", flat=True))
    return list(WorklistItem.objects.filter(accession_number__in=numbers, status=ItemStatus.SCHEDULED))


@dataclass
class Task:
    """One test item: C-FIND, N-CREATE, C-STORE of four images if there is an exposure, N-SET."""

    item: WorklistItem
    modality: ModalityEmulator
    due: float
    exposure: Exposure | None = None
    step: PerformedStep | None = None
    is_created: bool = False
    is_exposed: bool = False
    is_over: bool = False
    failures: int = 0

    @property
    def request(self) -> str:
        """The next request."""
        if self.step is None:
            return "C-FIND"
        if not self.is_created:
            return "N-CREATE"
        return "N-SET" if self.exposure is None or self.is_exposed else "C-STORE"

    def begin(self) -> None:
        """Find the item on the worklist, unless it has been found, and send the N-CREATE."""
        if self.step is None:
            rows = self.modality.query(step_query(self.item.accession_number))
            if not rows:
                raise RequestFailed("the item is not on the list")
            self.step = self.modality.prepare(rows[0])
        try:
            self.step.create()
        except RequestFailed as refusal:
            # A duplicate on a retry means that the first N-CREATE succeeded, and only its answer was lost.
            if not (self.failures and refusal.status == DUPLICATE):
                raise
        self.is_created = True

    def end(self) -> None:
        """Send the images, unless they have arrived, and the N-SET with COMPLETED."""
        assert self.step is not None  # noqa: S101
        if self.exposure is not None and not self.is_exposed:
            if not self.step.series:
                self.step.expose(*VIEWS)
            self.exposure.send(self.step, self.step.series)
            self.is_exposed = True
        self.step.complete()
        self.is_over = True


@dataclass
class Worker:
    """Performs several test items at once in one thread; each turn sends the requests that are due."""

    modality: ModalityEmulator
    exposure_seconds: float = 2.0
    exposure: Exposure | None = None
    clock: Callable[[], float] = time.monotonic
    tasks: dict[UUID, Task] = field(default_factory=dict)
    _can_read_database: bool = True

    def turn(self) -> None:
        """Look for new items, and continue each item that is due."""
        self._find_new_items()
        for task in list(self.tasks.values()):
            if not task.is_over and task.due <= self.clock():
                self._continue(task)

    def finish(self) -> None:
        """Complete the steps that have started, so that none is left in progress."""
        for task in self.tasks.values():
            if task.is_created and not task.is_over:
                self._continue(task)

    def _find_new_items(self) -> None:
        try:
            with borrowed_connection():
                waiting = {item.pk: item for item in waiting_items()}
        except DatabaseError as error:
            if self._can_read_database:
                logger.warning("test items not read", extra={"error": type(error).__name__})
            self._can_read_database = False
            return
        self._can_read_database = True
        self.tasks = {key: task for key, task in self.tasks.items() if key in waiting or not task.is_over}
        for key, item in waiting.items():
            if key not in self.tasks:
                self.tasks[key] = Task(item, self.modality, self.clock(), self.exposure)

    def _continue(self, task: Task) -> None:
        """Send the task's next request, and log the result."""
        with correlated(task.item.correlation_id):
            extra = {"item": str(task.item.pk), "calling_ae_title": task.modality.ae_title}
            try:
                if task.is_created:
                    task.end()
                    logger.info("test item completed", extra=extra)
                else:
                    task.begin()
                    task.due = self.clock() + self.exposure_seconds
                    logger.info("test item started", extra=extra)
            except RequestFailed as failure:
                # The status only: the Error Comment may contain patient data.
                self._retry_later(task, str(failure) if failure.status is None else f"status {failure.status:04X}")
            except Exception as error:  # the outermost edge of this task: the others continue
                logger.exception("test item failed", extra={"item": str(task.item.pk)})
                self._retry_later(task, type(error).__name__)

    def _retry_later(self, task: Task, problem: str) -> None:
        """Schedule a retry after 1, 2, 4, 8 seconds, then give up."""
        task.due = self.clock() + 2**task.failures
        task.failures += 1
        task.is_over = task.failures >= MAX_FAILURES
        extra = {"item": str(task.item.pk), "request": task.request, "problem": problem, "failures": task.failures}
        if task.is_over:
            logger.error("test item abandoned: its request failed too often", extra=extra)
        else:
            logger.warning("a test item's request failed and will be sent again", extra=extra)
