"""Share the database between threads: borrowed connections, a limit of concurrent users, and advisory locks.

Django keeps a connection for each thread. The listener and the SCP work in threads that come and go; each of them would
leave an open connection behind if it did not borrow one.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection, connections, reset_queries, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

#: What Django raises while the database is locked, full or unavailable. The same request may succeed later.
UNAVAILABLE = (OperationalError, InterfaceError)
#: PostgreSQL's codes for a transaction that was aborted so that another could go on.
DEADLOCK_OR_SERIALIZATION = frozenset({"40P01", "40001"})

Result = TypeVar("Result")


class DatabaseBusy(Exception):
    """All slots of a ConcurrencyLimit stayed in use for the whole wait."""


class ConcurrencyLimit:
    """Lets `at_once` threads use the database; any other waits up to `wait_seconds` and then gets DatabaseBusy.

    While the database is locked or unavailable, each thread that uses it waits for as long as a lock or a connection
    may take. The limit answers the threads behind them in time, and does not hold up those that need no database.
    """

    def __init__(self, at_once: int, wait_seconds: float) -> None:
        self._slots = threading.BoundedSemaphore(at_once)
        self._wait_seconds = wait_seconds

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one slot for the length of the block."""
        if not self._slots.acquire(timeout=self._wait_seconds):
            raise DatabaseBusy
        try:
            yield
        finally:
            self._slots.release()


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


def in_transaction(operation: Callable[[], Result]) -> Result:
    """Run the operation in a transaction, and once more if the database aborts it for another's sake (a deadlock).

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


@receiver(connection_created)
def read_malformed_text(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """Decode malformed UTF-8 in SQLite with surrogates.

    SQLite stores bytes that are no text, and Python then refuses the whole result. With surrogates only the row that
    has them is lost: no modality is sent it.
    """
    if connection.vendor == "sqlite":
        connection.connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
