"""Execute one frame: text → GatewayAction → handler → reply text, once and only once.

How once-only works. A recorded action is done in one database transaction, alone or with others that wait at the same
moment (core/group_commit.py):

1. Its row (`ReceivedAction`) is inserted. The unique `action_id` serialises: if the same action arrives twice at the
   same moment, in whatever processes, the second waits here until the first has committed.
2. Whoever inserted the row executes the handler, in a savepoint. Everyone else finds the row: a final reply is repeated
   byte for byte, one that is not final is tried again, and another payload under the same `action_id` is refused.
3. Effects, reply and row commit together, and only then is the reply sent.

If a process dies before the commit, nothing has happened; after it, whoever sends the same `action_id` again gets the
stored reply.
"""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

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
    repaired,
    to_text,
    validate,
)
from core.correlation import correlated, correlation_id, new_correlation_id
from core.database import (
    UNAVAILABLE,
    ConcurrencyLimit,
    DatabaseBusy,
    LendConnection,
    borrowed_connection,
    holds_last_lock,
)
from core.group_commit import GroupCommit
from core.statements import update
from core.tracing import span
from relay.models import FAILURES, ReceivedAction, Resend

logger = logging.getLogger(__name__)

UNSUPPORTED = "unsupported"
#: How many actions of a file are committed together. The listener's actions wait meanwhile: about a tenth of a second.
TOGETHER = 50

LogFields = dict[str, str | int | None]


class _FailedTemporarily(Exception):
    """An action of several in one transaction may succeed if it is executed alone."""


@dataclass(frozen=True)
class Answer:
    """A reply as text, with its outcome: the reply's status or, if it is a failure, its error code.

    `how` says what the dispatcher did to get it, and is logged: executed, repeated, refused or probed.
    """

    text: str
    outcome: str
    how: str

    @property
    def failed(self) -> bool:
        """Whether the action was refused or failed, and so had no effect."""
        return self.outcome in FAILURES

    @classmethod
    def from_reply(cls, reply: Reply, how: str) -> "Answer":
        return cls(to_text(reply), str(reply.get("code") or reply["status"]), how)

    @classmethod
    def from_refusal(cls, refusal: ActionRefused, action: GatewayAction | None) -> "Answer":
        return cls.from_reply(error_reply(refusal, action.action_id if action else None), "refused")


@dataclass(frozen=True)
class ReceivedFrame:
    """A frame, the connection on which it arrived, and when, by the calendar and in monotonic seconds."""

    frame: str | bytes
    connection: str
    received_at: datetime = field(default_factory=timezone.now)
    arrived: float = field(default_factory=time.monotonic)

    @property
    def age_ms(self) -> int:
        return int((time.monotonic() - self.arrived) * 1000)


