"""Show what has happened to an action and its item, step by step: the admin's timelines and `follow_action`.

Entries name modalities, actions and staff, never a patient.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from django.contrib import admin
from django.contrib.auth.decorators import permission_required
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse

from core.links import admin_url
from core.models import AuditLog
from core.wording import count_of
from dashboard.images import are_images_on, received_images
from relay.models import ReceivedAction, Resend
from worklist.models import PerformedProcedureStep, WorklistItem

#: A timeline shows something of each of these, so it needs all of their permissions.
PERMISSIONS = (
    "core.view_auditlog",
    "relay.view_receivedaction",
    "worklist.view_mppsexception",
    "worklist.view_performedprocedurestep",
    "worklist.view_delivery",
    "worklist.view_worklistitem",
)
#: How many entries the page shows, the latest ones.
MAX_ENTRIES = 500
#: Fields whose changes mean nothing to a reader, or have an entry of their own.
LEFT_OUT = frozenset(
    {"updated_at", "superseded_by_id", "superseded_at", "first_image_at", "images_completed_at", "put_back_at"}
)


class Entry(NamedTuple):
    """One thing that happened. `link` leads to its page in the admin; `who` did it."""

    at: datetime
    words: str
    link: str = ""
    who: str = "gateway"


def timeline_of(item: WorklistItem) -> list[Entry]:
    """Return everything that happened to an item, the oldest first."""
    return sorted(
        [
            *_of_actions(ReceivedAction.objects.filter(accession_number=item.accession_number)),
            *_of_writes(item),
            *_of_deliveries(item),
            *_of_steps(item),
            *_of_exceptions(item),
            *_of_outbox(item),
            *_of_chain(item),
            *_of_images(item),
        ],
        key=lambda entry: entry.at,
    )


def timeline_of_action(action: ReceivedAction) -> list[Entry]:
    """Return everything that happened to the action's item; without an item, what arrived and how it was answered."""
    item = item_of_action(action)
    return timeline_of(item) if item else sorted(_of_actions([action]), key=lambda entry: entry.at)


def item_of_action(action: ReceivedAction) -> WorklistItem | None:
    """Return the item with the action's accession number."""
    number = action.accession_number
    return WorklistItem.objects.filter(accession_number=number).first() if number else None


def _of_actions(actions: Iterable[ReceivedAction]) -> Iterator[Entry]:
    for action in actions:
        link = admin_url(action)
        sender = action.source_system or "an unnamed sender"
        yield Entry(
            action.received_at, f"{action.action_type} received from {sender}: {action.action_id}", link, sender
        )
        resends = list(action.resends.order_by("received_at"))
        yield _first_answer(action, retried=any(resend.answer == Resend.Answer.RETRIED for resend in resends))
        for resend in resends:
            answer = Resend.Answer(resend.answer).label
            words = f"{action.action_type} received again: {answer}, {resend.duration_ms} ms"
            yield Entry(resend.received_at, words, link, sender)
        for done in action.reprocessings.all():
            words = f"{action.action_type} executed again: {done.outcome_before} → {done.outcome}"
            yield Entry(done.at, words, link, done.by)


def _first_answer(action: ReceivedAction, *, retried: bool) -> Entry:
    """Return the first answer. The action's row holds only the last: an action that was tried again failed before."""
    before = action.reprocessings.values_list("outcome_before", flat=True).first()
    outcome = before or action.outcome
    if retried:
        words = f"{action.action_type} failed; tried again since: {outcome}"
        return Entry(action.received_at, words, admin_url(action))
    answered_at = action.received_at + timedelta(milliseconds=action.duration_ms)
    words = f"{action.action_type} answered: {outcome}, {action.duration_ms} ms"
    return Entry(answered_at, words, admin_url(action))


def _of_writes(item: WorklistItem) -> Iterator[Entry]:
    """Yield who created or changed the item, from the audit log."""
    link = admin_url(item)
    for written in AuditLog.objects.filter(object_type=WorklistItem._meta.label_lower, object_id=item.pk):
        if written.operation == AuditLog.Operation.CREATE:
            yield Entry(written.created_at, f"Item created by {written.actor}", link, written.actor)
            continue
        changes = ", ".join(
            f"{name.replace('_', ' ')} {written.before.get(name) or 'empty'} → {value or 'empty'}"
            for name, value in sorted(written.after.items())
            if name not in LEFT_OUT
        )
        personal = ", ".join(name.replace("_", " ") for name in written.personal_fields_changed)
        words = "; ".join(filter(None, (changes, f"{personal} changed" if personal else "")))
        if words:
            yield Entry(written.created_at, f"Item changed by {written.actor}: {words}", link, written.actor)


def _of_deliveries(item: WorklistItem) -> Iterator[Entry]:
    for delivery in item.deliveries.all():
        link = reverse("admin:worklist_worklistquery_changelist", query={"calling_ae_title": delivery.ae_title})
        yield Entry(delivery.first_shown_at, f"First shown to {delivery.ae_title}", link, delivery.ae_title)
        if delivery.times_shown > 1:
            times = f"{delivery.times_shown} times in total"
            yield Entry(delivery.last_shown_at, f"Last shown to {delivery.ae_title}, {times}", link, delivery.ae_title)
    for alarm in item.alarms.all():
        yield Entry(alarm.first_at, f"Alarm: {alarm}", admin_url(alarm))


