"""Share the database between threads: borrowed and lent connections, a limit of concurrent users, and advisory locks.

Django keeps a connection for each thread. The listener and the SCP work in threads that come and go; each of them would
leave an open connection behind if it did not borrow one. Both lend theirs to the thread that comes next.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from django.db import (
    DEFAULT_DB_ALIAS,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    reset_queries,
    transaction,
)
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

#: What Django raises while the database is locked, full or unavailable. The same request may succeed later.
UNAVAILABLE = (OperationalError, InterfaceError)
#: PostgreSQL's codes for a transaction that was aborted so that another could go on.
DEADLOCK_OR_SERIALIZATION = frozenset({"40P01", "40001"})
#: A connection that has been idle for longer is asked whether it still works before it is used. Seconds.
CHECKED_AFTER_SECONDS = 1.0

Result = TypeVar("Result")
#: Gives the thread a connection for the length of a block.
LendConnection = Callable[[], AbstractContextManager[None]]


def import_driver() -> None:
    """Import the database's driver now, and not at its first use."""
    connections[DEFAULT_DB_ALIAS]


class DatabaseBusy(Exception):
    """All slots of a ConcurrencyLimit stayed in use for the whole wait."""


class ConcurrencyLimit:
    """Lets `at_once` threads use the database; any other waits up to `wait_seconds` and then gets DatabaseBusy.

    While the database is locked or unavailable, each thread that uses it waits for as long as a lock or a connection
    may take. The limit answers the threads behind them in time, and does not hold up those that need no database.
    First come, first served: with Python's semaphore a newcomer may overtake a waiting thread again and again.
    """

    def __init__(self, at_once: int, wait_seconds: float) -> None:
        self._free = at_once
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._waiting: deque[threading.Event] = deque()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one slot for the length of the block; raise DatabaseBusy if none is free in time."""
        turn = threading.Event()
        with self._lock:
            if self._free:
                self._free -= 1
                turn.set()
            else:
                self._waiting.append(turn)
        if not turn.wait(self._wait_seconds):
            with self._lock:
                if not turn.is_set():  # nobody has handed a slot over meanwhile
                    self._waiting.remove(turn)
                    raise DatabaseBusy
        try:
            yield
        finally:
            with self._lock:
                if self._waiting:
                    self._waiting.popleft().set()
                else:
                    self._free += 1


@contextmanager
def borrowed_connection() -> Iterator[None]:
    """Close the connections that this thread opens in the block, and keep no query in memory."""
    open_before = {id(connection) for connection in connections.all() if connection.connection is not None}
    try:
        yield
    finally:
        reset_queries()
        for connection in connections.all(initialized_only=True):
            if id(connection) not in open_before:
                connection.close()


class LentConnections:
    """Open connections that threads use one after the other: opening one takes as long as an action.

    Call `close_idle` every few seconds. Among others, that leaves SQLite's file without a log beside it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: What is not in use, the longest idle first: connection, file and time of its last use.
        self._idle: deque[tuple[BaseDatabaseWrapper, object, float]] = deque()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Give this thread an open connection for the length of the block, unless it has one of its own."""
        own = connections[DEFAULT_DB_ALIAS]
        if own.connection is not None:
            yield
            return
        lent = self._take()
        connections[DEFAULT_DB_ALIAS] = lent
        try:
            yield
        finally:
            reset_queries()
            connections[DEFAULT_DB_ALIAS] = own
            if lent.errors_occurred:
                lent.close()
            self._idle.append((lent, _file_of(lent), self._clock()))

    def close_idle(self, seconds: float = 0.0) -> None:
        """Close the connections that have been idle for this many seconds."""
        for _ in range(len(self._idle)):
            try:
                lent, _file, used_at = self._idle.popleft()
            except IndexError:  # taken meanwhile
                return
            if self._clock() - used_at < seconds:
                self._idle.append((lent, _file, used_at))
            else:
                lent.close()

    def _take(self) -> BaseDatabaseWrapper:
        try:
            lent, file, used_at = self._idle.pop()
        except IndexError:
            lent = connections.create_connection(DEFAULT_DB_ALIAS)
            lent.inc_thread_sharing()
            return lent
        # The server may have gone since; SQLite's file may have been replaced, and the open one would be lost.
        is_old = self._clock() - used_at > CHECKED_AFTER_SECONDS
        if lent.connection is not None and (file != _file_of(lent) or (is_old and not lent.is_usable())):
            lent.close()
        return lent


def _file_of(database: BaseDatabaseWrapper) -> object:
    """Identify the file of an SQLite database; None for any other."""
    if database.vendor != "sqlite":
        return None
    try:
        file = Path(str(database.settings_dict["NAME"])).stat()
    except OSError:
        return None
    return file.st_dev, file.st_ino


def in_transaction(operation: Callable[[], Result]) -> Result:
    """Run the operation in a transaction, and once more if the database aborts it to resolve a deadlock.

    Neither Manage nor most modalities would send it again.
    """
    try:
        with transaction.atomic():
            return operation()
    except OperationalError as error:
        if getattr(error.__cause__, "sqlstate", "") not in DEADLOCK_OR_SERIALIZATION:
            raise
        with transaction.atomic():
            return operation()


def serialise_on(*names: str) -> None:
    """Wait until no other transaction holds any of these names, and hold them until this transaction ends.

    For things that may have no row to lock yet. SQLite needs no lock, as it has only one writer at a time.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for name in sorted(set(names)):  # always in the same order, so that two transactions cannot deadlock
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])


def last_lock(name: str) -> None:
    """Hold a name until this transaction commits. It must be the last lock that the transaction takes.

    So it cannot be part of a deadlock, whatever was locked before. Code that does several things in one transaction
    ends the transaction as soon as it `holds_last_lock`.
    """
    serialise_on(name)
    transaction.on_commit(_released)


def holds_last_lock() -> bool:
    """Return whether this transaction has taken its last lock."""
    return any(registered[1] is _released for registered in connection.run_on_commit)


def _released() -> None:
    """Mark a transaction that holds its last lock; a savepoint that is rolled back takes the mark with it."""


@receiver(connection_created)
def read_malformed_text(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Decode malformed UTF-8 in SQLite with surrogates.

    SQLite stores bytes that are no text, and Python then refuses the whole result. With surrogates only the row that
    has them is lost: no modality is sent it.
    """
    if connection.vendor == "sqlite":
        connection.connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
