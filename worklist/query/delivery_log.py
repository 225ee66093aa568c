"""Record which items each query delivered, in batches and in a thread of its own.

A modality must not wait for these records, so `record` only appends to a queue. The thread takes a batch from it and
writes it in one transaction. A record is lost, and counted, if the queue is full, if the database is unavailable for
longer than RETRY_AFTER, or if the database refuses it: a lost record is tolerable, a slow answer is not. A process
that is killed loses the records of the last second, uncounted.

All state that `record`, `flush`, `stop` and the thread share is guarded by one condition, `_changed`.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, transaction

from core.database import UNAVAILABLE, borrowed_connection
from core.models import fitting
from worklist.models import Delivery, ItemAlarm, QueryTally, WorklistItem, WorklistQuery

logger = logging.getLogger(__name__)

#: The most records that wait in the queue; any more are lost.
CAPACITY = 2000
#: At most this many queries in one transaction, and roughly this many links to items. A transaction blocks all other
#: writers of SQLite, and with them the new items of the relay.
BATCH = 100
LINKS = 2000
#: Seconds between batches, so that others can write: a connection that waits for SQLite tries again every 0.1 s.
PAUSE_SECONDS = 0.15
#: Seconds from the first record of a batch until it is written.
GATHER_SECONDS = 1.0
#: Seconds to wait before each further attempt while the database is unavailable.
RETRY_AFTER = (1.0, 4.0, 10.0)
#: Seconds between two removals of queries that are too old.
REMOVE_SECONDS = 3600.0


@dataclass
class QueryRecord:
    """What to keep of one query: its row, the items that it showed, and those it left out.

    `left_out` maps an item to the keyword of the attribute with an illegal value.
    """

    asked_at: datetime
    calling_ae_title: str
    called_ae_title: str
    address: str
    correlation_id: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = "interrupted"
    status: str = ""
    comment: str = ""
    duration_ms: int = 0
    shown: list[UUID] = field(default_factory=list)
    left_out: dict[UUID, str] = field(default_factory=dict)

    @property
    def links(self) -> int:
        """The number of rows about items that the record makes."""
        return len(self.shown) + len(self.left_out)


class DeliveryLog:
    """Queues records and writes them in a thread."""

    def __init__(
        self, capacity: int = CAPACITY, retry_after: Sequence[float] = RETRY_AFTER, pause: float = PAUSE_SECONDS
    ) -> None:
        self._capacity = capacity
        self._retry_after = retry_after
        self._pause = pause
        self._waiting: deque[QueryRecord] = deque()
        self._changed = threading.Condition()
        self._being_written = 0
        self._lost = 0
        self._flushing = False
        self._stopping = False
        self._removed_at = float("-inf")
        self._thread: threading.Thread | None = None

    def start(self) -> "DeliveryLog":
        """Start the thread."""
        self._thread = threading.Thread(target=self._write_until_stopped, name="delivery-log", daemon=True)
        self._thread.start()
        return self

    def stop(self, patience: float = 3.0) -> None:
        """Attempt once to write what is queued, and end the thread; wait at most `patience` seconds for that."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(patience)

    def record(self, query: QueryRecord) -> None:
        """Queue a record, or count it as lost if the queue is full. Neither wait nor raise."""
        with self._changed:
            if len(self._waiting) < self._capacity:
                self._waiting.append(query)
            else:
                self._lost += 1
            self._changed.notify_all()

    def flush(self, patience: float = 10.0) -> bool:
        """Wait until every record is written or lost; return False if that takes longer than `patience` seconds."""
        with self._changed:
            self._flushing = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._waiting and not self._being_written, patience)
            self._flushing = False
            return done

    # In the thread ----------------------------------------------------------------------------------------------------

    def _write_until_stopped(self) -> None:
        while self._has_work():
            try:
                with self._changed:
                    batch = take_batch(self._waiting)
                    self._being_written = len(batch)
                if batch:
                    self._write_or_lose(batch)
                self._report_lost()
                self._remove_old_queries()
            except Exception:  # the outermost edge of this thread; the next batch may be written
                logger.exception("deliveries not written")
            with self._changed:
                self._being_written = 0
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._stopping, self._pause)

    def _has_work(self) -> bool:
        """Wait for a batch to gather, or until it is time to remove old queries. Return False at the end."""
        with self._changed:
            if self._changed.wait_for(lambda: self._waiting or self._stopping, REMOVE_SECONDS):
                self._changed.wait_for(
                    lambda: self._flushing or self._stopping or len(self._waiting) >= BATCH, GATHER_SECONDS
                )
            return bool(self._waiting) or not self._stopping

    def _write_or_lose(self, batch: list[QueryRecord]) -> None:
        """Write a batch in one transaction, trying again for a short time while the database is unavailable."""
        for pause in (*self._retry_after, 0.0):
            try:
                with borrowed_connection(), transaction.atomic():
                    write(batch)
                return
            except UNAVAILABLE as error:
                logger.warning("deliveries not written yet", extra={"error": type(error).__name__})
            except DatabaseError as error:
                logger.error("deliveries refused by the database", extra={"error": type(error).__name__})
                if len(batch) == 1:
                    break
                for record in batch:  # the one that the database refuses must not cost the others
                    self._write_or_lose([record])
                return
            with self._changed:
                if self._changed.wait_for(lambda: self._stopping, pause):
                    break
        with self._changed:
            self._lost += len(batch)

    def _report_lost(self) -> None:
        """Log how many records were lost since the last report."""
        with self._changed:
            lost, self._lost = self._lost, 0
        if lost:
            logger.warning("records of queries were lost", extra={"lost": lost})

    def _remove_old_queries(self) -> None:
        if time.monotonic() - self._removed_at < REMOVE_SECONDS:
            return
        self._removed_at = time.monotonic()
        try:
            with borrowed_connection():
                removed = WorklistQuery.objects.delete_older_than(timedelta(days=settings.MWL_KEEP_QUERIES_DAYS))
        except UNAVAILABLE:
            return  # tried again an hour later
        if removed:
            logger.info("old queries removed", extra={"removed": removed})


