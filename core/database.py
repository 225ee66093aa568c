"""Owns how a thread borrows a database connection and gives it back.

Django keeps a connection per thread. Listener and SCP work in threads that come and go: without this each of them
would leave an open connection behind.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError, connection, connections, reset_queries
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.dispatch import receiver

#: What Django raises when the store cannot take it now: locked, full, away. The same request may succeed later.
UNAVAILABLE = (OperationalError, InterfaceError)


class StoreBusy(Exception):
    """Too many are at the store already, and none of them left in time."""


class StoreGate:
    """Lets so many in at once; more wait at most `wait_seconds` and then get StoreBusy.

    A store that is locked or away keeps everybody who is in for as long as they wait themselves. Those at the gate are
    told in time, and those who need no store are not kept at all.
    """

    def __init__(self, at_once: int, wait_seconds: float) -> None:
        self._places = threading.BoundedSemaphore(at_once)
        self._wait_seconds = wait_seconds

    @contextmanager
    def entered(self) -> Iterator[None]:
        """One place at the store."""
        if not self._places.acquire(timeout=self._wait_seconds):
            raise StoreBusy
        try:
            yield
        finally:
            self._places.release()


@contextmanager
def borrowed_connection() -> Iterator[None]:
    """Connections that this thread opens inside are closed at the end, and no query is kept in memory."""
    open_before = {id(connection) for connection in connections.all() if connection.connection is not None}
    try:
        yield
    finally:
        reset_queries()
        for connection in connections.all(initialized_only=True):
            if id(connection) not in open_before:
                connection.close()


def take_turns(*about: str) -> None:
    """Wait until no other transaction is at any of these things, and keep them until this transaction ends.

    For what no row can be locked for, as it may not be there yet. SQLite has one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for thing in sorted(set(about)):  # in an order that is the same for everybody
                cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [thing])


@receiver(connection_created)
def read_text_that_is_broken(connection: BaseDatabaseWrapper, **_: Any) -> None:
    """SQLite keeps bytes that are no text. Python refuses the whole answer for one of them; read with surrogates, they
    cost only the row that has them, which no modality is shown."""
    if connection.vendor == "sqlite":
        connection.connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
