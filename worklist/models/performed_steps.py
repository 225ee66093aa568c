"""Store performed procedure steps (PS3.4 Annex F), their links with items, and the exceptions a person must resolve."""

from datetime import date, datetime, time
from typing import Any

from django.db import models

from core.contract import STEP_STATUSES, ItemStatus
from core.models import PersonalDataModel
from worklist.models.items import STATUS_CHOICES, WorklistItem

STEP_STATUS_CHOICES = [choice for choice in STATUS_CHOICES if choice[0] in STEP_STATUSES]


class PerformedProcedureStep(PersonalDataModel):
    """One Modality Performed Procedure Step, as the modality has last reported it.

    Dates and times are the modality's wall clock. `data_set` is the whole report as DICOM JSON (PS3.18 Annex F) in
    Unicode; the other fields are read from it. Written only through core.audit.
    """

    personal_fields = frozenset({"patient_id", "operators", "data_set"})

    sop_instance_uid = models.CharField("SOP Instance UID", max_length=64, unique=True)
    status = models.CharField(max_length=16, choices=STEP_STATUS_CHOICES, default=ItemStatus.IN_PROGRESS.value)
    performed_procedure_step_id = models.CharField("Performed Procedure Step ID", max_length=16, blank=True)
    start_date = models.DateField(null=True)
    start_time = models.TimeField(null=True)
    end_date = models.DateField(null=True)
    end_time = models.TimeField(null=True)
    end_is_assumed = models.BooleanField(
        default=False, help_text="The end is when its report arrived: the machine sent none that can be read."
    )
    station_ae_title = models.CharField("performed station AE title", max_length=16, blank=True)
    station_name = models.CharField("performed station name", max_length=16, blank=True)
    location = models.CharField("performed location", max_length=16, blank=True)
    modality = models.CharField(max_length=16, blank=True)
    series = models.PositiveIntegerField(default=0)
    images = models.PositiveIntegerField(default=0)
    dose = models.TextField(blank=True, help_text="One line for each attribute: keyword and value.")
    discontinuation_reason = models.CharField(max_length=200, blank=True, help_text="Meaning, and code in brackets.")

    patient_id = models.CharField("NHS number", max_length=64, blank=True)
    operators = models.CharField(max_length=640, blank=True)
    data_set = models.TextField(help_text="The whole report, as DICOM JSON.")

    character_set = models.CharField(
        max_length=200, blank=True, help_text="From the N-CREATE; for N-SETs that have none."
    )

    calling_ae_title = models.CharField("calling AE title", max_length=16)
    address = models.CharField(max_length=45)
    correlation_id = models.CharField(max_length=64, db_index=True, help_text="From the N-CREATE.")
    items: "models.ManyToManyField[WorklistItem, StepLink]" = models.ManyToManyField(
        WorklistItem, through="StepLink", related_name="steps"
    )

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(
                fields=("created_at",), name="step_in_progress", condition=models.Q(status=ItemStatus.IN_PROGRESS.value)
            ),
            models.Index(fields=("created_at",), name="step_by_arrival"),
            models.Index(fields=("status", "created_at"), name="step_by_status"),
            models.Index(fields=("station_ae_title", "created_at"), name="step_by_station"),
            models.Index(fields=("performed_procedure_step_id",), name="step_by_machines_number"),
        )
        permissions = (
            ("view_operator", "Can see who operated the machine"),
            ("view_data_set", "Can see everything that the modality sent"),
        )

    def __str__(self) -> str:
        return f"{self.performed_procedure_step_id or self.sop_instance_uid} at {self.station_ae_title or '?'}"

    @property
    def actor(self) -> str:
        """The name in the audit log of the modality that created the step."""
        return f"modality:{self.calling_ae_title}"

    @property
    def started_at(self) -> datetime | None:
        """The start, on the modality's clock; at midnight if the report has only a date."""
        return _moment(self.start_date, self.start_time)

    @property
    def ended_at(self) -> datetime | None:
        """The end, on the modality's clock; if `end_is_assumed`, when its report arrived, on ours."""
        return _moment(self.end_date, self.end_time)

    def report(self) -> dict[str, Any]:
        """Return `performed` of the contract, as Manage reads it. It holds no personal data."""
        assumed = {"ended_at_is_assumed": True} if self.end_is_assumed else {}
        return {
            "status": self.status,
            "started_at": _iso(self.started_at),
            "ended_at": _iso(self.ended_at),
            "station_ae_title": self.station_ae_title,
            "images": self.images,
            "discontinuation_reason": self.discontinuation_reason or None,
            **assumed,
        }