def take_batch(waiting: deque[QueryRecord]) -> list[QueryRecord]:
    """Remove and return the first records, as many as one transaction may hold; at least one, however large."""
    batch: list[QueryRecord] = []
    links = 0
    while waiting and len(batch) < BATCH and (not batch or links + waiting[0].links <= LINKS):
        links += waiting[0].links
        batch.append(waiting.popleft())
    return batch


def write(records: Iterable[QueryRecord]) -> None:
    """Write the rows of some queries with their items. Skip items that have been removed meanwhile."""
    records = list(records)
    left_out = {item for record in records for item in record.left_out}
    existing = set(WorklistItem.objects.filter(pk__in=left_out).values_list("pk", flat=True))
    rows = WorklistQuery.objects.bulk_create(
        [
            WorklistQuery(
                **fitting(
                    WorklistQuery,
                    asked_at=record.asked_at,
                    calling_ae_title=record.calling_ae_title,
                    called_ae_title=record.called_ae_title,
                    address=record.address,
                    keys=dict(record.keys),
                    outcome=record.outcome,
                    status=record.status,
                    comment=record.comment,
                    delivered=len(record.shown),
                    left_out=len(record.left_out),
                    duration_ms=record.duration_ms,
                    correlation_id=record.correlation_id,
                )
            )
            for record in records
        ]
    )
    for row, record in zip(rows, records, strict=True):
        row.add_items(record.shown)
        Delivery.objects.add(record.shown, record.calling_ae_title, record.asked_at)
        alarms = {item: attribute for item, attribute in record.left_out.items() if item in existing}
        if alarms:
            ItemAlarm.objects.add(alarms, record.asked_at)
    QueryTally.objects.add(rows)  # last: from here on, another SCP that tallies waits for this commit
