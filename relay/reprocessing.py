"""Execute a failed action again on behalf of a person (ADR 11), by the same once-only rules as a resend.

If Manage sends a refused action again, it gets the same refusal again. A person can have it executed again after the
cause is mended, for example when the missing item has arrived. An action that succeeded is never executed again.
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
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction, Reprocessing

logger = logging.getLogger(__name__)


class CannotReprocess(Exception):
    """The action cannot be executed again; the text says why."""


def execute_again(dispatcher: Dispatcher, key: UUID, actor: str) -> Reprocessing:
    """Execute a failed action from its stored payload, in one transaction with the record of it.

    Raises CannotReprocess. The row is locked first: if two people, or a person and a resend, act at the same moment,
    the second finds the result of the first. The new reply becomes the action's reply, unless the gateway itself was at
    fault.
    """
    started = time.monotonic()
    with correlated(new_correlation_id()), dispatcher.database_limit.slot(), transaction.atomic():
        row = ReceivedAction.objects.select_for_update().get(pk=key)
        if reason := why_not(row):
            raise CannotReprocess(reason)
        answer = dispatcher.execute(GatewayAction.from_payload(parse(row.payload)))
        outcome_before = row.outcome
        reprocessing = Reprocessing.objects.create(
            action=row,
            at=timezone.now(),
            by=actor[:100],
            correlation_id=correlation_id(),
            outcome_before=outcome_before,
            reply_before=row.reply,
            outcome=answer.outcome,
            reply=answer.text,
            duration_ms=int((time.monotonic() - started) * 1000),
        )
        if answer.outcome not in TEMPORARY_ERRORS:
            row.outcome, row.reply, row.is_final = answer.outcome, answer.text, True
            row.save(update_fields=("outcome", "reply", "is_final", "updated_at"))
        Auditor(actor).note(AuditLog.Operation.EXECUTE, row, before={"outcome": outcome_before}, outcome=answer.outcome)
        fields = {"action_id": row.action_id, "outcome": answer.outcome, "ms": reprocessing.duration_ms}
        logger.info("action executed again", extra=fields)
        return reprocessing


def why_not(row: ReceivedAction) -> str:
    """Return why an action cannot be executed again; empty if it can."""
    if not row.failed:
        return "It is already done, and an action is never executed twice"
    if row.action_id is None:
        return "It has no action_id, so it could not be recognised if it came again"
    return ""
