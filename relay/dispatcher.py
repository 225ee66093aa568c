"""Answer one frame: parse it, execute its action once only, return the reply's text.

How an action is executed once, although Manage sends it again whenever a reply is lost:

- One transaction writes the action's row (ReceivedAction), the handler's effects and the reply. The reply is sent only
  after the commit, so Manage never sees a confirmation that the database could lose.
- `action_id` is unique. The first of two simultaneous frames inserts the row; the second waits for the first to commit,
  in whichever process it runs, and then finds the row (ReceivedAction.claim).
- A row that is final is answered with its stored reply, byte for byte. After a temporary error the row is not final,
  and the next frame executes the action again.
- The handler runs in a savepoint. If it fails, its effects are rolled back and the row with the refusal stays.

Probes (echo, health) and questions without an action_id change nothing, so they leave no row and are answered afresh.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import transaction
from django.utils import timezone

from core import value_representations as vr
from core.contract import (
    MAX_FRAME_BYTES,
    TEMPORARY_ERRORS,
    ActionRefused,
    ErrorCode,
    GatewayAction,
    Handler,
    Reply,
    error_reply,
    fingerprint,
    parse,
    to_text,
    validate,
)
from core.correlation import correlated, correlation_id, new_correlation_id
from core.database import UNAVAILABLE, ConcurrencyLimit, DatabaseBusy, borrowed_connection
from core.tracing import span
from relay.models import ReceivedAction, Resend

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """A reply's text, its `outcome` (status, or code of a failure), and `how` it was produced, for the log."""

    text: str
    outcome: str
    how: str


@dataclass(frozen=True)
class ReceivedFrame:
    """A frame, the connection that it arrived on, and when handling began (monotonic seconds)."""

    frame: str | bytes
    connection: str
    started: float

    @property
    def milliseconds(self) -> int:
        """Return the milliseconds since handling began."""
        return int((time.monotonic() - self.started) * 1000)


