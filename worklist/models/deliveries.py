"""Owns the proof of delivery: who asked, what each item was shown to whom, and what could not be shown."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import F
from django.db.models.functions import Greatest, Least
from django.utils import timezone

from core.models import BaseModel
from worklist.models.items import WorklistItem

#: Old queries are removed so many at once: no transaction that others would wait for.
FORGOTTEN_AT_ONCE = 50


class WorklistQueryQuerySet(models.QuerySet["WorklistQuery"]):
    """What is done with many queries at once."""

    def forget_older_than(self, age: timedelta) -> int:
        """Remove the queries that were asked longer ago than this; how many there were."""
        old = self.filter(asked_at__lt=timezone.now() - age).order_by("asked_at").values_list("pk", flat=True)
        forgotten = 0
        while some := list(old[:FORGOTTEN_AT_ONCE]):
            self.filter(pk__in=some).delete()
            forgotten += len(some)
        return forgotten


class WorklistQuery(BaseModel):
    """One C-FIND and what came of it. Of patients' keys the values are hashed, or not there at all."""

    asked_at = models.DateTimeField(db_index=True)
    calling_ae_title = models.CharField("calling AE title", max_length=16)
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

    objects = WorklistQueryQuerySet.as_manager()

    class Meta:
        ordering = ("-asked_at",)
        indexes = (
            models.Index(fields=("calling_ae_title", "asked_at"), name="query_by_requestor"),
            models.Index(fields=("address", "asked_at"), name="query_by_address"),
            models.Index(fields=("outcome", "asked_at"), name="query_by_outcome"),
            models.Index(fields=("status", "asked_at"), name="query_by_status"),
        )
        verbose_name_plural = "worklist queries"

    def __str__(self) -> str:
        return f"{self.calling_ae_title} at {self.asked_at:%Y-%m-%d %H:%M:%S}"


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """How deliveries are counted."""

    def add(self, items: Sequence[UUID], ae_title: str, at: datetime) -> None:
        """Note that one answer showed these items; whoever notes the same at the same moment is counted, too."""
        new = [
            Delivery(item_id=item, ae_title=ae_title, first_shown_at=at, last_shown_at=at, times_shown=0)
            for item in sorted(items)
        ]
        self.bulk_create(new, ignore_conflicts=True)
        self.filter(item__in=items, ae_title=ae_title).update(
            first_shown_at=Least(F("first_shown_at"), at),
            last_shown_at=Greatest(F("last_shown_at"), at),
            times_shown=F("times_shown") + 1,
        )

    def span_of(self, item: WorklistItem) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Over all modalities: the first and the last time, each with its AE title; None for one never shown."""
        deliveries = list(self.filter(item=item))
        if not deliveries:
            return None
        first = min(deliveries, key=lambda showing: showing.first_shown_at)
        last = max(deliveries, key=lambda showing: showing.last_shown_at)
        return {"at": first.first_shown_at, "to": first.ae_title}, {"at": last.last_shown_at, "to": last.ae_title}


class Delivery(models.Model):
    """When an item was first and last shown to one modality. It outlives the queries, which are kept for a while."""

    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="deliveries")
    ae_title = models.CharField("AE title", max_length=16)
    first_shown_at = models.DateTimeField()
    last_shown_at = models.DateTimeField()
    times_shown = models.PositiveIntegerField(default=1)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ("first_shown_at",)
        indexes = (
            models.Index(fields=("first_shown_at",), name="delivery_by_time"),
            models.Index(fields=("ae_title", "first_shown_at"), name="delivery_by_title"),
        )
        constraints = (models.UniqueConstraint(fields=("item", "ae_title"), name="one_delivery_per_item_and_modality"),)

    def __str__(self) -> str:
        return f"{self.item_id} to {self.ae_title}"


class ItemAlarmQuerySet(models.QuerySet["ItemAlarm"]):
    """How alarms are raised, and which still matter."""

    def add(self, attributes: Mapping[UUID, str], at: datetime) -> None:
        """Note that one answer had to leave out these items, each for one attribute."""
        new = [
            ItemAlarm(item_id=item, attribute=attribute, first_at=at, last_at=at, times=0)
            for item, attribute in sorted(attributes.items())
        ]
        self.bulk_create(new, ignore_conflicts=True)
        for item, attribute in sorted(attributes.items()):
            self.filter(item=item, attribute=attribute).update(last_at=Greatest(F("last_at"), at), times=F("times") + 1)

    def of_open_items(self) -> "ItemAlarmQuerySet":
        """Those about women who still have to be imaged."""
        return self.filter(item__in=WorklistItem.objects.open())


class ItemAlarm(models.Model):
    """An item that cannot be shown, as a value of it is none that DICOM allows: a woman is missing on a list."""

    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="alarms")
    attribute = models.CharField(max_length=64, help_text="The keyword of the attribute, never its value.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)

    objects = ItemAlarmQuerySet.as_manager()

    class Meta:
        ordering = ("-last_at",)
        indexes = (
            models.Index(fields=("last_at",), name="alarm_by_time"),
            models.Index(fields=("attribute", "last_at"), name="alarm_by_attribute"),
        )
        constraints = (models.UniqueConstraint(fields=("item", "attribute"), name="one_alarm_per_item_and_attribute"),)

    def __str__(self) -> str:
        return f"{self.item_id}: {self.attribute}"
