"""Owns what has happened to an action and to its item, step by step, for support and for the item's page.

What is told names modalities, actions and people who work here, and never a woman.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.urls import reverse
from django.utils import timezone

from core.admin import page_of
from core.models import AuditLog
from relay.models import ReceivedAction, Resend
from worklist.models import PerformedProcedureStep, WorklistItem


class Entry(NamedTuple):
    """One thing that happened. `link` leads to where the admin has more of it; `who` has done it."""

    at: datetime
    words: str
    link: str = ""
    who: str = "gateway"


def timeline_of(item: WorklistItem) -> list[Entry]:
    """Everything that is known of an item, the oldest first."""
    return sorted(
        [
            *_of_actions(ReceivedAction.objects.filter(accession_number=item.accession_number)),
            *_of_writes(item),
            *_of_deliveries(item),
            *_of_steps(item),
            *_of_exceptions(item),
            *_of_outbox(item),
        ],
        key=lambda entry: entry.at,
    )


def timeline_of_action(action: ReceivedAction) -> list[Entry]:
    """Everything about the action's item; of one that has none, what came and what was answered."""
    item = item_of(action)
    return timeline_of(item) if item else sorted(_of_actions([action]), key=lambda entry: entry.at)


def item_of(action: ReceivedAction) -> WorklistItem | None:
    """The item that an action is about."""
    number = action.accession_number
    return WorklistItem.objects.filter(accession_number=number).first() if number else None


def _of_actions(actions: Iterable[ReceivedAction]) -> Iterator[Entry]:
    for action in actions:
        link = page_of(action)
        sender = action.source_system or "a sender without a name"
        yield Entry(action.received_at, f"{action.action_type} came from {sender}: {action.action_id}", link, sender)
        resends = list(action.resends.order_by("received_at"))
        yield _first_answer(action, retried=any(resend.answer == Resend.Answer.RETRIED for resend in resends))
        for resend in resends:
            answer = Resend.Answer(resend.answer).label
            words = f"{action.action_type} came again: {answer}, {resend.duration_ms} ms"
            yield Entry(resend.received_at, words, link, sender)
        for done in action.reprocessings.all():
            words = f"{action.action_type} executed again: {done.outcome_before} → {done.outcome}"
            yield Entry(done.at, words, link, done.by)


def _first_answer(action: ReceivedAction, *, retried: bool) -> Entry:
    """What the sender was answered first. The row has the last answer: what was tried again had failed before."""
    before = action.reprocessings.values_list("outcome_before", flat=True).first()
    outcome = before or action.outcome
    if retried:
        words = f"{action.action_type} failed; since it was tried again: {outcome}"
        return Entry(action.received_at, words, page_of(action))
    answered_at = action.received_at + timedelta(milliseconds=action.duration_ms)
    words = f"{action.action_type} answered: {outcome}, {action.duration_ms} ms"
    return Entry(answered_at, words, page_of(action))


def _of_writes(item: WorklistItem) -> Iterator[Entry]:
    """The item itself, by the audit log: who made or changed it, and how."""
    link = page_of(item)
    for written in AuditLog.objects.filter(object_type=WorklistItem._meta.label_lower, object_id=item.pk):
        if written.operation == AuditLog.Operation.CREATE:
            yield Entry(written.created_at, f"Item made by {written.actor}", link, written.actor)
            continue
        changes = ", ".join(
            f"{name.replace('_', ' ')} {written.before.get(name) or 'empty'} → {value or 'empty'}"
            for name, value in sorted(written.after.items())
            if name != "updated_at"
        )
        personal = ", ".join(name.replace("_", " ") for name in written.personal_fields_changed)
        said = "; ".join(filter(None, (changes, f"{personal} changed" if personal else "")))
        yield Entry(written.created_at, f"Item changed by {written.actor}: {said}", link, written.actor)


def _of_deliveries(item: WorklistItem) -> Iterator[Entry]:
    for delivery in item.deliveries.all():
        link = reverse("admin:worklist_worklistquery_changelist", query={"calling_ae_title": delivery.ae_title})
        yield Entry(delivery.first_shown_at, f"First shown to {delivery.ae_title}", link, delivery.ae_title)
        if delivery.times_shown > 1:
            times = f"{delivery.times_shown} times in all"
            yield Entry(delivery.last_shown_at, f"Last shown to {delivery.ae_title}, {times}", link, delivery.ae_title)
    for alarm in item.alarms.all():
        words = f"Could not be shown: {alarm.attribute} is nothing that DICOM allows"
        yield Entry(alarm.first_at, words, page_of(item))


def _of_steps(item: WorklistItem) -> Iterator[Entry]:
    for link in item.step_links.select_related("step"):
        step, counts = link.step, "" if link.counts else " (counts no longer)"
        where = step.station_ae_title or step.calling_ae_title
        clock = _clock(step.started_at)
        yield Entry(step.created_at, f"MPPS started at {where}{clock}{counts}", page_of(step), where)
        yield from _of_ends(step, where, counts)


def _of_ends(step: PerformedProcedureStep, where: str, counts: str) -> Iterator[Entry]:
    """When the step's end was reported: the audit log has the moment."""
    written = AuditLog.objects.filter(object_type=PerformedProcedureStep._meta.label_lower, object_id=step.pk)
    for change in written.filter(operation=AuditLog.Operation.UPDATE):
        if status := change.after.get("status"):
            words = [f"MPPS {status} at {where}{_clock(step.ended_at)}{counts}", f"{step.images} images"]
            words += [step.discontinuation_reason] if step.discontinuation_reason else []
            yield Entry(change.created_at, ", ".join(words), page_of(step), where)


def _of_exceptions(item: WorklistItem) -> Iterator[Entry]:
    """Those about the item, and those about its steps."""
    exceptions = {
        exception.pk: exception
        for found in (item.mpps_exceptions.all(), *(step.exceptions.all() for step in item.steps.all()))
        for exception in found
    }
    for exception in exceptions.values():
        label = exception.get_reason_display()
        yield Entry(exception.created_at, f"MPPS exception: {label}", page_of(exception))
        if exception.resolved_at:
            resolution, person = exception.get_resolution_display(), exception.resolved_by
            words = f"MPPS exception {resolution} by {person}: {label}"
            yield Entry(exception.resolved_at, words, page_of(exception), person)


def _of_outbox(item: WorklistItem) -> Iterator[Entry]:
    for change in item.changes.all():
        words = f"Change {change.number} for Manage: {change.status}"
        step = f", MPPS {change.performed['status']}" if change.performed else ""
        yield Entry(change.at, f"{words}{step}", page_of(item))


def _clock(at: datetime | None) -> str:
    """The modality's own clock, where it said what it is."""
    return f", {at:%H:%M:%S} by its clock" if at else ""


def line(entry: Entry) -> str:
    """An entry in a line, on the clinic's clock."""
    return f"{timezone.localtime(entry.at):%Y-%m-%d %H:%M:%S}  {entry.words}"
