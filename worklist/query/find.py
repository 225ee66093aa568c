"""Answer C-FIND requests on the Modality Worklist (PS3.4 K.4.1).

A handler of pynetdicom is a generator: each status and data set that it yields becomes one response, and at its end
pynetdicom sends the final success. pynetdicom only queues what is yielded, and while it has something to send it reads
nothing. So after every ROWS_BETWEEN_PAUSES responses, and before the end, `_Query` waits until the queue is empty:

- Only then are the queued items recorded as delivered to the modality. If the requestor has gone, they are not.
- Only then can a C-CANCEL have been read. The handler looks for one before each item.

Whatever happens, a query leaves a record in the delivery log, a line in the log and a trace. Its outcome is `answered`,
`cancelled`, `failed`, or `interrupted` if the requestor closed the association before the end.
"""

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
from dicom.data_set_reading import read_data_set
from dicom.failures import FailureRow, UnreadableDataSet, common_failures, failure_response
from dicom.server import ServerContext, requestor_of
from dicom.unreadable import UNREADABLE
from worklist.configuration import matching_options
from worklist.models import WorklistItem
from worklist.query.delivery_log import DeliveryLog, QueryRecord
from worklist.query.kept_keys import kept_keys, keyed_hash
from worklist.query.matching import BadKey, MatchingKeys, apply_policy, parse_matching_keys
from worklist.query.response import IllegalValue, has_unsupported_key, lacks_requested_attribute, response_for

logger = logging.getLogger(__name__)

ROWS_BETWEEN_PAUSES = 10

FindResponse = tuple[int | Dataset, Dataset | None]

#: Exception → the response that reports it.
FIND_FAILURES = (
    FailureRow(
        (BadKey,), lambda key: statuses.failure(statuses.IDENTIFIER_DOES_NOT_MATCH, str(key), offending=key.tag)
    ),
    *common_failures(
        database_unavailable=statuses.DATABASE_UNAVAILABLE,
        refused=statuses.NOT_PERMITTED,
        unreadable=statuses.UNREADABLE_IDENTIFIER,
        internal_error=statuses.INTERNAL_ERROR,
    ),
)


@dataclass
class WorklistContext(ServerContext):
    """What the handlers share: the server's context, and the log of what was delivered to which modality."""

    deliveries: DeliveryLog = field(default_factory=DeliveryLog)
    last_query_at: datetime | None = None


def answer_find(event: Event, context: WorklistContext) -> Iterator[FindResponse]:
    """Yield every response except the final success, which pynetdicom sends at the end."""
    with correlated(new_correlation_id()), borrowed_connection(), span("C-FIND") as traced:
        query = _Query(event, context)
        try:
            yield from query.responses()
        except Exception as error:  # noqa: BLE001 - the outermost edge of a query
            yield query.fail(failure_response(error, FIND_FAILURES, query.requestor))
        finally:
            query.log(traced)


