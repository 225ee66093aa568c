"""Give everything that belongs to one action, query or report the same correlation id.

The id follows an action from the relay's accept message to its log lines, its rows and the answers that show it. It
lives in a context variable: tasks and `asyncio.to_thread` inherit it, and each association's thread sets its own.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("correlation_id", default="")


def new_correlation_id() -> str:
    """Return 16 random hex digits. A sender's own id is not used, as it may contain anything."""
    return secrets.token_hex(8)


def correlation_id() -> str:
    """Return the current id; empty outside `correlated`."""
    return _current.get()


@contextmanager
def correlated(identifier: str) -> Iterator[str]:
    """Make this the current id for the length of the block."""
    token = _current.set(identifier)
    try:
        yield identifier
    finally:
        _current.reset(token)


class CorrelationFilter(logging.Filter):
    """Adds the current id to each log record that has none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id. True keeps the record."""
        if not hasattr(record, "correlation_id"):
            record.correlation_id = correlation_id()
        return True
