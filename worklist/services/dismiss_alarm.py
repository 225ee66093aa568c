"""Dismiss an alarm about an item, as a person decides in the admin."""

from django.db import transaction
from django.utils import timezone

from core.audit import Auditor
from core.models import AuditLog, fitting
from worklist.models import ItemAlarm
from worklist.performed_step.mpps_exceptions import DecisionRefused


@transaction.atomic
def dismiss_alarm(alarm: ItemAlarm, actor: str, note: str) -> None:
    """Store who dismissed the alarm and why, with an entry about its item in the audit log.

    DecisionRefused without a reason, or if somebody else was quicker.
    """
    if not note.strip():
        raise DecisionRefused("Give a reason to dismiss an alarm")
    changes = fitting(ItemAlarm, dismissed_at=timezone.now(), dismissed_by=actor, note=note)
    if not ItemAlarm.objects.open().filter(pk=alarm.pk).update(**changes):
        raise DecisionRefused("Somebody has already dismissed it")
    subject = f"alarm {alarm.kind} {alarm.attribute}".strip()
    Auditor(actor).note(
        AuditLog.Operation.UPDATE, alarm.item, {subject: "open"}, **{subject: f"dismissed: {changes['note']}"}
    )
