"""Turn the exception that ends a DIMSE request into the response that reports it.

Each service has one table: its own rows, then those that every service shares (`common_failures`), with its own
statuses. A handler catches everything at its outermost edge and asks `failure_response`, which also writes the log:

    except Exception as error:
        response = failure_response(error, FIND_FAILURES, requestor)

An exception that gets past the handler ends the association.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import InternalError

from core.database import UNAVAILABLE
from dicom.association_policy import ModalitiesUnknown, Requestor, RequestRefused
from dicom.service import IncompleteDataSet, Response
from dicom.statuses import failure

logger = logging.getLogger(__name__)


class UnreadableDataSet(Exception):
    """The bytes of a request are not a data set; the text is the ErrorComment."""

    @classmethod
    def in_element(cls, tag: int, fault: str) -> "UnreadableDataSet":
        """Return the exception for an element, which the text names by its tag: `(0010,0010) is cut off`."""
        return cls(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) {fault}")


@dataclass(frozen=True)
class FailureRow:
    """One row of a table: what a request ends with when one of these exceptions is raised.

    `level` is that of a log record about the failure; None where the handler's own line about the request says enough.
    `reason` names the row where failures are counted.
    """

    exceptions: tuple[type[Exception], ...]
    response: Callable[[Any], Response]
    level: int | None = None
    with_traceback: bool = False
    reason: str = ""


def common_failures(
    *, database_unavailable: int, refused: int, incomplete: int, unreadable: int, internal_error: int
) -> tuple[FailureRow, ...]:
    """Return the rows that every service shares, with the statuses of one service. They catch every exception."""
    return (
        FailureRow(
            (ModalitiesUnknown, *UNAVAILABLE),
            lambda _: failure(database_unavailable, "Database not available, try again"),
            logging.ERROR,
            reason="database",
        ),
        FailureRow(  # PostgreSQL while it takes no changes, such as after a failover
            (InternalError,),
            lambda _: failure(database_unavailable, "Database not available, try again"),
            logging.ERROR,
            with_traceback=True,
            reason="database",
        ),
        FailureRow(
            (RequestRefused,),
            lambda refusal: failure(refused, f"Refused: {refusal}"),
            logging.WARNING,
            reason="not_allowed",
        ),
        FailureRow(
            (IncompleteDataSet,),
            lambda _: failure(incomplete, "The data set announced has not arrived"),
            reason="incomplete",
        ),
        FailureRow((UnreadableDataSet,), lambda problem: failure(unreadable, str(problem)), reason="unreadable"),
        FailureRow(
            (Exception,),
            lambda _: failure(internal_error, "Fault in the gateway, see its log"),
            logging.ERROR,
            with_traceback=True,
            reason="fault",
        ),
    )


def failure_row(error: Exception, table: tuple[FailureRow, ...]) -> FailureRow:
    """Return the first row of the table that has the exception."""
    return next(row for row in table if isinstance(error, row.exceptions))


def failure_response(error: Exception, table: tuple[FailureRow, ...], requestor: Requestor) -> Response:
    """Return the response of the first row that has the exception, and log the failure as the row says."""
    row = failure_row(error, table)
    response = row.response(error)
    if row.level is not None:
        extra = {
            "calling_ae_title": requestor.calling_ae_title,
            "comment": response.comment,
            "error": type(error).__name__,
        }
        logger.log(row.level, "request failed", extra=extra, exc_info=error if row.with_traceback else None)
    return response
