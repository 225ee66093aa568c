"""Owns what a log may say: never a name, number, birth date, token or key, at any level, ours or a library's.

Three rules do it. Our own lines are fixed sentences with ids, types, statuses and durations as `extra`. Of a
library's lines those below INFO are not written, nor its extras: frames, headers, SQL and PDUs are there. Of an
exception the types and places are shown, its words only where the class is known to quote no value: psycopg's errors
quote whole rows.
"""

import json
import logging
import re
import sys
import threading
import time
import traceback
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import SystemCheckError

logger = logging.getLogger(__name__)

OUR_PACKAGES = ("core", "dashboard", "dicom", "gateway_project", "nonprod", "relay", "worklist")
#: Exceptions whose text names hosts, files, settings and error numbers only.
QUOTABLE_EXCEPTIONS: tuple[type[BaseException], ...] = (OSError, ImproperlyConfigured, ImportError, SystemCheckError)
#: Loggers whose lines can quote values at any level: only warnings are kept, and of their text where it came from.
UNQUOTABLE_LOGGERS = ("asyncio", "django.db.backends", "py.warnings", "pydicom", "pynetdicom", "websockets")

#: How `logging.captureWarnings` begins a line: file, line, category.
WARNING_PLACE = re.compile(r"[^:\n]+:\d+: \w+(?=:)")

_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "correlation_id", "taskName"}


def _belongs_to(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


class LibraryFilter(logging.Filter):
    """Keeps our own records and a library's from INFO on; the text of those that can quote values goes."""

    def filter(self, record: logging.LogRecord) -> bool:
        """False for what must not be written."""
        if _belongs_to(record.name, OUR_PACKAGES):
            return True
        unquotable = _belongs_to(record.name, UNQUOTABLE_LOGGERS)
        if record.levelno < (logging.WARNING if unquotable else logging.INFO):
            return False
        if unquotable:
            record.msg, record.args = _place_of(record), None
        return True


def _place_of(record: logging.LogRecord) -> str:
    """Where an unquotable line came from; of a warning that is told in its own text, before its words."""
    warning = WARNING_PLACE.match(record.getMessage()) if record.name == "py.warnings" else None
    return warning[0] if warning else f"{record.module}.{record.funcName}, line {record.lineno}"


def describe_exception(error: BaseException | None) -> str:
    """`Type` or, where the text holds no values, `Type: text`."""
    if error is None:
        return ""
    name = type(error).__qualname__
    return f"{name}: {error}" if isinstance(error, QUOTABLE_EXCEPTIONS) and str(error) else name


def describe_traceback(error: BaseException) -> str:
    """The frames and the exceptions of a chain, oldest first, without a value of any of them."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{describe_traceback(earlier)}\nand then:\n" if earlier else ""
    frames = traceback.extract_tb(error.__traceback__)
    places = "".join(f"  {frame.filename}, line {frame.lineno}, in {frame.name}\n" for frame in frames)
    return f"{before}{places}{describe_exception(error)}"


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """What one of our own lines was given as `extra`; a library's may hold anything."""
    if not _belongs_to(record.name, OUR_PACKAGES):
        return {}
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_ATTRIBUTES}


class ReadableFormatter(logging.Formatter):
    """For a person at a terminal: time, level, logger, sentence, then key=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line, with the correlation id and the extras behind it."""
        pairs = {"correlation_id": getattr(record, "correlation_id", ""), **extras(record)}
        tail = " ".join(f"{key}={value}" for key, value in pairs.items() if value != "")
        return f"{super().formatMessage(record)} {tail}".rstrip()

    def format(self, record: logging.LogRecord) -> str:
        """The line and, below it, the traceback; not the one that another formatter may have left in the record."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        error = record.exc_info[1] if record.exc_info else None
        return self.formatMessage(record) + (f"\n{describe_traceback(error)}" if error else "")


class JsonFormatter(logging.Formatter):
    """For a log collector: one JSON object a line."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """`time` (ISO 8601, UTC), `level`, `logger`, `message`, `correlation_id`, then the extras and `traceback`."""
        line = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "correlation_id": getattr(record, "correlation_id", ""),
            **extras(record),
        }
        if record.exc_info and record.exc_info[1]:
            line["traceback"] = describe_traceback(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False, default=str)


def log_uncaught_exceptions() -> None:
    """What ends this process or one of its threads goes into the log, and not with all its words to stderr."""
    logging.raiseExceptions = False  # logging's own failures would print the arguments of the line

    def log(error: BaseException | None, thread: str) -> None:
        logger.critical("uncaught exception", exc_info=error, extra={"where": thread})

    sys.excepthook = lambda _type, error, _traceback: log(error, "main")
    threading.excepthook = lambda args: log(args.exc_value, args.thread.name if args.thread else "")
