"""Owns how worklist items are shown."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import RecordAdmin
from worklist.models import WorklistItem


@admin.register(WorklistItem)
class WorklistItemAdmin(RecordAdmin):
    """What a modality is shown, and by which actions it came about.

    Search takes no name and no NHS number: what is searched for stands in the address line, and in every proxy's log.
    """

    personal_fields = WorklistItem.personal_fields
    personal_permission = "worklist.view_patient_data"

    list_display = (
        "accession_number",
        "status",
        "scheduled_date",
        "scheduled_time",
        "station_ae_title",
        "patient_name",
        "patient_id",
        "modality",
    )
    list_filter = ("status", "scheduled_date", "station_ae_title", "modality")
    search_fields = (
        "=accession_number",
        "=study_instance_uid",
        "=requested_procedure_id",
        "=scheduled_procedure_step_id",
        "=correlation_id",
    )
    search_help_text = "Accession number, Study Instance UID, procedure ids or correlation id, whole."
    date_hierarchy = "scheduled_date"
    linked_by = ("accession_number",)
    fieldsets = (
        (None, {"fields": ("accession_number", "status", "received_actions", "correlation_id")}),
        (
            "Patient",
            {
                "fields": (
                    "patient_id",
                    "patient_name",
                    "patient_birth_date",
                    "patient_sex",
                    "patient_address",
                    "patient_weight",
                    "patient_comments",
                )
            },
        ),
        (
            "Scheduled",
            {
                "fields": (
                    "scheduled_date",
                    "scheduled_time",
                    "station_ae_title",
                    "station_name",
                    "location",
                    "performing_physician_name",
                )
            },
        ),
        (
            "Procedure",
            {
                "fields": (
                    "modality",
                    "study_description",
                    ("procedure_code", "procedure_coding_scheme", "procedure_code_meaning"),
                    ("protocol_code", "protocol_coding_scheme", "protocol_code_meaning"),
                    "study_instance_uid",
                    "requested_procedure_id",
                    "scheduled_procedure_step_id",
                )
            },
        ),
        ("Record", {"fields": ("created_at", "updated_at")}),
    )

    @admin.display(description="received actions")
    def received_actions(self, item: WorklistItem) -> SafeString:
        """A link to every action about this accession number."""
        url = reverse("admin:relay_receivedaction_changelist", query={"accession_number": item.accession_number})
        return format_html('<a href="{}">actions about {}</a>', url, item.accession_number)