@dataclass(frozen=True)
class Dispatcher:
    """Executes frames with the given handlers: `actions` are recorded and executed once, `probes` answered afresh."""

    actions: Mapping[str, Handler]
    probes: Mapping[str, Handler]
    database_limit: ConcurrencyLimit = field(default_factory=lambda: ConcurrencyLimit(at_once=8, wait_seconds=10))
    #: Gives the thread that executes an action its database connection.
    connection: LendConnection = borrowed_connection
    #: How many of the actions that wait at the same moment are committed at once.
    together: int = 1

    @cached_property
    def _commits(self) -> GroupCommit:
        return GroupCommit(self.database_limit, self.connection, self.together)

    def dispatch(self, frame: str | bytes, connection: str, correlation: str = "") -> str:
        """Return the reply to one frame as text; see `answer`."""
        return self.answer(frame, connection, correlation).text

    def answer(self, frame: str | bytes, connection: str, correlation: str = "") -> Answer:
        """Answer one frame. It never raises: every failure gets a reply.

        `connection` says where the frame came from and is stored with the action; `correlation` is its correlation id,
        and a new one is made if it is empty.
        """
        received = ReceivedFrame(frame, connection)
        with correlated(correlation or new_correlation_id()):
            answer, fields = self._traced_answer(received)
            logger.info("action answered", extra=fields)
            return answer

    def answer_all(self, frames: Sequence[tuple[str, str]]) -> Iterator[Answer]:
        """Answer frames in their order, each given with its connection, and yield each answer after its commit.

        Up to TOGETHER share a commit, as a commit takes longer than an action. Each is answered as if it were
        alone.
        """
        begun = 0
        while batch := frames[begun : begun + TOGETHER]:
            answers = self._answered_together(batch) or [self.answer(*each) for each in batch]
            yield from answers
            begun += len(answers)

    def _answered_together(self, frames: Sequence[tuple[str, str]]) -> list[Answer]:
        """Answer frames in one transaction, up to the first that takes its last lock.

        Return nothing if one of them fails temporarily: all are undone then, and have to be executed one by one.
        """
        answered: list[tuple[str, Answer, LogFields]] = []
        try:
            with self.connection(), transaction.atomic():
                for frame, connection in frames:
                    with correlated(new_correlation_id()) as correlation:
                        answer, fields = self._traced_answer(ReceivedFrame(frame, connection))
                    if answer.outcome in TEMPORARY_ERRORS:
                        raise _FailedTemporarily
                    answered.append((correlation, answer, fields))
                    if holds_last_lock():
                        break
        except (*UNAVAILABLE, _FailedTemporarily):
            return []
        for correlation, _, fields in answered:
            with correlated(correlation):
                logger.info("action answered", extra=fields)
        return [answer for _, answer, _ in answered]

    def _traced_answer(self, received: ReceivedFrame) -> tuple[Answer, LogFields]:
        """Answer a frame; return with the answer what is to be logged once it is committed."""
        with span("action") as traced:
            action, answer = self._action_and_answer(received)
            fields: LogFields = {
                "action_id": action.action_id if action else None,
                "action_type": action.action_type if action and self._supports(action) else UNSUPPORTED,
                "outcome": answer.outcome,
                "how": answer.how,
                "connection": received.connection,
                "ms": received.age_ms,
            }
            traced.set(**fields)
            return answer, fields

    def dry_run(self, frames: Iterable[str]) -> list[Answer]:
        """Return the answers to these frames, one after the other, and undo everything that they have done.

        Nothing is logged, and no row is left. Raises a database error of the transaction itself.
        """
        with correlated(new_correlation_id()), transaction.atomic():
            received = (ReceivedFrame(frame, "dry run") for frame in frames)
            answers = [self._action_and_answer(each)[1] for each in received]
            transaction.set_rollback(True)
        return answers

    def execute(self, action: GatewayAction) -> Answer:
        """Repair and validate the action, and run its handler in a savepoint: if it fails, its effects are undone and
        the row stays.

        Must be called in a transaction. Database errors are raised, as the transaction cannot continue after one.
        """
        try:
            with transaction.atomic():
                accepted = repaired(action)
                return Answer.from_reply(self._validated_handler(accepted)(accepted), "executed")
        except ActionRefused as refusal:
            return Answer.from_refusal(refusal, action)
        except UNAVAILABLE:
            raise
        except Exception:  # the edge of a handler: a bug in it costs this action only
            logger.exception("handler failed", extra={"action_type": action.action_type})
            return Answer.from_refusal(_internal_error(), action)

    def _action_and_answer(self, received: ReceivedFrame) -> tuple[GatewayAction | None, Answer]:
        action = None
        try:
            action = GatewayAction.from_payload(parse(received.frame))
            return action, self._answer(action, received)
        except ActionRefused as refusal:
            return action, Answer.from_refusal(refusal, action)
        except (*UNAVAILABLE, DatabaseBusy) as error:
            logger.error("database unavailable", extra={"error": type(error).__name__})
            message = "The gateway's database cannot take the action now: send it again later"
            message += f" (correlation id {correlation_id()})"
            return action, Answer.from_refusal(ActionRefused(ErrorCode.TEMPORARILY_UNAVAILABLE, message), action)
        except Exception:  # the outermost edge of a frame
            logger.exception("dispatching failed")
            return action, Answer.from_refusal(_internal_error(), action)

    def _answer(self, action: GatewayAction, received: ReceivedFrame) -> Answer:
        if action.action_type in self.probes:
            validate(action.payload)
            with borrowed_connection():
                return Answer.from_reply(self.probes[action.action_type](action), "probed")
        if "action_id" not in action.payload:
            # It cannot be recorded. Validation refuses it, unless executing it twice is the same as executing it once.
            self._validated_handler(action)
            return self._commits.run(lambda: self.execute(action))
        frame = received.frame
        new_row = ReceivedAction(
            action_id=action.action_id,
            # An unsupported type may be any text; only the payload keeps it.
            action_type=action.action_type if self._supports(action) else UNSUPPORTED,
            accession_number=action.accession_number,
            source_system=action.source_system,
            payload=frame if isinstance(frame, str) else frame.decode(),
            fingerprint=fingerprint(action.payload),
            connection=received.connection[:200],
            correlation_id=correlation_id(),
            received_at=received.received_at,
        )
        return self._commits.run(lambda: self._claim_and_answer(new_row, action, received))

    def _claim_and_answer(self, new_row: ReceivedAction, action: GatewayAction, received: ReceivedFrame) -> Answer:
        row = new_row.claim()
        if row.pk == new_row.pk:
            return self._execute_and_record(row, action, received)
        if row.fingerprint != new_row.fingerprint:
            reused = "This action_id was used before, for an action with a different payload"
            answer = Answer.from_refusal(ActionRefused(ErrorCode.ACTION_ID_REUSED, reused), action)
            how = Resend.Answer.REFUSED
        elif row.is_final:
            answer, how = Answer(row.reply, row.outcome, "repeated"), Resend.Answer.REPEATED
        else:
            answer, how = self._execute_and_record(row, action, received), Resend.Answer.RETRIED
        row.keep_resend(new_row, how, answer.text, received.age_ms)
        return answer

    def _execute_and_record(self, row: ReceivedAction, action: GatewayAction, received: ReceivedFrame) -> Answer:
        answer = self.execute(action)
        row.outcome, row.reply = answer.outcome, answer.text
        row.is_final = answer.outcome not in TEMPORARY_ERRORS
        row.duration_ms = received.age_ms
        update(row, "outcome", "reply", "is_final", "duration_ms", "updated_at")
        return answer

    def _validated_handler(self, action: GatewayAction) -> Handler:
        """Return the handler of a valid action; raise ActionRefused for any other."""
        validate(action.payload)
        handler = self.actions.get(action.action_type)
        if handler is None:
            printable = vr.CONTROL_CHARACTERS.sub("?", action.action_type)[:100]
            raise ActionRefused(ErrorCode.UNSUPPORTED_ACTION, f"Unsupported action: {printable}")
        return handler

    def _supports(self, action: GatewayAction) -> bool:
        return action.action_type in self.actions or action.action_type in self.probes


def _internal_error() -> ActionRefused:
    return ActionRefused(
        ErrorCode.INTERNAL_ERROR, f"A fault in the gateway: see its log under correlation id {correlation_id()}"
    )


def too_large_reply() -> str:
    """Build the reply to a frame over the limit, which is not received."""
    message = f"The frame has more than {MAX_FRAME_BYTES} bytes, which is the limit"
    return to_text(error_reply(ActionRefused(ErrorCode.TOO_LARGE, message)))
