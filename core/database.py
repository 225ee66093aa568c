"""Owns how a thread borrows a database connection and gives it back.

Django keeps a connection per thread. Listener and SCP work in threads that come and go: without this each of them
would leave an open connection behind.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import InterfaceError, OperationalError, connections, reset_queries

#: What Django raises when the store cannot take it now: locked, full, away. The same request may succeed later.
UNAVAILABLE = (OperationalError, InterfaceError)


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