@dataclass(frozen=True)
class Dispatcher:
    """Execute frames: `actions` once only, with a record; `probes` each time, without one."""

    actions: Mapping[str, Handler]
    probes: Mapping[str, Handler]
    database_limit: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(at_once=8, wait_seconds=10))

    def dispatch(self, frame: str | bytes, connection: str, correlation: str = "") -> str:
        """Return the reply to one frame. Never raises: every failure has a reply.

        `connection` names the frame's origin for the record. `correlation` is its correlation id; a new one is made if
        it is empty.
        """
        arrival = ReceivedFrame(frame, connection, time.monotonic())
        with correlated(correlation or new_correlation_id()), span("action") as traced:
            action = None
            try:
                payload = parse(frame)
                action = GatewayAction.from_payload(payload)
                answer = self._answer(action, arrival)
            except ActionRefused as refusal:
                answer = _refused(refusal, action)
            except (*UNAVAILABLE, DatabaseBusy) as error:
                logger.error("the database is not available", extra={"error": type(error).__name__})
                answer = _refused(_unavailable(), action)
            except Exception:  # the outermost edge of one frame
                logger.exception("dispatching failed")
                answer = _refused(_internal_error(), action)
            fields = self._fields(action, answer, arrival)
            traced.set(**fields)
            logger.info("action answered", extra=fields)
            return answer.text

    def _answer(self, action: GatewayAction, arrival: ReceivedFrame) -> Answer:
        if action.action_type in self.probes:
            validate(action.payload)
            with borrowed_connection():
                return _answered(self.probes[action.action_type](action), "probed")
        if "action_id" not in action.payload:  # the schema lets only questions leave it out
            return _answered(self._handler(action)(action), "executed")
        return self._answer_once(action, arrival)

    def _handler(self, action: GatewayAction) -> Handler:
        """Validate an action and return its handler; raise ActionRefused if it is invalid or has no handler."""
        validate(action.payload)
        handler = self.actions.get(action.action_type)
        if handler is None:
            printable = vr.CONTROL_CHARACTERS.sub("?", action.action_type)[:100]
            raise ActionRefused(ErrorCode.UNSUPPORTED_ACTION, f"Unsupported action: {printable}")
        return handler

    def _answer_once(self, action: GatewayAction, arrival: ReceivedFrame) -> Answer:
        received = _received(action, arrival, known=self._knows(action))
        with self.database_limit.slot(), borrowed_connection(), transaction.atomic():
            row = received.claim()
            if row.pk == received.pk:
                return self._execute_and_record(row, action, arrival)
            if row.fingerprint != received.fingerprint:
                answer, how = _refused(_reused(), action), Resend.Answer.REFUSED
            elif row.is_final:
                answer, how = Answer(row.reply, row.outcome, "repeated"), Resend.Answer.REPEATED
            else:
                answer, how = self._execute_and_record(row, action, arrival), Resend.Answer.RETRIED
            row.keep_resend(received, how, answer.text, arrival.milliseconds)
            return answer

    def _execute_and_record(self, row: ReceivedAction, action: GatewayAction, arrival: ReceivedFrame) -> Answer:
        answer = self.execute(action)
        row.outcome, row.reply = answer.outcome, answer.text
        row.is_final = answer.outcome not in TEMPORARY_ERRORS
        row.duration_ms = arrival.milliseconds
        row.save()
        return answer

    def execute(self, action: GatewayAction) -> Answer:
        """Run the handler in a savepoint, which rolls its effects back if it fails.

        Raise the database's own errors: then the whole transaction is lost, and nothing is recorded.
        """
        try:
            with transaction.atomic():
                return _answered(self._handler(action)(action), "executed")
        except ActionRefused as refusal:
            return _refused(refusal, action)
        except UNAVAILABLE:
            raise
        except Exception:  # a bug in a handler must cost this action only
            logger.exception("handler failed", extra={"action_type": action.action_type})
            return _refused(_internal_error(), action)

    def _knows(self, action: GatewayAction) -> bool:
        return action.action_type in self.actions or action.action_type in self.probes

    def _fields(
        self, action: GatewayAction | None, answer: Answer, arrival: ReceivedFrame
    ) -> dict[str, str | int | None]:
        """Return what may be logged and traced. An unknown action type is not: it may contain anything."""
        return {
            "action_id": action.action_id if action else None,
            "action_type": action.action_type if action and self._knows(action) else "unsupported",
            "outcome": answer.outcome,
            "how": answer.how,
            "connection": arrival.connection,
            "ms": arrival.milliseconds,
        }


def _received(action: GatewayAction, arrival: ReceivedFrame, *, known: bool) -> ReceivedAction:
    """Build the row, not yet saved. An unknown action type may contain anything, so only the payload keeps it."""
    frame = arrival.frame
    return ReceivedAction(
        action_id=action.action_id,
        action_type=action.action_type if known else "unsupported",
        accession_number=action.accession_number,
        source_system=action.source_system,
        payload=frame if isinstance(frame, str) else frame.decode(),
        fingerprint=fingerprint(action.payload),
        connection=arrival.connection[:200],
        correlation_id=correlation_id(),
        received_at=timezone.now(),
    )


def _answered(reply: Reply, how: str) -> Answer:
    return Answer(to_text(reply), str(reply.get("code") or reply["status"]), how)


def _refused(refusal: ActionRefused, action: GatewayAction | None) -> Answer:
    return _answered(error_reply(refusal, action.action_id if action else None), "refused")


def _reused() -> ActionRefused:
    return ActionRefused(ErrorCode.ACTION_ID_REUSED, "This action_id has already been used with a different payload")


def _unavailable() -> ActionRefused:
    return ActionRefused(
        ErrorCode.TEMPORARILY_UNAVAILABLE,
        f"The gateway's database is not available: send the action again later (correlation id {correlation_id()})",
    )


def _internal_error() -> ActionRefused:
    return ActionRefused(
        ErrorCode.INTERNAL_ERROR, f"The gateway failed: look in its log for correlation id {correlation_id()}"
    )


def too_large_reply() -> str:
    """Return the reply to a frame that was over the limit and was therefore not read."""
    message = f"The frame has more than {MAX_FRAME_BYTES} bytes, which is the limit"
    return to_text(error_reply(ActionRefused(ErrorCode.TOO_LARGE, message)))
