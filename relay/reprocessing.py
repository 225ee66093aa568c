"""Owns how a person has an action that failed executed again, by the same once-only rules as a resend of Manage's.

What is done stays done, with its reply byte for byte: it is never executed again. A refusal is final for a resend, as
nothing has changed for Manage; a person knows that something has. Decision 11 (docs/adr) says why.
"""

import logging
import time
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from core.audit import Auditor
from core.contract import PASSING_ERRORS, parse
from core.correlation import correlated, correlation_id, new_correlation_id
from core.models import AuditLog
from relay.dispatcher import Answer, Dispatcher, action_of
from relay.models import ReceivedAction, Reprocessing

logger = logging.getLogger(__name__)


class NotPossible(Exception):
    """It cannot be executed again; the text says why."""


def execute_again(dispatcher: Dispatcher, key: UUID, actor: str) -> Reprocessing:
    """Execute an action from the payload that was kept, in one transaction with its record; NotPossible otherwise.

    The row is locked first: of two persons, or a person and a resend, the second finds what the first has done.
    """
    started = time.monotonic()
    with correlated(new_correlation_id()), dispatcher.database_limit.slot(), transaction.atomic():
        row = ReceivedAction.objects.select_for_update().get(pk=key)
        if reason := why_not(row):
            raise NotPossible(reason)
        answer = dispatcher.execute(action_of(parse(row.payload)))
        done = _record(row, answer, actor, int((time.monotonic() - started) * 1000))
        logger.info(
            "action executed again",
            extra={"action_id": row.action_id, "outcome": answer.outcome, "ms": done.duration_ms},
        )
        return done


def why_not(row: ReceivedAction) -> str:
    """Why an action is not executed again; empty where it can be."""
    if not row.failed:
        return "It is done already, and nothing is done twice"
    if row.action_id is None:
        return "It has no action_id by which it could be known again"
    return ""


def _record(row: ReceivedAction, answer: Answer, actor: str, duration_ms: int) -> Reprocessing:
    """What the gateway answers from now on, unless it was the gateway's own fault that it could not be done."""
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
    if answer.outcome not in PASSING_ERRORS:
        row.outcome, row.reply, row.is_final = answer.outcome, answer.text, True
        row.save(update_fields=("outcome", "reply", "is_final", "updated_at"))
    Auditor(actor).note(AuditLog.Operation.EXECUTE, row, before={"outcome": before}, outcome=answer.outcome)
    return done
