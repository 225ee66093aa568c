"""Store the outbox: every change of an item's status, for Manage to read in order.

Readers ask for all changes after the last number they have seen. This is safe only if numbers become visible in their
order: if a later number were committed before an earlier one, a reader would skip the earlier one for ever. A sequence
alone does not ensure that, so writers serialise from the moment they take a number until they commit.
"""

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from core.database import last_lock
from worklist.models.items import WorklistItem

#: A reader that asks from the same place again is noted only after this long.
READER_NOTED_EVERY = timedelta(seconds=10)


class ItemChangeQuerySet(models.QuerySet["ItemChange"]):
    """Write and read changes in their order."""

    def add(self, item: WorklistItem, performed: dict[str, Any] | None, superseded_by: str = "") -> None:
        """Add the item's present status. This takes the last lock of a transaction, and keeps it until the commit."""
        last_lock("worklist.itemchange")
        self.create(item=item, status=item.status, performed=performed, superseded_by=superseded_by)

    def after(self, number: int) -> "ItemChangeQuerySet":
        """Return the changes after this one, the oldest first."""
        return self.filter(number__gt=number).order_by("number")


class ItemChange(models.Model):
    """The status of an item at one moment. `number` grows in the order of the commits."""

    number = models.BigAutoField(primary_key=True)
    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="changes")
    status = models.CharField(max_length=16)
    performed = models.JSONField(null=True, help_text="The report of the step that decides the status.")
    superseded_by = models.CharField(
        max_length=16,
        blank=True,
        help_text="The accession number of the item that superseded it, if that is the change.",
    )
    at = models.DateTimeField(default=timezone.now)

    objects = ItemChangeQuerySet.as_manager()

    class Meta:
        ordering = ("number",)

    def __str__(self) -> str:
        return f"{self.number}: {self.status}"


class OutboxReaderQuerySet(models.QuerySet["OutboxReader"]):
    """Note how far the outbox has been read."""

    def note(self, number: int) -> None:
        """Note that Manage has asked for the changes after this one, and so has all before it.

        Manage asks often. A question from the same place is noted only every READER_NOTED_EVERY.
        """
        now = timezone.now()
        known = self.first()
        if known is None:
            self.bulk_create([OutboxReader(number=number, asked_at=now)], ignore_conflicts=True)
        elif known.number < number or known.asked_at < now - READER_NOTED_EVERY:
            self.update(number=Greatest(F("number"), number), asked_at=now)


class OutboxReader(models.Model):
    """One row: the furthest change from which the outbox has been read, and when it was last read."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    number = models.BigIntegerField()
    asked_at = models.DateTimeField()

    objects = OutboxReaderQuerySet.as_manager()

    def __str__(self) -> str:
        return f"at {self.number}"