def _moment(day: date | None, at: time | None) -> datetime | None:
    return datetime.combine(day, at or time()) if day else None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


class StepLink(PersonalDataModel):
    """A step that was performed for an item. `counts` is False once a person has put the item back on the list.

    It holds no personal data, but is written through core.audit, as it decides the item's status.
    """

    step = models.ForeignKey(PerformedProcedureStep, on_delete=models.CASCADE, related_name="links")
    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="step_links")
    counts = models.BooleanField(default=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("step", "item"), name="one_link_per_step_and_item"),)

    def __str__(self) -> str:
        return f"{self.step_id} for {self.item_id}"


class MppsExceptionQuerySet(models.QuerySet["MppsException"]):
    """Select exceptions."""

    def open(self) -> "MppsExceptionQuerySet":
        """Return the exceptions that are not resolved."""
        return self.filter(resolution="")

    def alarms(self) -> "MppsExceptionQuerySet":
        """Return the open ones that may mean a wrong patient on a modality's screen."""
        return self.open().filter(reason=MppsException.Reason.WRONG_PATIENT)

    def of_patients(self) -> "MppsExceptionQuerySet":
        """Leave out those about test items, but no wrong patient: another woman may be on the machine's screen."""
        wrong_patient = models.Q(reason=MppsException.Reason.WRONG_PATIENT)
        return self.exclude(models.Q(item__is_test=True) & ~wrong_patient)


class MppsException(PersonalDataModel):
    """Something about a step that a person must resolve (PS3.2 C.4.2.1.4.2.3). It holds no personal data."""

    class Reason(models.TextChoices):
        UNSCHEDULED = "unscheduled", "Unscheduled: the machine names no item"
        UNKNOWN_ITEM = "unknown_item", "Unknown accession number: no item has it"
        WRONG_PATIENT = "wrong_patient", "Wrong patient: the item is another woman's"
        MISSING_ATTRIBUTES = "missing_attributes", "Attributes are missing or cannot be read"
        IGNORED_ATTRIBUTES = (
            "ignored_attributes",
            "Attributes were ignored: they may not change, or do not fit the item",
        )
        CONTRADICTS_CLOUD = "contradicts_cloud", "Manage had discontinued the item"
        DONE_AFTER_PUT_BACK = "done_after_put_back", "Completed after the item was put back on the list"
        ABANDONED = "abandoned", "Abandoned: not ended after a day"
        TEST_MACHINE = "test_machine", "A test machine reported on a woman's item"

    class Resolution(models.TextChoices):
        OPEN = "", "open"
        LINKED = "linked", "linked to an item"
        PUT_BACK = "put_back", "the item was put back on the list"
        DISMISSED = "dismissed", "dismissed"
        SETTLED = "settled", "settled by itself"

    step = models.ForeignKey(PerformedProcedureStep, on_delete=models.CASCADE, related_name="exceptions")
    reason = models.CharField(max_length=24, choices=Reason)
    item = models.ForeignKey(
        WorklistItem, null=True, blank=True, on_delete=models.CASCADE, related_name="mpps_exceptions"
    )
    accession_number = models.CharField(max_length=16, blank=True, help_text="As the modality sent it.")
    detail = models.CharField(max_length=300, blank=True, help_text="Keywords of attributes, never values.")
    resolution = models.CharField(max_length=10, choices=Resolution, blank=True, default=Resolution.OPEN)
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=300, blank=True, help_text="In a person's words, without a patient's name.")

    objects = MppsExceptionQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at",)
        verbose_name = "MPPS exception"
        verbose_name_plural = "MPPS exceptions"
        indexes = (
            models.Index(fields=("accession_number",), name="open_mpps_exception", condition=models.Q(resolution="")),
            models.Index(fields=("accession_number", "created_at"), name="exception_by_number"),
            models.Index(fields=("resolution", "created_at"), name="exception_by_resolution"),
            models.Index(fields=("reason", "created_at"), name="exception_by_reason"),
            models.Index(fields=("created_at",), name="exception_by_arrival"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=("step", "reason", "accession_number"), name="one_mpps_exception_per_step_and_reason"
            ),
        )
        permissions = (("resolve_mppsexception", "Can resolve MPPS exceptions, and put items back on the list"),)

    def __str__(self) -> str:
        return f"{self.reason}: {self.step_id}"
