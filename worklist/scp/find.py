"""Owns the answer to one C-FIND on the Modality Worklist (PS3.4 section K.4.1)."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.conf import settings
from django.utils import timezone
from pydicom.dataset import Dataset
from pynetdicom.events import Event

from core.correlation import correlated, correlation_id, new_correlation_id
from core.database import UNAVAILABLE, borrowed_connection
from worklist.datasets import Unshowable, has_unsupported_key, response_for
from worklist.matching import BadKey, keys_from
from worklist.models import WorklistItem
from worklist.scp import statuses
from worklist.scp.delivery_log import DeliveryLog, QueryRecord
from worklist.scp.directory import Directory

logger = logging.getLogger(__name__)

ROWS_BETWEEN_PAUSES = 10

Response = tuple[int | Dataset, Dataset | None]


@dataclass(frozen=True)
class Desk:
    """What all queries of a server share: what is known of the askers, and where it is kept what they were shown."""

    directory: Directory = field(default_factory=Directory)
    deliveries: DeliveryLog = field(default_factory=DeliveryLog)


def answer_find(event: Event, desk: Desk) -> Iterator[Response]:
    """Every response but the final success, which pynetdicom sends when this ends."""
    with correlated(new_correlation_id()), borrowed_connection():
        query = _Query(event, desk)
        try:
            yield from query.responses()
        except BadKey as problem:
            yield query.fail(statuses.failure(statuses.IDENTIFIER_DOES_NOT_MATCH, str(problem), problem.tag))
        except _Unreadable:
            yield query.fail(statuses.failure(statuses.CANNOT_BE_READ, "The identifier cannot be read"))
        except UNAVAILABLE as error:
            logger.error("the database cannot answer now", extra={"error": type(error).__name__})
            yield query.fail(statuses.failure(statuses.DATABASE_AWAY, "Database not available, try again"))
        except Exception:  # the outermost edge of a query: pynetdicom would log the exception's words, values and all
            logger.exception("query failed")
            yield query.fail(statuses.failure(statuses.INTERNAL_ERROR, "Fault in the gateway, see its log"))
        finally:
            query.log()


class _Unreadable(Exception):
    """The bytes of the identifier are no data set."""


class _Query:
    """One query in hand: the request, and what has become of it."""

    def __init__(self, event: Event, desk: Desk) -> None:
        requestor, acceptor = event.assoc.requestor, event.assoc.acceptor
        self.event = event
        self.desk = desk
        self.calling_ae_title = str(requestor.ae_title).strip()
        self.policy = desk.directory.policy_for(self.calling_ae_title)
        self.started = time.monotonic()
        self.key_names: list[str] = []
        self.shown: list[str] = []
        self.record = QueryRecord(
            asked_at=timezone.now(),
            calling_ae_title=self.calling_ae_title,
            called_ae_title=str(acceptor.ae_title).strip(),
            address=str(requestor.address),
            correlation_id=correlation_id(),
        )

    def responses(self) -> Iterator[Response]:
        """The items that match, each as a pending response; then the end, unless that is a plain success."""
        request = self._identifier()
        keys = keys_from(request)
        self.key_names = [key.attribute.keyword for key in keys.keys] + (["Period"] if keys.period else [])
        most = self.policy.max_rows or settings.MWL_MAX_ROWS
        pending = statuses.PENDING_WITH_UNSUPPORTED_KEYS if has_unsupported_key(request) else statuses.PENDING
        for item in WorklistItem.objects.matching(keys):
            if len(self.shown) % ROWS_BETWEEN_PAUSES == 0 and not self._sent():
                return
            if self.event.is_cancelled:
                self._end("cancelled", statuses.CANCELLED)
                yield statuses.CANCELLED, None
                return
            if len(self.shown) == most:
                comment = f"More than {most} matches; narrow the query"
                yield self.fail(statuses.failure(statuses.OUT_OF_RESOURCES, comment))
                return
            try:
                response = response_for(item, request, self.calling_ae_title, timezone.get_default_timezone())
            except Unshowable as keyword:
                self.record.left_out[item.pk] = str(keyword)
                logger.error("item left out: illegal value", extra={"item": str(item.pk), "attribute": str(keyword)})
                continue
            self.shown.append(item.correlation_id)
            self.record.shown.append(item.pk)
            yield pending, response
        self._end("answered", statuses.SUCCESS)

    def _sent(self) -> bool:
        """Wait until all responses so far are on their way; False when the asker is gone.

        pynetdicom reads nothing as long as it has something to send: without these pauses no C-CANCEL would be seen.
        """
        provider = self.event.assoc.dul
        while not self._asker_is_gone():
            if provider.to_provider_queue.empty():
                return True
            time.sleep(0.001)
        return False

    def _asker_is_gone(self) -> bool:
        return not self.event.assoc.dul.is_alive() or self.event.assoc.acse.is_aborted()

    def fail(self, status: Dataset) -> Response:
        """The final response of a query that failed."""
        self._end("failed", status.Status, status.ErrorComment)
        return status, None

    def _end(self, outcome: str, status: int, comment: str = "") -> None:
        self.record.outcome, self.record.status, self.record.comment = outcome, f"{status:04X}", comment

    def log(self) -> None:
        """What a query leaves: a record, and a line that says who asked, by which keys (their names) and what came."""
        record = self.record
        record.duration_ms = int((time.monotonic() - self.started) * 1000)
        self.desk.deliveries.record(record)
        logger.info(
            "worklist query answered",
            extra={
                "calling_ae_title": self.calling_ae_title,
                "address": record.address,
                "keys": ",".join(self.key_names),
                "outcome": record.outcome if record.outcome != "failed" else self._failure(),
                "matched": len(self.shown),
                "left_out": len(record.left_out),
                "ms": record.duration_ms,
                "shown": ",".join(self.shown),
            },
        )

    def _failure(self) -> str:
        return f"failed with {self.record.status}: {self.record.comment}"

    def _identifier(self) -> Dataset:
        """The request's data set with every element of it read."""
        try:
            identifier = self.event.identifier
            identifier.decode()
        except Exception as error:
            raise _Unreadable from error
        return identifier
