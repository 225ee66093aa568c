"""Owns the proof of delivery: who asked, what each item was shown to whom, and what could not be shown."""

from django.db import models

from core.models import BaseModel
from worklist.models.items import WorklistItem


class WorklistQuery(BaseModel):
    """One C-FIND and what came of it. Of patients' keys the values are hashed, or not there at all."""

    asked_at = models.DateTimeField(db_index=True)
    calling_ae_title = models.CharField("calling AE title", max_length=16, db_index=True)
    called_ae_title = models.CharField("called AE title", max_length=16)
    address = models.CharField(max_length=45)
    keys = models.JSONField(default=dict, help_text="Keyword → what was asked for; a patient's keys are hashed.")
    outcome = models.CharField(max_length=20, help_text="answered, cancelled, failed or interrupted.")
    status = models.CharField(max_length=4, blank=True, help_text="The last status, in hexadecimal.")
    comment = models.CharField(max_length=64, blank=True, help_text="The ErrorComment of a failure.")
    matched = models.PositiveIntegerField(default=0, help_text="Rows that were sent.")
    left_out = models.PositiveIntegerField(default=0, help_text="Rows that could not be shown.")
    duration_ms = models.PositiveIntegerField(default=0)
    correlation_id = models.CharField(max_length=64, db_index=True)
    items = models.ManyToManyField(WorklistItem, related_name="queries", help_text="What was shown.")

    class Meta:
        ordering = ("-asked_at",)
        verbose_name_plural = "worklist queries"

    def __str__(self) -> str:
        return f"{self.calling_ae_title} at {self.asked_at:%Y-%m-%d %H:%M:%S}"


class Showing(models.Model):
    """When an item was first and last shown to one modality. It outlives the queries, which are kept for a while."""

    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="showings")
    ae_title = models.CharField("AE title", max_length=16)
    first_shown_at = models.DateTimeField()
    last_shown_at = models.DateTimeField()
    times_shown = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("first_shown_at",)
        constraints = (models.UniqueConstraint(fields=("item", "ae_title"), name="one_showing_per_item_and_modality"),)

    def __str__(self) -> str:
        return f"{self.item_id} to {self.ae_title}"


class ItemAlarm(models.Model):
    """An item that cannot be shown, as a value of it is none that DICOM allows: a woman is missing on a list."""

    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="alarms")
    attribute = models.CharField(max_length=64, help_text="The keyword of the attribute, never its value.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ("-last_at",)
        constraints = (models.UniqueConstraint(fields=("item", "attribute"), name="one_alarm_per_item_and_attribute"),)

    def __str__(self) -> str:
        return f"{self.item_id}: {self.attribute}"