class _Query:
    """One C-FIND request and its record, which grows while the responses are sent."""

    def __init__(self, event: Event, context: WorklistContext) -> None:
        self.event = event
        self.context = context
        self.requestor = requestor_of(event)
        self.policy = context.policy.modalities.policy_for(self.requestor.calling_ae_title)
        self.started = time.monotonic()
        self.key_names: list[str] = []
        self.correlation_ids: list[str] = []  # of the items, in the order of the responses
        self._queued: list[UUID] = []
        context.last_query_at = asked_at = timezone.now()
        self.record = QueryRecord(
            asked_at=asked_at,
            calling_ae_title=self.requestor.calling_ae_title,
            called_ae_title=self.requestor.called_ae_title,
            address=self.requestor.address,
            correlation_id=correlation_id(),
        )

    def responses(self) -> Iterator[FindResponse]:
        """Yield a pending response for each item that matches, then the final one unless it is the success."""
        # At the start of the query the modalities may not have been read: its list must not be an unknown machine's.
        self.policy = self.context.policy.check_request(self.requestor)
        request, keys = self._read()
        limit = self.policy.max_rows or settings.MWL_MAX_ROWS
        has_unsupported = has_unsupported_key(request)
        for item in WorklistItem.objects.matching(apply_policy(keys, self.policy, self.requestor.calling_ae_title)):
            if len(self.correlation_ids) % ROWS_BETWEEN_PAUSES == 0 and not self._wait_until_sent():
                return
            if self._is_cancelled():
                self._wait_until_sent()
                self._end("cancelled", statuses.CANCELLED)
                yield statuses.CANCELLED, None
                return
            if len(self.correlation_ids) == limit:
                self._wait_until_sent()
                comment = f"More than {limit} matches; narrow the query"
                yield self.fail(statuses.failure(statuses.OUT_OF_RESOURCES, comment))
                return
            try:
                response = self._response_for(item, request)
            except IllegalValue as keyword:
                self.record.left_out[item.pk] = str(keyword)
                logger.error("item left out: illegal value", extra={"item": str(item.pk), "attribute": str(keyword)})
                continue
            self.correlation_ids.append(item.correlation_id)
            self._queued.append(item.pk)
            warns = has_unsupported or lacks_requested_attribute(request, response)
            yield statuses.PENDING_WITH_UNSUPPORTED_KEYS if warns else statuses.PENDING, response
        if self._wait_until_sent():
            self._end("answered", statuses.SUCCESS)

    def fail(self, status: Dataset) -> FindResponse:
        """Record the failure and return its final response."""
        self._end("failed", status.Status, status.ErrorComment)
        return status, None

    def log(self, traced: Span) -> None:
        """Hand the record to the delivery log; write it to log and trace, with the names of the keys only."""
        record = self.record
        record.duration_ms = int((time.monotonic() - self.started) * 1000)
        self.context.deliveries.record(record)
        failure = f"failed with {record.status}: {record.comment}"
        fields: dict[str, str | int] = {
            "calling_ae_title": record.calling_ae_title,
            "address": record.address,
            "keys": ",".join(self.key_names),
            "outcome": failure if record.outcome == "failed" else record.outcome,
            "matched": len(record.shown),
            "left_out": len(record.left_out),
            "ms": record.duration_ms,
            "shown": ",".join(self.correlation_ids[: len(record.shown)]),
        }
        traced.set(**fields)
        logger.info("worklist query answered", extra=fields)

    def _read(self) -> tuple[Dataset, MatchingKeys]:
        """Decode the whole identifier, note its keys in the record, and return it with its matching keys."""
        received = self.event.request.Identifier  # type: ignore[union-attr]
        request = read_data_set(received.getvalue() if received else b"", self.event.context.transfer_syntax or "")
        try:
            request.decode()
        except UNREADABLE as error:
            raise UnreadableDataSet("The identifier cannot be read") from error
        self.record.keys = kept_keys(request, keyed_hash(settings.SECRET_KEY))
        keys = parse_matching_keys(request, matching_options())
        self.key_names = [criterion.name for criterion in keys.criteria if criterion.query_value]
        return request, keys

    def _response_for(self, item: WorklistItem, request: Dataset) -> Dataset:
        """Return a response that is never empty: pynetdicom would fail to send it, and end the answer with C312.

        A request for attributes that are all unknown here is answered with the whole item.
        """
        requestor, policy = self.requestor, self.policy
        zone, options = timezone.get_default_timezone(), matching_options()
        for identifier in (request, Dataset()):
            response = response_for(item, identifier, requestor.calling_ae_title, zone, policy.character_set, options)
            if len(response):
                break
        return response

    def _wait_until_sent(self) -> bool:
        """Wait until the queued responses are sent, and record them as shown; False if the requestor has gone."""
        association = self.event.assoc
        while association.dul.is_alive() and not association.acse.is_aborted():
            if association.dul.to_provider_queue.empty():
                self.record.shown += self._queued
                self._queued = []
                return True
            time.sleep(0.001)
        return False

    def _is_cancelled(self) -> bool:
        return self.event.is_cancelled or self.context.cancel_requests.is_cancelled(
            self.event.assoc, self.event.request.MessageID
        )

    def _end(self, outcome: str, status: int, comment: str = "") -> None:
        self.record.outcome, self.record.status, self.record.comment = outcome, f"{status:04X}", comment