def _of_steps(item: WorklistItem) -> Iterator[Entry]:
    for link in item.step_links.select_related("step"):
        step, counts = link.step, "" if link.counts else " (no longer counts)"
        where = step.station_ae_title or step.calling_ae_title
        clock = _clock(step.started_at)
        yield Entry(step.created_at, f"MPPS started at {where}{clock}{counts}", admin_url(step), where)
        # The step itself does not hold when its end was reported; the audit log does.
        written = AuditLog.objects.filter(object_type=PerformedProcedureStep._meta.label_lower, object_id=step.pk)
        for change in written.filter(operation=AuditLog.Operation.UPDATE):
            if status := change.after.get("status"):
                ended = ", its end assumed" if step.end_is_assumed else _clock(step.ended_at)
                words = [f"MPPS {status} at {where}{ended}{counts}", count_of(step.images, "image")]
                words += [step.discontinuation_reason] if step.discontinuation_reason else []
                yield Entry(change.created_at, ", ".join(words), admin_url(step), where)


def _of_exceptions(item: WorklistItem) -> Iterator[Entry]:
    """Yield the MPPS exceptions of the item and of its steps."""
    exceptions = {
        exception.pk: exception
        for found in (item.mpps_exceptions.all(), *(step.exceptions.all() for step in item.steps.all()))
        for exception in found
    }
    for exception in exceptions.values():
        label = exception.get_reason_display()
        yield Entry(exception.created_at, f"MPPS exception: {label}", admin_url(exception))
        if exception.resolved_at:
            resolution, person = exception.get_resolution_display(), exception.resolved_by
            words = f"MPPS exception {resolution} by {person}: {label}"
            yield Entry(exception.resolved_at, words, admin_url(exception), person)


def _of_outbox(item: WorklistItem) -> Iterator[Entry]:
    for change in item.changes.all():
        words = f"Change {change.number} for Manage: {change.status}"
        step = f", MPPS {change.performed['status']}" if change.performed else ""
        successor = f", superseded by {change.superseded_by}" if change.superseded_by else ""
        yield Entry(change.at, f"{words}{step}{successor}", admin_url(item))


def _of_chain(item: WorklistItem) -> Iterator[Entry]:
    """Yield which items of the appointment superseded which."""
    for each in item.chain():
        if each.superseded_by and each.superseded_at:
            yield Entry(each.superseded_at, f"{each} superseded by {each.superseded_by}", admin_url(each.superseded_by))


def _of_images(item: WorklistItem) -> Iterator[Entry]:
    """Yield what happened to the images that belong to the items of the appointment, or name one of their numbers."""
    if not are_images_on():
        return
    chain = item.chain()
    named = Q(item_accession_number__in=[each.accession_number for each in chain])
    wanted = named | Q(item_id__in=[each.pk for each in chain])
    images = {image.pk: image for image in received_images().filter(wanted).order_by("received_at")}
    for image in images.values():
        link, sender = admin_url(image), image.calling_ae_title
        yield Entry(image.received_at, f"Image {image} received from {sender}, {image.size:,} bytes", link, sender)
        if image.uploaded_at:
            yield Entry(image.uploaded_at, f"Image {image} taken by Manage under action {image.action_id}", link)
        elif image.state not in ("waiting", "uploaded"):
            why = f" ({image.get_reason_display()})" if image.reason else ""
            yield Entry(image.updated_at, f"Image {image}: {image.get_state_display()}{why}", link)
    for decided in AuditLog.objects.filter(object_type="images.receivedimage", object_id__in=list(images)):
        if (decision := decided.after.get("decision")) and decided.object_id:
            image = images[decided.object_id]
            words = f"Image {image} {decision.replace('_', ' ')} by {decided.actor}"
            yield Entry(decided.created_at, words, admin_url(image), decided.actor)


def _clock(at: datetime | None) -> str:
    """Return the time on the modality's own clock, if it reported one."""
    return f", {at:%H:%M:%S} by its clock" if at else ""


@permission_required(PERMISSIONS, raise_exception=True)
def item_timeline(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show everything that happened to an item."""
    item = get_object_or_404(WorklistItem, pk=pk)
    return _timeline_page(request, f"Timeline of {item}: {item.status}", item, timeline_of(item))


@permission_required(PERMISSIONS, raise_exception=True)
def action_timeline(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Show everything that happened to an action and its item."""
    action = get_object_or_404(ReceivedAction, pk=pk)
    return _timeline_page(
        request, f"Timeline of {action}: {action.outcome}", item_of_action(action), timeline_of_action(action)
    )


def _timeline_page(request: HttpRequest, title: str, item: WorklistItem | None, entries: list[Entry]) -> HttpResponse:
    numbered = {"accession_number": item.accession_number} if item else None
    context = {
        **admin.site.each_context(request),
        "title": title,
        "item": item,
        "actions": reverse("admin:relay_receivedaction_changelist", query=numbered) if numbered else "",
        "entries": entries[-MAX_ENTRIES:],
        "left_out": max(len(entries) - MAX_ENTRIES, 0),
    }
    return TemplateResponse(request, "admin/dashboard/timeline.html", context)


urlpatterns = [
    path("worklist/worklistitem/<uuid:pk>/timeline/", admin.site.admin_view(item_timeline), name="item-timeline"),
    path("relay/receivedaction/<uuid:pk>/timeline/", admin.site.admin_view(action_timeline), name="action-timeline"),
]
