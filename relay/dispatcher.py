"""Owns what happens to one frame: text → GatewayAction → once-only handler → reply text.

An action's row, its effects and its reply are one transaction; the reply goes out after it has committed. Whoever
sends the same action again, at whatever instant and to whatever process, gets that reply.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.utils import timezone

from core import value_representations as vr
from core.contract import (
    MAX_FRAME_BYTES,
    PASSING_ERRORS,
    ActionRefused,
    ErrorCode,
    GatewayAction,
    Handler,
    Reply,
    error_reply,
    fingerprint,
    known_action_id,
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
    """A reply's text, its `outcome` (the status, or the code of a failure) and `how` it came about."""

    text: str
    outcome: str
    how: str


@dataclass(frozen=True)
class ReceivedFrame:
    """One frame's arrival: what, on which connection, and when (monotonic seconds)."""

    frame: str | bytes
    connection: str
    started: float

    @property
    def milliseconds(self) -> int:
        """How long ago it came."""
        return int((time.monotonic() - self.started) * 1000)


@dataclass(frozen=True)
class Dispatcher:
    """Executes frames with the handlers it is given: `actions` once and recorded, `probes` afresh and untraced."""

    actions: Mapping[str, Handler]
    probes: Mapping[str, Handler]
    database_limit: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(at_once=8, wait_seconds=10))

    def dispatch(self, frame: str | bytes, connection: str, correlation: str = "") -> str:
        """The reply text to one frame. It never raises: every failure has a reply.

        `connection` is where it came from, for the record; `correlation` the id it goes by, made here when empty.
        """
        delivery = ReceivedFrame(frame, connection, time.monotonic())
        with correlated(correlation or new_correlation_id()), span("action") as traced:
            action = None
            try:
                payload = parse(frame)
                action = action_of(payload)
                answer = self._answer(action, delivery)
            except ActionRefused as refusal:
                answer = _refused(refusal, action)
            except (*UNAVAILABLE, DatabaseBusy) as error:
                logger.error("the database cannot take it now", extra={"error": type(error).__name__})
                answer = _refused(_unavailable(), action)
            except Exception:  # the outermost edge of one frame
                logger.exception("dispatching failed")
                answer = _refused(_internal_error(), action)
            fields = self._fields(action, answer, delivery)
            traced.set(**fields)
            logger.info("action answered", extra=fields)
            return answer.text

    def _answer(self, action: GatewayAction, delivery: ReceivedFrame) -> Answer:
        if action.action_type in self.probes:
            validate(action.payload)
            with borrowed_connection():
                return _answered(self.probes[action.action_type](action), "probed")
        if "action_id" not in action.payload:  # nothing to record it under, and nothing that may be done without one
            return _answered(self._handler(action)(action), "executed")
        return self._answer_once(action, delivery)

    def _handler(self, action: GatewayAction) -> Handler:
        """What executes an action that keeps the contract; ActionRefused for any other."""
        validate(action.payload)
        handler = self.actions.get(action.action_type)
        if handler is None:
            raise ActionRefused(ErrorCode.UNSUPPORTED_ACTION, f"Unsupported action: {_printable(action.action_type)}")
        return handler

    def _answer_once(self, action: GatewayAction, delivery: ReceivedFrame) -> Answer:
        received = _received(action, delivery, known=self._knows(action))
        with self.database_limit.slot(), borrowed_connection(), transaction.atomic():
            row = received.claim()
            if row.pk == received.pk:
                return self._execute_and_record(row, action, delivery)
            if row.fingerprint != received.fingerprint:
                answer, how = _refused(_reused(), action), Resend.Answer.REFUSED
            elif row.is_final:
                answer, how = Answer(row.reply, row.outcome, "repeated"), Resend.Answer.REPEATED
            else:
                answer, how = self._execute_and_record(row, action, delivery), Resend.Answer.RETRIED
            row.keep_resend(received, how, answer.text, delivery.milliseconds)
            return answer

    def _execute_and_record(self, row: ReceivedAction, action: GatewayAction, delivery: ReceivedFrame) -> Answer:
        answer = self.execute(action)
        row.outcome, row.reply = answer.outcome, answer.text
        row.is_final = answer.outcome not in PASSING_ERRORS
        row.duration_ms = delivery.milliseconds
        row.save()
        return answer

    def execute(self, action: GatewayAction) -> Answer:
        """Run the handler inside a savepoint: where it fails, its effects go and the row stays."""
        try:
            with transaction.atomic():
                return _answered(self._handler(action)(action), "executed")
        except ActionRefused as refusal:
            return _refused(refusal, action)
        except UNAVAILABLE:
            raise
        except Exception:  # a bug in a handler costs this action only, and leaves its traceback in the log
            logger.exception("handler failed", extra={"action_type": action.action_type})
            return _refused(_internal_error(), action)

    def _knows(self, action: GatewayAction) -> bool:
        return action.action_type in self.actions or action.action_type in self.probes

    def _fields(
        self, action: GatewayAction | None, answer: Answer, delivery: ReceivedFrame
    ) -> dict[str, str | int | None]:
        """What the log and a trace may say of it."""
        return {
            "action_id": action.action_id if action else None,
            "action_type": action.action_type if action and self._knows(action) else "unsupported",
            "outcome": answer.outcome,
            "how": answer.how,
            "connection": delivery.connection,
            "ms": delivery.milliseconds,
        }


def action_of(payload: Mapping[str, Any]) -> GatewayAction:
    """A payload as an action."""
    return GatewayAction(payload, _action_type(payload), known_action_id(payload))


def _received(action: GatewayAction, delivery: ReceivedFrame, *, known: bool) -> ReceivedAction:
    """The row to be; an action type that is none of ours may hold anything, and stays in the payload."""
    frame = delivery.frame
    return ReceivedAction(
        action_id=action.action_id,
        action_type=action.action_type if known else "unsupported",
        accession_number=action.accession_number,
        source_system=action.source_system,
        payload=frame if isinstance(frame, str) else frame.decode(),
        fingerprint=fingerprint(action.payload),
        connection=delivery.connection[:200],
        correlation_id=correlation_id(),
        received_at=timezone.now(),
    )


def _answered(reply: Reply, how: str) -> Answer:
    return Answer(to_text(reply), str(reply.get("code") or reply["status"]), how)


def _refused(refusal: ActionRefused, action: GatewayAction | None) -> Answer:
    return _answered(error_reply(refusal, action.action_id if action else None), "refused")


def _reused() -> ActionRefused:
    return ActionRefused(
        ErrorCode.ACTION_ID_REUSED, "This action_id was used before, for an action with a different payload"
    )


def _unavailable() -> ActionRefused:
    return ActionRefused(
        ErrorCode.TEMPORARILY_UNAVAILABLE,
        f"The gateway's database cannot take the action now: send it again later (correlation id {correlation_id()})",
    )


def _internal_error() -> ActionRefused:
    return ActionRefused(
        ErrorCode.INTERNAL_ERROR, f"A fault in the gateway: its log has it under correlation id {correlation_id()}"
    )


def too_large_reply() -> str:
    """The reply to a frame that is over the limit and was therefore not taken in."""
    message = f"The frame has more than {MAX_FRAME_BYTES} bytes, which is the limit"
    return to_text(error_reply(ActionRefused(ErrorCode.TOO_LARGE, message)))


def _action_type(payload: Mapping[str, Any]) -> str:
    value = payload.get("action_type")
    return value if isinstance(value, str) else ""


def _printable(text: str) -> str:
    return vr.CONTROL_CHARACTERS.sub("?", text)[:100]
