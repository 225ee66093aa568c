"""Show the performed procedure steps that modalities have reported (PS3.4 annex F)."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.admin import RecordAdmin
from core.large_tables import IndexedValuesFilter, day_filter
from worklist.admin.common import (
    VIEW_DATA_SET,
    VIEW_EXCEPTIONS,
    VIEW_OPERATOR,
    VIEW_PATIENT_DATA,
    ShowsAlarms,
    end_of,
    exception_lines,
    link_to,
    local_date_and_time,
)
from worklist.models import PerformedProcedureStep
from worklist.performed_step.report import from_json


@admin.register(PerformedProcedureStep)
class PerformedProcedureStepAdmin(ShowsAlarms, RecordAdmin):
    """Shows a step as its modality last reported it, with its items and exceptions.

    The data set names the patient and the operators, so it needs a permission of its own.
    """

    guarded_fields = {
        "patient_id": VIEW_PATIENT_DATA,
        "operators": VIEW_OPERATOR,
        "data_set_text": VIEW_DATA_SET,
        "exceptions": VIEW_EXCEPTIONS,
    }

    list_display = (
        "performed_procedure_step",
        "status",
        "started",
        "ended",
        "station_ae_title",
        "images",
        "item_links",
        "discontinuation_reason",
    )
    list_filter = (
        "status",
        day_filter("created_at", "day received"),
        ("station_ae_title", IndexedValuesFilter),
    )
    sortable_by = ()
    search_fields = ("items__accession_number", "performed_procedure_step_id", "sop_instance_uid", "correlation_id")
    search_help_text = (
        "Enter a whole accession number, Performed Procedure Step ID, SOP Instance UID or correlation id."
    )
    fieldsets = (
        (None, {"fields": ("performed_procedure_step_id", "sop_instance_uid", "status", "started", "ended")}),
        ("Items and exceptions", {"fields": ("item_links", "exceptions")}),
        ("Where", {"fields": ("station_ae_title", "station_name", "location", "modality")}),
        ("Result", {"fields": ("series", "images", "dose", "discontinuation_reason")}),
        ("People", {"fields": ("patient_id", "operators")}),
        ("Sent by", {"fields": ("calling_ae_title", "address", "correlation_id", "character_set")}),
        ("Data set", {"fields": ("data_set_text",)}),
        ("Record", {"fields": ("created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PerformedProcedureStep]:
        steps: QuerySet[PerformedProcedureStep] = super().get_queryset(request)
        return steps.prefetch_related("items")

    @admin.display(description="step")
    def performed_procedure_step(self, step: PerformedProcedureStep) -> str:
        """The machine's own step id, or else the SOP Instance UID."""
        return step.performed_procedure_step_id or step.sop_instance_uid

    @admin.display(description="started")
    def started(self, step: PerformedProcedureStep) -> str | None:
        """By the modality's clock."""
        return local_date_and_time(step.started_at) if step.started_at else None

    @admin.display(description="ended")
    def ended(self, step: PerformedProcedureStep) -> str | None:
        """By the modality's clock, or by ours if it sent no end that can be read."""
        return end_of(step) if step.ended_at else None

    @admin.display(description="items")
    def item_links(self, step: PerformedProcedureStep) -> SafeString | str:
        return format_html_join(", ", "{}", ((link_to(item),) for item in step.items.all())) or "-"

    @admin.display(description="MPPS exceptions")
    def exceptions(self, step: PerformedProcedureStep) -> SafeString | str:
        return exception_lines(step.exceptions.all())

    @admin.display(description="data set")
    def data_set_text(self, step: PerformedProcedureStep) -> SafeString:
        """Every element, as pydicom prints it."""
        return format_html('<pre class="data-set">{}</pre>', str(from_json(step.data_set)))
