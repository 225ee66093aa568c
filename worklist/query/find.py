"""Owns the answer to one C-FIND on the Modality Worklist (PS3.4 section K.4.1)."""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from pydicom.dataset import Dataset
from pynetdicom.events import Event

from core.correlation import correlated, correlation_id, new_correlation_id
from core.database import borrowed_connection
from core.tracing import Span, span
from dicom import statuses
from dicom.failures import Failure, UnreadableDataSet, common_failures, failure_response
from dicom.server import ServerContext, requestor_of
from dicom.unreadable import UNREADABLE
from worklist.configuration import matching_options
from worklist.models import WorklistItem
from worklist.query.delivery_log import DeliveryLog, QueryRecord
from worklist.query.kept_keys import kept_keys, keyed_hash
from worklist.query.matching import BadKey, keys_from, restricted
from worklist.query.response import Unshowable, has_unsupported_key, leaves_out, response_for

logger = logging.getLogger(__name__)

ROWS_BETWEEN_PAUSES = 10

Response = tuple[int | Dataset, Dataset | None]

FAILURES = (
    Failure((BadKey,), lambda key: statuses.failure(statuses.IDENTIFIER_DOES_NOT_MATCH, str(key), offending=key.tag)),
    *common_failures(
        database_away=statuses.DATABASE_AWAY,
        refused=statuses.MAY_NOT_ASK,
        unreadable=statuses.CANNOT_BE_READ,
        internal_error=statuses.INTERNAL_ERROR,
    ),
)


@dataclass
class WorklistContext(ServerContext):
    """What the handlers share: the server's context, and the log of what was delivered to which modality."""

    deliveries: DeliveryLog = field(default_factory=DeliveryLog)
    last_query_at: datetime | None = None


def answer_find(event: Event, context: WorklistContext) -> Iterator[Response]:
    """Every response but the final success, which pynetdicom sends when this ends."""
    with correlated(new_correlation_id()), borrowed_connection(), span("C-FIND") as traced:
        query = _Query(event, context)
        try:
            yield from query.responses()
        except Exception as error:  # noqa: BLE001 - the outermost edge of a query
            yield query.fail(failure_response(error, FAILURES, query.requestor))
        finally:
            query.log(traced)


class _Query:
    """One query in hand: the request, and what has become of it."""

    def __init__(self, event: Event, context: WorklistContext) -> None:
        self.event = event
        self.context = context
        self.requestor = requestor = requestor_of(event)
        self.calling_ae_title = requestor.calling_ae_title
        self.policy = context.policy.modalities.policy_for(self.calling_ae_title)
        self.started = time.monotonic()
        self.key_names: list[str] = []
        self.shown: list[str] = []
        self._on_their_way: list[UUID] = []
        context.last_query_at = asked_at = timezone.now()
        self.record = QueryRecord(
            asked_at=asked_at,
            calling_ae_title=requestor.calling_ae_title,
            called_ae_title=requestor.called_ae_title,
            address=requestor.address,
            correlation_id=correlation_id(),
        )

    def responses(self) -> Iterator[Response]:
        """The items that match, each as a pending response; then the end, unless that is a plain success."""
        self.context.policy.check_request(self.requestor)
        request = self._identifier()
        self.record.keys = kept_keys(request, keyed_hash(settings.SECRET_KEY))
        keys = keys_from(request, matching_options())
        self.key_names = [demand.name for demand in keys.demands if demand.asked]
        most = self.policy.max_rows or settings.MWL_MAX_ROWS
        unsupported = has_unsupported_key(request)
        for item in WorklistItem.objects.matching(restricted(keys, self.policy, self.calling_ae_title)):
            if len(self.shown) % ROWS_BETWEEN_PAUSES == 0 and not self._sent():
                return
            if self._is_cancelled():
                self._sent()
                self._end("cancelled", statuses.CANCELLED)
                yield statuses.CANCELLED, None
                return
            if len(self.shown) == most:
                self._sent()
                comment = f"More than {most} matches; narrow the query"
                yield self.fail(statuses.failure(statuses.OUT_OF_RESOURCES, comment))
                return
            try:
                response = self._response_for(item, request)
            except Unshowable as keyword:
                self.record.left_out[item.pk] = str(keyword)
                logger.error("item left out: illegal value", extra={"item": str(item.pk), "attribute": str(keyword)})
                continue
            self.shown.append(item.correlation_id)
            self._on_their_way.append(item.pk)
            warned = unsupported or leaves_out(request, response)
            yield statuses.PENDING_WITH_UNSUPPORTED_KEYS if warned else statuses.PENDING, response
        if self._sent():
            self._end("answered", statuses.SUCCESS)

    def _response_for(self, item: WorklistItem, request: Dataset) -> Dataset:
        """A data set with something in it: pynetdicom cannot send an empty one, and would end the answer with C312.

        A request that asks for nothing that is known here is no worklist request, and is answered with the whole item.
        """
        terms = (self.calling_ae_title, timezone.get_default_timezone(), self.policy.character_set, matching_options())
        response = response_for(item, request, *terms)
        return response if len(response) else response_for(item, Dataset(), *terms)

    def _sent(self) -> bool:
        """Wait until all responses so far are on their way, and count them as shown; False when the requestor is gone.

        pynetdicom reads nothing as long as it has something to send: without these pauses no C-CANCEL would be seen.
        """
        provider = self.event.assoc.dul
        while not self._requestor_is_gone():
            if provider.to_provider_queue.empty():
                self.record.shown += self._on_their_way
                self._on_their_way = []
                return True
            time.sleep(0.001)
        return False

    def _is_cancelled(self) -> bool:
        return self.event.is_cancelled or self.context.cancels.has(self.event.assoc, self.event.request.MessageID)

    def _requestor_is_gone(self) -> bool:
        return not self.event.assoc.dul.is_alive() or self.event.assoc.acse.is_aborted()

    def fail(self, status: Dataset) -> Response:
        """The final response of a query that failed."""
        self._end("failed", status.Status, status.ErrorComment)
        return status, None

    def _end(self, outcome: str, status: int, comment: str = "") -> None:
        self.record.outcome, self.record.status, self.record.comment = outcome, f"{status:04X}", comment

    def log(self, traced: Span) -> None:
        """What a query leaves: a record, a line that says who asked, by which keys (their names) and what came, and the
        same in a trace."""
        record = self.record
        record.duration_ms = int((time.monotonic() - self.started) * 1000)
        self.context.deliveries.record(record)
        fields: dict[str, str | int] = {
            "calling_ae_title": self.calling_ae_title,
            "address": record.address,
            "keys": ",".join(self.key_names),
            "outcome": record.outcome if record.outcome != "failed" else self._failure(),
            "matched": len(record.shown),
            "left_out": len(record.left_out),
            "ms": record.duration_ms,
            "shown": ",".join(self.shown[: len(record.shown)]),
        }
        traced.set(**fields)
        logger.info("worklist query answered", extra=fields)

    def _failure(self) -> str:
        return f"failed with {self.record.status}: {self.record.comment}"

    def _identifier(self) -> Dataset:
        """The request's data set with every element of it read."""
        try:
            identifier = self.event.identifier
            identifier.decode()
        except UNREADABLE as error:
            raise UnreadableDataSet("The identifier cannot be read") from error
        return identifier
