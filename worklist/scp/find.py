"""Owns the answer to one C-FIND on the Modality Worklist (PS3.4 section K.4.1)."""

import logging
import time
from collections.abc import Iterator

from django.conf import settings
from pydicom.dataset import Dataset
from pynetdicom.dsutils import encode
from pynetdicom.events import Event

from core.correlation import correlated, new_correlation_id
from core.database import UNAVAILABLE, borrowed_connection
from worklist.datasets import has_unsupported_key, response_for
from worklist.matching import BadKey, keys_from
from worklist.models import WorklistItem
from worklist.scp import statuses

logger = logging.getLogger(__name__)

Response = tuple[int | Dataset, Dataset | None]


def answer_find(event: Event) -> Iterator[Response]:
    """Every response but the final success, which pynetdicom sends when this ends."""
    with correlated(new_correlation_id()), borrowed_connection():
        query = _Query(event)
        try:
            yield from query.responses()
        except BadKey as problem:
            yield query.fail(statuses.failure(statuses.IDENTIFIER_DOES_NOT_MATCH, str(problem), problem.tag))
        except UNAVAILABLE as error:
            logger.error("the database cannot answer now", extra={"error": type(error).__name__})
            yield query.fail(statuses.failure(statuses.DATABASE_AWAY, "Database not available, try again"))
        except Exception:  # the outermost edge of a query: pynetdicom would log the exception's words, values and all
            logger.exception("query failed")
            yield query.fail(statuses.failure(statuses.INTERNAL_ERROR, "Fault in the gateway, see its log"))
        finally:
            query.log()


class _Query:
    """One query in hand: the request, and what has become of it."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self.calling_ae_title = str(event.assoc.requestor.ae_title).strip()
        self.started = time.monotonic()
        self.outcome = "interrupted"
        self.key_names: list[str] = []
        self.shown: list[str] = []
        self.left_out = 0

    def responses(self) -> Iterator[Response]:
        """The items that match, each as a pending response; then the end, unless that is a plain success."""
        request = self.event.identifier
        request.decode()
        keys = keys_from(request)
        self.key_names = [key.attribute.keyword for key in keys.keys] + (["Period"] if keys.period else [])
        pending = statuses.PENDING_WITH_UNSUPPORTED_KEYS if has_unsupported_key(request) else statuses.PENDING
        for item in WorklistItem.objects.matching(keys):
            if self.event.is_cancelled:
                self.outcome = "cancelled"
                yield statuses.CANCELLED, None
                return
            if len(self.shown) == settings.MWL_MAX_ROWS:
                comment = f"More than {settings.MWL_MAX_ROWS} matches; narrow the query"
                yield self.fail(statuses.failure(statuses.OUT_OF_RESOURCES, comment))
                return
            response = response_for(item, request, self.calling_ae_title)
            if not self._can_be_encoded(response):
                self.left_out += 1
                logger.error("item left out: it cannot be encoded", extra={"item": str(item.pk)})
                continue
            self.shown.append(item.correlation_id)
            yield pending, response
        self.outcome = "answered"

    def fail(self, status: Dataset) -> Response:
        """The final response of a query that failed."""
        self.outcome = f"failed with {status.Status:04X}: {status.ErrorComment}"
        return status, None

    def log(self) -> None:
        """The one line that a query leaves: who asked, by which keys, what came of it; of the keys only the names."""
        logger.info(
            "worklist query answered",
            extra={
                "calling_ae_title": self.calling_ae_title,
                "address": self.event.assoc.requestor.address,
                "keys": ",".join(self.key_names),
                "outcome": self.outcome,
                "matched": len(self.shown),
                "left_out": self.left_out,
                "ms": int((time.monotonic() - self.started) * 1000),
                "shown": ",".join(self.shown),
            },
        )

    def _can_be_encoded(self, response: Dataset) -> bool:
        """pynetdicom ends the whole answer where one response cannot be encoded, so each is tried first."""
        syntax = self.event.context.transfer_syntax
        return encode(response, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated) is not None
