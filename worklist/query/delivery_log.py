"""Owns how the proof of delivery is written: in batches, by a thread of its own, never in the way of an answer."""

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, transaction

from core.database import UNAVAILABLE, borrowed_connection
from worklist.models import Delivery, ItemAlarm, QueryTally, WorklistItem, WorklistQuery

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Records that wait at most; what comes beyond is lost.
CAPACITY = 2000
#: Written in one transaction at most: so many queries, and with them about so many links to items. While it is written
#: nobody else writes to SQLite, the relay's new items included.
BATCH = 100
LINKS = 2000
#: Between two batches those who want to write get their turn: SQLite's waiters look every 0.1 seconds. Seconds.
PAUSE_SECONDS = 0.15
#: A batch is written this long after its first record came. Seconds.
GATHER_SECONDS = 1.0
#: How long to wait before each further try with a database that is away. Seconds.
RETRY_AFTER = (1.0, 4.0, 10.0)
#: How often queries that are too old are looked for. Seconds.
FORGET_SECONDS = 3600.0
IDS_AT_ONCE = 500


@dataclass
class QueryRecord:
    """What is to be kept of one query: the row, the items that it showed, and those that could not be shown.

    `left_out` is item → keyword of the attribute.
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
        """How many rows about items it makes."""
        return len(self.shown) + len(self.left_out)


class DeliveryLog:
    """Takes records at once and writes them a little later; one that is lost is tolerable, a slow answer is not."""

    def __init__(
        self, capacity: int = CAPACITY, retry_after: Sequence[float] = RETRY_AFTER, pause: float = PAUSE_SECONDS
    ) -> None:
        self._capacity = capacity
        self._retry_after = retry_after
        self._pause = pause
        self._waiting: deque[QueryRecord] = deque()
        self._changed = threading.Condition()
        self._in_hand = 0
        self._no_room = 0
        self._hurried = False
        self._stopping = False
        self._forgot_at = float("-inf")
        self._thread: threading.Thread | None = None

    def start(self) -> "DeliveryLog":
        """Begin to write."""
        self._thread = threading.Thread(target=self._write_until_stopped, name="delivery-log", daemon=True)
        self._thread.start()
        return self

    def stop(self, patience: float = 3.0) -> None:
        """Write what is there, once, and end; wait at most so many seconds for it."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread:
            self._thread.join(patience)

    def record(self, query: QueryRecord) -> None:
        """Take one, or count it as lost where too many wait already. It neither waits nor fails."""
        with self._changed:
            if len(self._waiting) < self._capacity:
                self._waiting.append(query)
            else:
                self._no_room += 1
            self._changed.notify_all()

    def flush(self, patience: float = 10.0) -> bool:
        """Wait until everything that was recorded is written or lost; False when that takes longer."""
        with self._changed:
            self._hurried = True
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: not self._waiting and not self._in_hand, patience)
            self._hurried = False
            return done

    # In the thread ----------------------------------------------------------------------------------------------------

    def _write_until_stopped(self) -> None:
        while self._has_work():
            try:
                batch = self._next_batch()
                if batch:
                    self._write_or_lose(batch)
                self._lose(0)
                self._forget_old_ones()
            except Exception:  # the outermost edge of this thread: the next batch may go well
                logger.exception("deliveries not written")
            with self._changed:
                self._in_hand = 0
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._stopping, self._pause)

    def _has_work(self) -> bool:
        """Wait for records, and for more to come with them, or until it is time to look for old ones; False at the
        end."""
        with self._changed:
            if self._changed.wait_for(lambda: self._waiting or self._stopping, FORGET_SECONDS):
                self._changed.wait_for(lambda: self._in_a_hurry or len(self._waiting) >= BATCH, GATHER_SECONDS)
            return bool(self._waiting) or not self._stopping

    def _next_batch(self) -> list[QueryRecord]:
        with self._changed:
            batch = take_batch(self._waiting)
            self._in_hand = len(batch)
            return batch

    @property
    def _in_a_hurry(self) -> bool:
        return self._hurried or self._stopping

    def _write_or_lose(self, batch: list[QueryRecord]) -> None:
        """One transaction; where the database is away, tried again for a little while."""
        for pause in (*self._retry_after, None):
            try:
                with borrowed_connection(), transaction.atomic():
                    write(batch)
                return
            except UNAVAILABLE as error:
                logger.warning("deliveries not written yet", extra={"error": type(error).__name__})
            except DatabaseError as error:
                logger.error("deliveries refused by the database", extra={"error": type(error).__name__})
                self._write_each(batch)
                return
            if pause is None or not self._may_wait(pause):
                break
        self._lose(len(batch))

    def _write_each(self, batch: list[QueryRecord]) -> None:
        """What is refused would be so again: one record must not cost the others."""
        if len(batch) == 1:
            self._lose(1)
            return
        for record in batch:
            self._write_or_lose([record])

    def _may_wait(self, pause: float) -> bool:
        """Wait so long; False when there is no time for that."""
        with self._changed:
            return not self._changed.wait_for(lambda: self._stopping, pause)

    def _lose(self, count: int) -> None:
        """Count what is lost, and tell of it together with what there was no room for."""
        with self._changed:
            lost, self._no_room = self._no_room + count, 0
        if lost:
            logger.warning("records of queries were lost", extra={"lost": lost})

    def _forget_old_ones(self) -> None:
        """Now and then, and not before the first batch: that the database is there."""
        if time.monotonic() - self._forgot_at < FORGET_SECONDS:
            return
        self._forgot_at = time.monotonic()
        try:
            with borrowed_connection():
                forgotten = WorklistQuery.objects.delete_older_than(timedelta(days=settings.MWL_KEEP_QUERIES_DAYS))
        except UNAVAILABLE:
            return  # the next hour comes
        if forgotten:
            logger.info("old queries removed", extra={"removed": forgotten})


