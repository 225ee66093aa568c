"""The tables of the emulated clinic and the emulated mammography unit.

They let several tabs, and a restarted server, agree. All data is invented; the tables exist only if `nonprod` is
installed.
"""

from django.db import models
from django.utils import timezone

from nonprod.manage_emulator import new_accession_number


class Appointment(models.Model):
    """An appointment of the clinic, the action that Manage sent for it, and the gateway's reply and later reports."""

    date = models.DateField()
    time = models.TimeField()
    name = models.CharField(max_length=64)
    nhs_number = models.CharField(max_length=10)
    birth_date = models.DateField()
    station_ae_title = models.CharField(max_length=16, blank=True)
    accession_number = models.CharField(max_length=16, unique=True, default=new_accession_number)
    action = models.JSONField(null=True)
    reply = models.JSONField(null=True)
    problem = models.TextField(blank=True)
    worklist_status = models.CharField(max_length=16, blank=True)
    performed = models.JSONField(null=True)
    did_not_attend = models.BooleanField(default=False)

    class Meta:
        ordering = ("date", "time")
        constraints = (models.UniqueConstraint(fields=("date", "time"), name="one_appointment_at_a_time"),)

    def __str__(self) -> str:
        return self.accession_number


class Reading(models.Model):
    """How far Manage has read the gateway's changes: one row for all tabs and processes."""

    cursor = models.TextField(blank=True)
    asked_at = models.DateTimeField()
    problem = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"asked at {self.asked_at}"


class Examination(models.Model):
    """A step that a unit performs or has performed, with all data that a later N-SET needs."""

    class Status(models.TextChoices):
        """The values of Performed Procedure Step Status (PS3.3 table C.4-14)."""

        IN_PROGRESS = "IN PROGRESS"
        COMPLETED = "COMPLETED"
        DISCONTINUED = "DISCONTINUED"

    uid = models.CharField(max_length=64, unique=True)
    station_ae_title = models.CharField(max_length=16)
    status = models.CharField(max_length=16, choices=Status, default=Status.IN_PROGRESS)
    begun_at = models.DateTimeField(default=timezone.now)
    attributes = models.TextField(help_text="The N-CREATE's Attribute List, as DICOM JSON.")
    series = models.JSONField(default=list)

    class Meta:
        ordering = ("-begun_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("station_ae_title",),
                condition=models.Q(status="IN PROGRESS"),
                name="one_examination_at_a_time",
            ),
        )

    def __str__(self) -> str:
        return self.uid

    @property
    def views(self) -> list[str]:
        """The exposed views in order."""
        return [one["description"] for one in self.series]


class ManageImage(models.Model):
    """An image in the emulated Manage. `picture` is a JPEG, empty where Manage kept the row but could not decode it."""

    action_id = models.CharField(max_length=100, db_index=True)
    study_instance_uid = models.CharField(max_length=64, db_index=True)
    series_instance_uid = models.CharField(max_length=64, db_index=True)
    sop_instance_uid = models.CharField(max_length=64, unique=True)
    patient_id = models.CharField(max_length=10, blank=True)
    laterality = models.CharField(max_length=16, blank=True)
    view_position = models.CharField(max_length=16, blank=True)
    received_at = models.DateTimeField(default=timezone.now)
    times_received = models.PositiveIntegerField(default=1)
    attributes = models.JSONField(default=list, help_text="Keywords of all attributes in the file, in order.")
    picture = models.BinaryField(blank=True)

    class Meta:
        ordering = ("received_at",)

    def __str__(self) -> str:
        return f"{self.laterality} {self.view_position}".strip() or self.sop_instance_uid


class ManageFailure(models.Model):
    """What the gateway has told the emulated Manage of an action's images that do not come."""

    action_id = models.CharField(max_length=100, unique=True)
    error = models.TextField()
    reported_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.error


class ManageFault(models.Model):
    """A fault of the emulated Manage, for the next `times` requests: a delay, then a status or a broken connection."""

    times = models.PositiveIntegerField(default=1)
    delay_seconds = models.FloatField(default=0)
    status = models.PositiveSmallIntegerField(default=0, help_text="0: answer as usual.")
    disconnect = models.BooleanField(default=False)

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return "disconnect" if self.disconnect else f"{self.status} after {self.delay_seconds} s"
