"""Owns how received actions are shown."""

import json
import re
from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import RecordAdmin
from relay.models import ReceivedAction, Resend

VIEW_PAYLOAD = "relay.view_payload"
#: What a refusal says in the sender's own words.
QUOTED = re.compile(r"'[^']*'|(?<=Unsupported action: ).*", re.DOTALL)


class ResendInline(admin.TabularInline):  # type: ignore[type-arg]
    """Each time that the action came again."""

    model = Resend
    readonly_fields = ("received_at", "answer", "duration_ms", "correlation_id", "reply_as_text", "payload_as_text")
    can_delete = False
    extra = 0

    def has_add_permission(self, request: Any, obj: Any = None) -> bool:
        """Never."""
        return False

    def get_fields(self, request: Any, obj: Any = None) -> Any:
        """Without the payload for whoever may not see it."""
        hidden = set() if request.user.has_perm(VIEW_PAYLOAD) else {"payload_as_text"}
        return [name for name in self.readonly_fields if name not in hidden]

    @admin.display(description="payload, where it differs")
    def payload_as_text(self, resend: Resend) -> SafeString | str:
        """The frame that was refused, indented."""
        return _preformatted(json.loads(resend.payload)) if resend.payload else "-"

    @admin.display(description="reply")
    def reply_as_text(self, resend: Resend) -> SafeString:
        """The reply, without what a refusal quotes."""
        return _reply(resend.reply)


@admin.register(ReceivedAction)
class ReceivedActionAdmin(RecordAdmin):
    """What came, what was answered, how long it took, how often it came again."""

    personal_fields = frozenset({"payload_as_text", "payload", "fingerprint", "reply", "resends"})
    personal_permission = VIEW_PAYLOAD

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
    list_filter = ("outcome", "action_type", "is_final", "received_at")
    search_fields = ("=action_id", "=accession_number", "=correlation_id")
    search_help_text = "Action id, accession number or correlation id, whole."
    date_hierarchy = "received_at"
    linked_by = ("accession_number",)
    inlines = (ResendInline,)
    fieldsets = (
        (None, {"fields": ("action_id", "action_type", "accession_number", "worklist_item", "source_system")}),
        ("What came", {"fields": ("received_at", "connection", "correlation_id", "times_received", "payload_as_text")}),
        ("What was answered", {"fields": ("outcome", "reply_as_text", "duration_ms", "is_final")}),
    )

    @admin.display(description="worklist item")
    def worklist_item(self, action: ReceivedAction) -> SafeString | str:
        """A link to the items with this accession number: there is one, or none."""
        if not action.accession_number:
            return "-"
        url = reverse("admin:worklist_worklistitem_changelist", query={"accession_number": action.accession_number})
        return format_html('<a href="{}">{}</a>', url, action.accession_number)

    @admin.display(description="payload")
    def payload_as_text(self, action: ReceivedAction) -> SafeString:
        """The frame, indented."""
        return _preformatted(json.loads(action.payload))

    @admin.display(description="reply")
    def reply_as_text(self, action: ReceivedAction) -> SafeString | str:
        """The reply, without what a refusal quotes."""
        return _reply(action.reply) if action.reply else "-"


def _reply(text: str) -> SafeString:
    """A reply, indented; the values that a refusal quotes are taken out, as it is shown to support, too."""
    reply = json.loads(text)
    if "message" in reply:
        reply["message"] = QUOTED.sub("…", reply["message"])
    return _preformatted(reply)


def _preformatted(value: Any) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False))