def take_batch(waiting: deque[QueryRecord]) -> list[QueryRecord]:
    """Take away the first ones, as many as one transaction may hold; one that is too large for that goes alone."""
    batch: list[QueryRecord] = []
    links = 0
    while waiting and len(batch) < BATCH and (not batch or links + waiting[0].links <= LINKS):
        links += waiting[0].links
        batch.append(waiting.popleft())
    return batch


def write(records: Iterable[QueryRecord]) -> None:
    """The rows of some queries, with what they showed. Items that are gone meanwhile are passed over."""
    records = list(records)
    there = _still_there({item for record in records for item in (*record.shown, *record.left_out)})
    rows = WorklistQuery.objects.bulk_create([_row(record) for record in records])
    shown = WorklistQuery.items.through
    shown.objects.bulk_create(
        [
            shown(worklistquery_id=row.pk, worklistitem_id=item)
            for row, record in zip(rows, records, strict=True)
            for item in record.shown
            if item in there
        ]
    )
    for record in records:
        for items in _chunks([item for item in record.shown if item in there]):
            Delivery.objects.add(items, record.calling_ae_title, record.asked_at)
        alarms = {item: attribute for item, attribute in record.left_out.items() if item in there}
        if alarms:
            ItemAlarm.objects.add(alarms, record.asked_at)
    QueryTally.objects.add(rows)  # last: other SCPs that count wait here for the end of this transaction


def _row(record: QueryRecord) -> WorklistQuery:
    return WorklistQuery(
        asked_at=record.asked_at,
        calling_ae_title=record.calling_ae_title[:16],
        called_ae_title=record.called_ae_title[:16],
        address=record.address[:45],
        keys=dict(record.keys),
        outcome=record.outcome,
        status=record.status,
        comment=record.comment[:64],
        matched=len(record.shown),
        left_out=len(record.left_out),
        duration_ms=record.duration_ms,
        correlation_id=record.correlation_id,
    )


def _still_there(items: set[UUID]) -> set[UUID]:
    return {
        found
        for some in _chunks(sorted(items))
        for found in WorklistItem.objects.filter(pk__in=some).values_list("pk", flat=True)
    }


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """No database takes any number of parameters in one statement."""
    return (items[start : start + IDS_AT_ONCE] for start in range(0, len(items), IDS_AT_ONCE))
