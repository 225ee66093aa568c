"""Configure the modalities (the model is the dicom app's; their last queries are the worklist's)."""

from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest

from core.admin import AuditedAdmin, actor_of
from core.audit import Auditor
from dicom.models import Modality
from worklist.admin.common import ShowsAlarms
from worklist.models import WorklistQuery


@admin.register(Modality)
class ModalityAdmin(ShowsAlarms, AuditedAdmin):
    """Lets staff say which machines may ask and what they see. The audit log records every change.

    A modality cannot be deleted, only disallowed: without its row its AE title would be unknown, not refused.
    """

    list_display = (
        "ae_title",
        "name",
        "room",
        "is_allowed",
        "own_list_only",
        "is_strict",
        "is_test_machine",
        "expected_address",
        "last_query",
    )
    list_filter = ("is_allowed", "own_list_only", "hides_in_progress", "is_strict", "is_test_machine", "room")
    search_fields = ("ae_title", "name", "room")
    readonly_fields = ("last_query", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("ae_title", "name", "room")}),
        ("Access", {"fields": ("is_allowed", "expected_address")}),
        (
            "What it sees",
            {"fields": ("is_test_machine", "own_list_only", "hides_in_progress", "max_rows", "character_set")},
        ),
        ("What it may report", {"fields": ("is_strict",)}),
        ("Record", {"fields": ("last_query", "created_at", "updated_at")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Modality]:
        """Annotate each modality with the time of its last query that is still kept."""
        queries = WorklistQuery.objects.filter(calling_ae_title=OuterRef("ae_title")).order_by("-asked_at")
        modalities: QuerySet[Modality] = super().get_queryset(request)
        return modalities.annotate(last_query_at=Subquery(queries.values("asked_at")[:1]))

    @admin.display(description="last query", ordering="last_query_at", empty_value="none kept")
    def last_query(self, modality: Modality) -> datetime | None:
        return getattr(modality, "last_query_at", None)

    def save_model(self, request: HttpRequest, obj: Modality, form: Any, change: bool) -> None:
        """Write through the auditor, which records who changed what."""
        auditor = Auditor(actor_of(request))
        if change:
            stored = Modality.objects.select_for_update().get(pk=obj.pk)
            auditor.update(stored, **{name: getattr(obj, name) for name in form.changed_data})
            return
        if not Modality.objects.exists() and settings.MWL_UNKNOWN_AE_TITLES == "reject-once-configured":
            warning = "This is the first modality. From now on, the gateway rejects machines that are not on this list."
            messages.warning(request, warning)
        auditor.create_unless_known(obj)
