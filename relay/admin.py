"""Show received actions, execute a failed one again, and import actions from a file."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import RecordAdmin, Tool, actor_of
from core.database import UNAVAILABLE, DatabaseBusy
from core.large_tables import IndexedValuesFilter, day_filter
from core.wording import count_of
from relay.action_files import BadFile, FileAction, check, execute, frames_in
from relay.configuration import configured_dispatcher
from relay.models import FAILURES, ReceivedAction, Reprocessing, Resend
from relay.reprocessing import CannotReprocess, execute_again, why_not

VIEW_PAYLOAD = "relay.view_payload"
REPROCESS = "relay.reprocess_action"
IMPORT = "relay.import_actions"
#: The confirmation sends the actions as text, and Django accepts no longer one (DATA_UPLOAD_MAX_MEMORY_SIZE).
MAX_FILE_BYTES = 2_000_000
#: The parts of a refusal's message that quote the sender.
QUOTED = re.compile(r"'[^']*'|(?<=Unsupported action: ).*", re.DOTALL)


class ActionFileField(forms.FileField):
    """A file of actions, whose cleaned value is the list of their frames."""

    def clean(self, data: Any, initial: Any = None) -> list[str]:
        file = super().clean(data, initial)
        if file.size > MAX_FILE_BYTES:
            raise forms.ValidationError("The file has more than 2 MB: divide it.")
        try:
            frames = frames_in(file.read())
        except BadFile as reason:
            raise forms.ValidationError(f"The file {reason}.") from None
        if not frames:
            raise forms.ValidationError("The file contains no action.")
        return frames


class ImportForm(forms.Form):
    """Asks for a file of actions."""

    file = ActionFileField(help_text="JSON: a list of actions, as Manage would send them.")


class ResendInline(admin.StackedInline):  # type: ignore[type-arg]
    """List the times that Manage sent the action again."""

    model = Resend
    readonly_fields = ("received_at", "answer", "duration_ms", "correlation_id", "reply_as_text", "payload_as_text")
    can_delete = False
    extra = 0

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    def get_fields(self, request: Any, obj: Any = None) -> Any:
        """Hide the payload from users without the permission to see it."""
        hidden = set() if request.user.has_perm(VIEW_PAYLOAD) else {"payload_as_text"}
        return [name for name in self.readonly_fields if name not in hidden]

    @admin.display(description="payload, if different")
    def payload_as_text(self, resend: Resend) -> SafeString | str:
        """Indent the payload of a refused resend."""
        return _preformatted(json.loads(resend.payload)) if resend.payload else "-"

    @admin.display(description="reply")
    def reply_as_text(self, resend: Resend) -> SafeString:
        """Indent the reply, without the values that a refusal quotes."""
        return _reply(resend.reply)


class ReprocessingInline(admin.StackedInline):  # type: ignore[type-arg]
    """List the times that a person had the action executed again."""

    model = Reprocessing
    fields = readonly_fields = (
        "at",
        "by",
        "outcome_before",
        "outcome",
        "duration_ms",
        "correlation_id",
        "was_answered",
    )
    can_delete = False
    extra = 0

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        return False

    @admin.display(description="reply before")
    def was_answered(self, done: Reprocessing) -> SafeString | str:
        """Indent the earlier reply, without the values that a refusal quotes."""
        return _reply(done.reply_before) if done.reply_before else "-"


class ResultFilter(admin.SimpleListFilter):
    """Filter for the actions that failed."""

    title = "result"
    parameter_name = "result"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("failed", "Failed")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(outcome__in=sorted(FAILURES)) if self.value() == "failed" else queryset


@admin.register(ReceivedAction)
class ReceivedActionAdmin(RecordAdmin):
    """Show received actions with their replies, read only."""

    guarded_fields = dict.fromkeys(("payload_as_text", "payload", "fingerprint", "reply", "resends"), VIEW_PAYLOAD)

    list_display = (
        "received_at",
        "action_type",
        "outcome",
        "accession_number",
        "action_id",
        "duration_ms",
        "times_received",
    )
    list_display_links = ("received_at", "action_id")
    list_filter = (
        ResultFilter,
        day_filter("received_at", "day"),
        ("outcome", IndexedValuesFilter),
        ("action_type", IndexedValuesFilter),
    )
    search_fields = ("action_id", "accession_number", "correlation_id", "resends__correlation_id")
    search_help_text = "Enter a complete action id, accession number or correlation id."
    sortable_by = ("received_at",)
    found_by = ("accession_number",)
    inlines = (ReprocessingInline, ResendInline)
    actions = ("reprocess",)
    fieldsets = (
        (None, {"fields": ("action_id", "action_type", "accession_number", "worklist_item", "source_system")}),
        ("Received", {"fields": ("received_at", "connection", "correlation_id", "times_received", "payload_as_text")}),
        ("Reply", {"fields": ("outcome", "reply_as_text", "duration_ms", "is_final")}),
    )

    @admin.display(description="worklist item")
    def worklist_item(self, action: ReceivedAction) -> SafeString | str:
        """Link to the item with this accession number, which may not exist."""
        if not action.accession_number:
            return "-"
        url = reverse("admin:worklist_worklistitem_changelist", query={"accession_number": action.accession_number})
        return format_html('<a href="{}">{}</a>', url, action.accession_number)

    @admin.display(description="payload")
    def payload_as_text(self, action: ReceivedAction) -> SafeString:
        return _preformatted(json.loads(action.payload))

    @admin.display(description="reply")
    def reply_as_text(self, action: ReceivedAction) -> SafeString | str:
        """Indent the reply, without the values that a refusal quotes."""
        return _reply(action.reply) if action.reply else "-"

    def record_tools(self, request: HttpRequest, record: Any) -> list[Tool]:
        """Offer the timeline and, if the action failed, a button to execute it again."""
        tools = [(reverse("action-timeline", args=[record.pk]), "Timeline")]
        if self.has_reprocess_permission(request) and not why_not(record):
            tools.append((reverse("admin:relay_receivedaction_reprocess", args=[record.pk]), "Execute again"))
        return tools

    def has_reprocess_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and bool(request.user.has_perm(REPROCESS))

    @admin.action(description="Execute failed actions again", permissions=["reprocess"])
    def reprocess(self, request: HttpRequest, actions: QuerySet[ReceivedAction]) -> None:
        """Execute the selected actions again, oldest first."""
        for action in actions.order_by("received_at"):
            _execute_again(request, action)

    def list_tools(self, request: HttpRequest) -> list[Tool]:
        """Offer to import actions from a file."""
        address = reverse("admin:relay_receivedaction_import")
        return [(address, "Import actions")] if self.has_import_permission(request) else []

    def has_import_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and bool(request.user.has_perm(IMPORT))

    def get_urls(self) -> list[URLPattern]:
        """Add the pages that ask for a confirmation and for a file."""
        view = self.admin_site.admin_view
        return [
            path("<uuid:pk>/reprocess/", view(self.reprocess_view), name="relay_receivedaction_reprocess"),
            path("import/", view(self.import_view), name="relay_receivedaction_import"),
            *super().get_urls(),
        ]

    def reprocess_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for confirmation on GET; execute the action again on POST."""
        if not self.has_reprocess_permission(request):
            raise PermissionDenied
        action = get_object_or_404(ReceivedAction, pk=pk)
        if request.method == "POST":
            _execute_again(request, action)
            return redirect("admin:relay_receivedaction_change", pk)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Execute {action} again",
            "opts": self.opts,
            "action": action,
            "why_not": why_not(action),
        }
        return TemplateResponse(request, "admin/relay/reprocess.html", context)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a file; check it and show what would happen; when that is confirmed, execute the actions.

        The page holds the actions between the two steps, so that no patient data is stored for actions that are never
        executed.
        """
        if not self.has_import_permission(request):
            raise PermissionDenied
        context: dict[str, Any] = {"title": "Import actions", "opts": self.opts, "form": ImportForm()}
        try:
            if "actions" in request.POST:
                frames = frames_in(request.POST["actions"].encode())
                executed = execute(configured_dispatcher(), frames, actor_of(request))
                context |= {"title": "Imported actions", "done": True, **_summary(executed)}
            elif request.method == "POST":
                context["form"] = form = ImportForm(request.POST, request.FILES)
                if form.is_valid():
                    frames = form.cleaned_data["file"]
                    checked = check(configured_dispatcher(), frames)
                    context |= {"title": "Check the actions", "file": f"[{','.join(frames)}]", **_summary(checked)}
        except BadFile as reason:
            messages.error(request, f"The form {reason}.")
        except (*UNAVAILABLE, DatabaseBusy):
            messages.error(request, "The database is not available. Try again later: no action is executed twice.")
        context |= self.admin_site.each_context(request)
        return TemplateResponse(request, "admin/relay/import.html", context)


def _execute_again(request: HttpRequest, action: ReceivedAction) -> None:
    """Execute again, and show the outcome. Show a refusal's code only: its message may quote patient data."""
    try:
        done = execute_again(configured_dispatcher(), action.pk, actor_of(request))
    except CannotReprocess as reason:
        messages.warning(request, f"{action}: not executed again. {reason}.")
    except (*UNAVAILABLE, DatabaseBusy):
        messages.error(request, f"{action}: the database is not available. Nothing was changed. Try again later.")
    else:
        outcome = done.outcome.replace("_", " ")
        if done.outcome in FAILURES:
            messages.error(request, f"{action} was executed again and failed again: {outcome}.")
        else:
            messages.success(request, f"{action} was executed again: {outcome}.")


def _summary(actions: Sequence[FileAction]) -> dict[str, Any]:
    """Count what the table of an import shows: all actions, the refused ones, and the others by their day."""
    accepted = Counter(action.day for action in actions if not action.refused)
    days = sorted((day, number) for day, number in accepted.items() if day)
    return {
        "actions": actions,
        "counted": count_of(len(actions), "action"),
        "refused": sum(action.refused for action in actions),
        "days": [*days, *([(None, accepted[None])] if accepted[None] else [])],
    }


def _reply(text: str) -> SafeString:
    """Indent a reply. Support staff see it, so the values that a refusal quotes are removed."""
    reply = json.loads(text)
    if "message" in reply:
        reply["message"] = QUOTED.sub("…", reply["message"])
    return _preformatted(reply)


def _preformatted(value: Any) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))
