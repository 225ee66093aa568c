"""Owns the worklist items: what is kept of each, what the database refuses, and how a query becomes SQL."""

from collections.abc import Iterator

from django.db import models
from django.db.models.functions import Length, Trim
from django.db.models.lookups import LessThanOrEqual

from core.gateway_actions import WORKLIST_STATUSES
from core.models import PersonalDataModel
from worklist.information_model import ROOT, STEP, Matching
from worklist.matching import AnyOf, Between, Condition, Key, Keys, OneOf, Period

#: Text fields and the most characters that may stand in them; SQLite does not look at max_length, so checks do.
LENGTHS = {
    "accession_number": 16,
    "patient_id": 64,
    "patient_name": 194,  # three component groups of 64 and two `=`
    "patient_sex": 1,
    "patient_address": 64,
    "patient_weight": 16,
    "patient_comments": 10240,
    "station_ae_title": 16,
    "station_name": 16,
    "location": 16,
    "performing_physician_name": 194,
    "modality": 16,
    "study_description": 64,
    "procedure_code": 16,
    "procedure_coding_scheme": 16,
    "procedure_code_meaning": 64,
    "protocol_code": 16,
    "protocol_coding_scheme": 16,
    "protocol_code_meaning": 64,
    "study_instance_uid": 64,
    "requested_procedure_id": 16,
    "scheduled_procedure_step_id": 16,
    "status": 16,
}
#: Without one of these an item cannot be shown to a modality.
NEVER_EMPTY = (
    "accession_number",
    "patient_id",
    "patient_name",
    "modality",
    "study_instance_uid",
    "requested_procedure_id",
    "scheduled_procedure_step_id",
)
#: Spaces around these do not count (PS3.5 table 6.2-1), so they are not stored: a key is looked up as it is.
COMPARED_AS_TEXT = sorted(
    {row.field for row in (*ROOT, *STEP) if row.matching in (Matching.TEXT, Matching.NHS_NUMBER, Matching.UID)}
)


class WorklistItemQuerySet(models.QuerySet["WorklistItem"]):
    """Questions that are asked of the worklist."""

    def open(self) -> "WorklistItemQuerySet":
        """Items that still have to be, or are being, imaged."""
        return self.exclude(status__in=("COMPLETED", "DISCONTINUED"))

    def matching(self, keys: Keys) -> Iterator["WorklistItem"]:
        """The items that meet the keys, by date, time and accession number.

        The database narrows as far as it can say it exactly as the matcher does; the matcher decides.
        """
        rows = self if keys.names_status else self.open()
        for key in keys.keys:
            rows = rows.filter(_narrowing(key))
        if keys.period:
            rows = rows.filter(_period(keys.period))
        ordered = rows.order_by("scheduled_date", "scheduled_time", "accession_number")
        return (item for item in ordered.iterator(chunk_size=200) if keys.met_by(item))


def _narrowing(key: Key) -> models.Q:
    field = key.attribute.field
    condition = _in_sql(field, key.condition)
    return condition | models.Q(**{field: ""}) if condition and key.attribute.empty_matches else condition


def _in_sql(field: str, condition: Condition) -> models.Q:
    """The condition as SQL says it; an empty Q, which narrows nothing, where SQL cannot."""
    match condition:
        case OneOf(values):
            # PostgreSQL takes no NUL, and no item has one.
            return models.Q(**{f"{field}__in": sorted(value for value in values if "\0" not in value)})
        case Between(low, high):
            return models.Q(**{f"{field}__gte": low, f"{field}__lte": high})
        case AnyOf(conditions):
            either = models.Q()
            for one in conditions:
                either |= _in_sql(field, one)
            return either
    return models.Q()


def _period(period: Period) -> models.Q:
    return models.Q(scheduled_date__gte=period.start.date(), scheduled_date__lte=period.end.date())


class WorklistItem(PersonalDataModel):
    """One Scheduled Procedure Step with its Requested Procedure and its patient, as a modality is shown it.

    Dates and times are the clinic's wall clock, as they were sent. Written by core.services.auditor alone.
    """

    class Status(models.TextChoices):
        SCHEDULED = "SCHEDULED"
        IN_PROGRESS = "IN PROGRESS"
        COMPLETED = "COMPLETED"
        DISCONTINUED = "DISCONTINUED"

    personal_fields = frozenset(
        {
            "patient_id",
            "patient_name",
            "patient_birth_date",
            "patient_sex",
            "patient_address",
            "patient_weight",
            "patient_comments",
            "performing_physician_name",
        }
    )

    accession_number = models.CharField(max_length=16, unique=True)
    status = models.CharField(max_length=16, choices=Status, default=Status.SCHEDULED)

    patient_id = models.CharField("NHS number", max_length=64, db_index=True)
    patient_name = models.CharField(max_length=194)
    patient_birth_date = models.DateField()
    patient_sex = models.CharField(max_length=1, blank=True)
    patient_address = models.CharField(max_length=64, blank=True)
    patient_weight = models.CharField(max_length=16, blank=True)
    patient_comments = models.TextField(max_length=10240, blank=True)

    scheduled_date = models.DateField()
    scheduled_time = models.TimeField()
    station_ae_title = models.CharField("station AE title", max_length=16, blank=True)
    station_name = models.CharField(max_length=16, blank=True)
    location = models.CharField(max_length=16, blank=True)
    performing_physician_name = models.CharField(max_length=194, blank=True)

    modality = models.CharField(max_length=16)
    study_description = models.CharField(max_length=64, blank=True)
    procedure_code = models.CharField(max_length=16, blank=True)
    procedure_coding_scheme = models.CharField(max_length=16, blank=True)
    procedure_code_meaning = models.CharField(max_length=64, blank=True)
    protocol_code = models.CharField(max_length=16, blank=True)
    protocol_coding_scheme = models.CharField(max_length=16, blank=True)
    protocol_code_meaning = models.CharField(max_length=64, blank=True)

    study_instance_uid = models.CharField("Study Instance UID", max_length=64, db_index=True, editable=False)
    requested_procedure_id = models.CharField("Requested Procedure ID", max_length=16, editable=False)
    scheduled_procedure_step_id = models.CharField("Scheduled Procedure Step ID", max_length=16, editable=False)

    correlation_id = models.CharField(max_length=64, db_index=True, help_text="Of the action that made the item.")

    objects = WorklistItemQuerySet.as_manager()

    class Meta:
        ordering = ("scheduled_date", "scheduled_time", "accession_number")
        indexes = (models.Index(fields=("scheduled_date", "station_ae_title"), name="item_by_day_and_station"),)
        constraints = (
            models.CheckConstraint(condition=models.Q(status__in=WORKLIST_STATUSES), name="item_status_known"),
            *(
                models.CheckConstraint(condition=LessThanOrEqual(Length(field), length), name=f"item_{field}_fits")
                for field, length in LENGTHS.items()
            ),
            *(
                models.CheckConstraint(condition=~models.Q(**{field: ""}), name=f"item_{field}_given")
                for field in NEVER_EMPTY
            ),
            *(
                models.CheckConstraint(condition=models.Q(**{field: Trim(field)}), name=f"item_{field}_trimmed")
                for field in COMPARED_AS_TEXT
            ),
        )
        permissions = (("view_patient_data", "Can see who the woman is"),)

    def __str__(self) -> str:
        return self.accession_number
