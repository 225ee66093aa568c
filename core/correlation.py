"""Owns the correlation id: one short text that follows an action from the relay's accept to its row and its replies.

It lives in a context variable: `asyncio.to_thread` and tasks carry it along, each association's thread sets its own.
"""

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[str] = ContextVar("correlation_id", default="")


def new_correlation_id() -> str:
    """16 hex digits, made here: what a sender sends may be anything."""
    return secrets.token_hex(8)


def correlation_id() -> str:
    """The id in force; empty outside `correlated`."""
    return _current.get()


@contextmanager
def correlated(identifier: str) -> Iterator[str]:
    """Everything inside is logged and stored under this id."""
    token = _current.set(identifier)
    try:
        yield identifier
    finally:
        _current.reset(token)


class CorrelationFilter(logging.Filter):
    """Puts the id in force on each log record that brings none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always keeps the record."""
        if not hasattr(record, "correlation_id"):
            record.correlation_id = correlation_id()
        return True
