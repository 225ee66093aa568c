"""Execute a failed action again when a person asks for it.

An action that succeeded is never executed again. To Manage a refusal is final: a resend gets the same reply.
A person may know that its cause has gone, and can have the action executed again (docs/adr, decision 11).
"""

import logging
import time
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from core.audit import Auditor
from core.contract import TEMPORARY_ERRORS, GatewayAction, parse
from core.correlation import correlated, correlation_id, new_correlation_id
from core.models import AuditLog
from relay.dispatcher import Answer, Dispatcher
from relay.models import ReceivedAction, Reprocessing

logger = logging.getLogger(__name__)


class CannotReprocess(Exception):
    """The action cannot be executed again; the text says why."""


def execute_again(dispatcher: Dispatcher, key: UUID, actor: str) -> Reprocessing:
    """Execute an action from its stored payload, and record that in the same transaction.

    Raise CannotReprocess if it may not be executed again. The row is locked first, so the second of two people, or a
    resend from Manage, finds what the first has done.
    """
    started = time.monotonic()
    with correlated(new_correlation_id()), dispatcher.database_limit.slot(), transaction.atomic():
        row = ReceivedAction.objects.select_for_update().get(pk=key)
        if reason := why_not_reprocessable(row):
            raise CannotReprocess(reason)
        answer = dispatcher.execute(GatewayAction.from_payload(parse(row.payload)))
        done = _record(row, answer, actor, int((time.monotonic() - started) * 1000))
        logger.info(
            "action executed again",
            extra={"action_id": row.action_id, "outcome": answer.outcome, "ms": done.duration_ms},
        )
        return done


def why_not_reprocessable(row: ReceivedAction) -> str:
    """Return why an action cannot be executed again; empty if it can."""
    if not row.failed:
        return "It has already been done"
    if row.action_id is None:
        return "It has no action_id"
    return ""


def _record(row: ReceivedAction, answer: Answer, actor: str, duration_ms: int) -> Reprocessing:
    """Record the attempt. Unless it failed temporarily, a resend gets the new reply from now on."""
    before = row.outcome
    done = Reprocessing.objects.create(
        action=row,
        at=timezone.now(),
        by=actor[:100],
        correlation_id=correlation_id(),
        outcome_before=before,
        reply_before=row.reply,
        outcome=answer.outcome,
        reply=answer.text,
        duration_ms=duration_ms,
    )
    if answer.outcome not in TEMPORARY_ERRORS:
        row.outcome, row.reply, row.is_final = answer.outcome, answer.text, True
        row.save(update_fields=("outcome", "reply", "is_final", "updated_at"))
    Auditor(actor).note(AuditLog.Operation.EXECUTE, row, before={"outcome": before}, outcome=answer.outcome)
    return done
