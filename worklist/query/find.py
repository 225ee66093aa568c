"""Answer C-FIND requests on the Modality Worklist (PS3.4 K.4.1).

The handler is a generator of batches of responses (`dicom/service.py`). When it is resumed after a batch, the batch has
been sent: only then are its items recorded as delivered to the modality. If the requestor has gone, they are not.

However it ends, unless the process is killed, a query leaves a record in the delivery log, a line in the log and a
trace. Its outcome is `answered`, `cancelled`, `failed`, or `interrupted` if the requestor closed the association before
the end.
"""

import logging
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.utils import timezone

from core.correlation import correlated, correlation_id, new_correlation_id
from core.tracing import Span, span
from dicom import statuses
from dicom.association import ServerContext
from dicom.failures import FailureRow, common_failures, failure_response
from dicom.service import Batches, Interruption, Request, Response
from worklist.configuration import matching_options, row_limit
from worklist.query.delivery_log import DeliveryLog, QueryRecord
from worklist.query.matching import BadKey
from worklist.query.query_plan import query_plan, read_identifier
from worklist.query.response import IllegalValue, ResponseOptions

logger = logging.getLogger(__name__)

#: Responses that go out at once.
BATCH = 10

#: Exception → the response that reports it.
FIND_FAILURES = (
    FailureRow(
        (BadKey,), lambda key: statuses.failure(statuses.IDENTIFIER_DOES_NOT_MATCH, str(key), offending=key.tag)
    ),
    *common_failures(
        database_unavailable=statuses.DATABASE_UNAVAILABLE,
        refused=statuses.NOT_PERMITTED,
        incomplete=statuses.INCOMPLETE_IDENTIFIER,
        unreadable=statuses.UNREADABLE_IDENTIFIER,
        internal_error=statuses.INTERNAL_ERROR,
    ),
)


@dataclass
class WorklistContext(ServerContext):
    """What the handlers share: the server's context, and the log of what was delivered to which modality."""

    deliveries: DeliveryLog = field(default_factory=DeliveryLog)
    last_query_at: datetime | None = None


def answer_find(request: Request, context: WorklistContext) -> Batches:
    """Yield the responses in batches, the final one at the end of the last."""
    with correlated(new_correlation_id()), context.connection(), span("C-FIND") as traced:
        query = _Query(request, context)
        try:
            yield from query.responses()
        except Exception as error:  # noqa: BLE001 - the outermost edge of a query
            yield from query.end("failed", failure_response(error, FIND_FAILURES, request.requestor))
        finally:
            query.log(traced)


class _Query:
    """One C-FIND request and its record, which grows while the responses are sent."""

    def __init__(self, request: Request, context: WorklistContext) -> None:
        self.request = request
        self.context = context
        self.requestor = request.requestor
        self.started = time.monotonic()
        self.key_names: list[str] = []
        self.correlation_ids: list[str] = []  # of the items, in the order of the responses
        self._batch: list[Response] = []
        self._items: list[UUID] = []  # of the batch
        context.last_query_at = asked_at = timezone.now()
        self.record = QueryRecord(
            asked_at=asked_at,
            calling_ae_title=self.requestor.calling_ae_title,
            called_ae_title=self.requestor.called_ae_title,
            address=self.requestor.address,
            correlation_id=correlation_id(),
        )

    def responses(self) -> Batches:
        """Yield a pending response for each item that matches, then the final one."""
        # At the start of the query the modalities may not have been read: its list must not be an unknown machine's.
        policy = self.context.policy.check_request(self.requestor)
        identifier = read_identifier(self.request.whole_data_set(), self.request.transfer_syntax)
        self.record.keys = identifier.kept_keys
        calling, zone = self.requestor.calling_ae_title, timezone.get_default_timezone()
        plan = query_plan(identifier, policy, ResponseOptions(calling, zone, policy.character_set, matching_options()))
        self.key_names = plan.key_names
        limit = row_limit(policy)
        due = 0  # a batch of nothing is sent before the first item: a C-CANCEL may have come with its query
        for item in plan.items:
            if len(self._batch) == due:
                if (yield from self._send_batch()) is Interruption.CANCELLED:
                    yield from self.end("cancelled", Response(statuses.CANCELLED))
                    return
                due = BATCH
            if len(self.correlation_ids) == limit:
                comment = f"More than {limit} matches; narrow the query"
                yield from self.end("failed", statuses.failure(statuses.OUT_OF_RESOURCES, comment))
                return
            try:
                response, warns = plan.responses.response(item)
            except IllegalValue as error:
                self.record.left_out[item.pk] = error.keyword
                logger.error("item left out: illegal value", extra={"item": str(item.pk), "attribute": error.keyword})
                continue
            self.correlation_ids.append(item.correlation_id)
            self._items.append(item.pk)
            status = statuses.PENDING_WITH_UNSUPPORTED_KEYS if warns else statuses.PENDING
            self._batch.append(Response(status, response))
        yield from self.end("answered", Response(statuses.SUCCESS))

    def end(self, outcome: str, response: Response) -> Batches:
        """Yield the final response behind what is left of the batch, and record the outcome once it has been sent."""
        self._batch.append(response)
        yield from self._send_batch()
        self.record.outcome, self.record.status = outcome, f"{response.status:04X}"
        self.record.comment = response.comment

    def _send_batch(self) -> Generator[list[Response], Interruption | None, Interruption | None]:
        """Yield the batch; record its items as shown once it has been sent, and return what has happened meanwhile."""
        interruption = yield self._batch
        self.record.shown += self._items
        self._batch, self._items = [], []
        return interruption

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
            "delivered": len(record.shown),
            "left_out": len(record.left_out),
            "ms": record.duration_ms,
            "shown": ",".join(self.correlation_ids[: len(record.shown)]),
        }
        traced.set(**fields)
        logger.info("worklist query ended", extra=fields)
