"""Keep patient data, tokens and keys out of the log, at every level, in our own lines and in those of libraries.

What may be logged, in three rules:

1. Our own lines are fixed sentences. What varies goes into `extra`: ids and accession numbers, AE titles and
   addresses, DICOM keywords, types, statuses, reasons, counts and durations, as in
   `logger.info("action answered", extra={"outcome": outcome})`. Nothing may name or describe a woman, and no token or
   key may be in it.
2. A library's lines below INFO are dropped, and so are its extras: they hold frames, headers, SQL and PDUs. Libraries
   that quote values at any level (UNQUOTABLE_LOGGERS) are reduced to warnings, and those to where they came from.
3. Of an exception, types and places are logged. Its text is logged only for QUOTABLE_EXCEPTIONS, which name hosts,
   files and settings; psycopg's errors, for instance, quote whole rows.

`LibraryFilter` and the two formatters apply the rules; the settings attach them to the only handler.
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

OUR_PACKAGES = ("core", "dashboard", "dicom", "gateway_project", "images", "nonprod", "relay", "worklist")
#: Exceptions whose text has only hosts, files, settings and error numbers.
QUOTABLE_EXCEPTIONS: tuple[type[BaseException], ...] = (OSError, ImproperlyConfigured, ImportError, SystemCheckError)
#: Loggers whose lines may quote values at any level.
UNQUOTABLE_LOGGERS = ("asyncio", "django.db.backends", "httpx", "py.warnings", "pydicom", "pynetdicom", "websockets")

#: The start of a line of `logging.captureWarnings`: file, line, category.
WARNING_PLACE = re.compile(r"[^:\n]+:\d+: \w+(?=:)")

_STANDARD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "correlation_id", "taskName"}


def _belongs_to(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


class LibraryFilter(logging.Filter):
    """Drops a library's records below INFO, and replaces the text of those that may quote values (rule 2)."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Return False for a record that must not be written."""
        if _belongs_to(record.name, OUR_PACKAGES):
            return True
        unquotable = _belongs_to(record.name, UNQUOTABLE_LOGGERS)
        if record.levelno < (logging.WARNING if unquotable else logging.INFO):
            return False
        if unquotable:
            # A captured warning begins with the place it came from; the record's own place is in `logging`.
            warning = WARNING_PLACE.match(record.getMessage()) if record.name == "py.warnings" else None
            record.msg = warning[0] if warning else f"{record.module}.{record.funcName}, line {record.lineno}"
            record.args = None
        return True


def describe_exception(error: BaseException | None) -> str:
    """Return `Type`, or `Type: text` for QUOTABLE_EXCEPTIONS (rule 3); empty for None."""
    if error is None:
        return ""
    name = type(error).__qualname__
    return f"{name}: {error}" if isinstance(error, QUOTABLE_EXCEPTIONS) and str(error) else name


def describe_traceback(error: BaseException) -> str:
    """Return the frames and the exceptions of a chain, the oldest first, by rule 3."""
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    before = f"{describe_traceback(earlier)}\nand then:\n" if earlier else ""
    frames = traceback.extract_tb(error.__traceback__)
    places = "".join(f"  {frame.filename}, line {frame.lineno}, in {frame.name}\n" for frame in frames)
    return f"{before}{places}{describe_exception(error)}"


def extras(record: logging.LogRecord) -> dict[str, Any]:
    """Return the `extra` of one of our own records; nothing for a library's, which may hold anything."""
    if not _belongs_to(record.name, OUR_PACKAGES):
        return {}
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_ATTRIBUTES}


class ReadableFormatter(logging.Formatter):
    """Writes for a person at a terminal: time, level, logger, sentence, then key=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return the line, followed by the correlation id and the extras."""
        pairs = {"correlation_id": getattr(record, "correlation_id", ""), **extras(record)}
        tail = " ".join(f"{key}={value}" for key, value in pairs.items() if value != "")
        return f"{super().formatMessage(record)} {tail}".rstrip()

    def format(self, record: logging.LogRecord) -> str:
        """Return the line and our own traceback below it, never one that another formatter left in the record."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record, self.datefmt)
        error = record.exc_info[1] if record.exc_info else None
        return self.formatMessage(record) + (f"\n{describe_traceback(error)}" if error else "")


class JsonFormatter(logging.Formatter):
    """Writes for a log collector: one JSON object a line."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        """Return `time` (ISO 8601, UTC), `level`, `logger`, `message`, `correlation_id`, the extras and `traceback`."""
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
    """Log an exception that ends this process or a thread, instead of printing its text to stderr."""
    logging.raiseExceptions = False  # a failure inside logging would print the arguments of the line

    def log(error: BaseException | None, thread: str) -> None:
        logger.critical("uncaught exception", exc_info=error, extra={"where": thread})

    sys.excepthook = lambda _type, error, _traceback: log(error, "main")
    threading.excepthook = lambda args: log(args.exc_value, args.thread.name if args.thread else "")
