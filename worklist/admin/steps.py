"""Owns how it is shown what modalities have reported of their work: PerformedProcedureStep, PS3.4 Annex F."""

from collections.abc import Iterable

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.admin import RecordAdmin
from core.large_tables import IndexedValuesFilter, on_a_day
from worklist.admin.permissions import VIEW_DATA_SET, VIEW_EXCEPTIONS, VIEW_OPERATOR, VIEW_PATIENT_DATA
from worklist.admin.texts import lines, link, wall_clock
from worklist.models import MppsException, PerformedProcedureStep
from worklist.performed_step.report import from_json


@admin.register(PerformedProcedureStep)
class PerformedProcedureStepAdmin(RecordAdmin):
    """What a modality said last of one piece of work, and what it belongs to.

    The data set names the woman and the operators, whatever else this user may see: it takes a permission of its own.
    """

    guarded_fields = {
        "patient_id": VIEW_PATIENT_DATA,
        "operators": VIEW_OPERATOR,
        "all_that_was_sent": VIEW_DATA_SET,
        "exceptions": VIEW_EXCEPTIONS,
    }

    list_display = (
        "performed_procedure_step",
        "status",
        "started",
        "ended",
        "station_ae_title",
        "images",
        "of_items",
        "discontinuation_reason",
    )
    list_filter = (
        "status",
        on_a_day("created_at", "day received"),
        ("station_ae_title", IndexedValuesFilter),
    )
    sortable_by = ()
    search_fields = ("items__accession_number", "performed_procedure_step_id", "sop_instance_uid", "correlation_id")
    search_help_text = "Accession number, Performed Procedure Step ID, SOP Instance UID or correlation id, whole."
    fieldsets = (
        (None, {"fields": ("performed_procedure_step_id", "sop_instance_uid", "status", "started", "ended")}),
        ("Belongs to", {"fields": ("of_items", "exceptions")}),
        ("Where", {"fields": ("station_ae_title", "station_name", "location", "modality")}),
        ("What came of it", {"fields": ("series", "images", "dose", "discontinuation_reason")}),
        ("Who", {"fields": ("patient_id", "operators")}),
        ("Sent by", {"fields": ("calling_ae_title", "address", "correlation_id", "character_set")}),
        ("Data set", {"fields": ("all_that_was_sent",)}),
        ("Record", {"fields": ("created_at", "updated_at")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PerformedProcedureStep]:
        """With the items, which the list names."""
        steps: QuerySet[PerformedProcedureStep] = super().get_queryset(request)
        return steps.prefetch_related("items")

    @admin.display(description="step")
    def performed_procedure_step(self, step: PerformedProcedureStep) -> str:
        """The machine's own number, or else the UID."""
        return step.performed_procedure_step_id or step.sop_instance_uid

    @admin.display(description="started")
    def started(self, step: PerformedProcedureStep) -> str | None:
        """On the modality's clock."""
        return wall_clock(step.started_at) if step.started_at else None

    @admin.display(description="ended")
    def ended(self, step: PerformedProcedureStep) -> str | None:
        """On the modality's clock."""
        return wall_clock(step.ended_at) if step.ended_at else None

    @admin.display(description="items")
    def of_items(self, step: PerformedProcedureStep) -> SafeString | str:
        """Each with a link."""
        return format_html_join(", ", "{}", ((link(item),) for item in step.items.all())) or "-"

    @admin.display(description="MPPS exceptions")
    def exceptions(self, step: PerformedProcedureStep) -> SafeString | str:
        """What of it is for people, and how it was dealt with."""
        return exception_lines(step.exceptions.all())

    @admin.display(description="all that was sent")
    def all_that_was_sent(self, step: PerformedProcedureStep) -> SafeString:
        """Element by element, as pydicom prints it."""
        return format_html('<pre class="data-set">{}</pre>', str(from_json(step.data_set)))

    class Media:
        css = {"all": ("worklist/admin.css",)}


def exception_lines(exceptions: Iterable[MppsException]) -> SafeString | str:
    """Each exception with its reason and how it was dealt with, a line and a link for each."""
    told = (link(each, f"{each.get_reason_display()} ({each.get_resolution_display()})") for each in exceptions)
    return lines(told) or "-"


def summary(step: PerformedProcedureStep) -> str:
    """`DISCONTINUED, 23 Nov 2026 14:31 to 14:40, MAMMO1, 2 images, Patient refused`: all that a list of them says."""
    times = [wall_clock(at) for at in (step.started_at, step.ended_at) if at]
    images = f"{step.images} image{'' if step.images == 1 else 's'}"
    parts = (step.status, " to ".join(times), step.station_ae_title, images, step.discontinuation_reason)
    return ", ".join(filter(None, parts))
