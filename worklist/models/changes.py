"""Owns the outbox: every change of an item's state, in an order in which nothing is skipped and nothing comes twice."""

from typing import Any

from django.db import models
from django.utils import timezone

from core.database import serialise_on
from worklist.models.items import WorklistItem


class ItemChangeQuerySet(models.QuerySet["ItemChange"]):
    """How changes are written and read."""

    def add(self, item: WorklistItem, performed: dict[str, Any] | None) -> None:
        """Note how an item stands now, in this transaction; the last lock that a transaction takes.

        Who has a lower number has committed, or never will: writers take turns from here to their commit. Without that
        a later number could be seen before an earlier one, and whoever asks by number would never see the earlier.
        """
        serialise_on("worklist.itemchange")
        self.create(item=item, status=item.status, performed=performed)

    def after(self, number: int) -> "ItemChangeQuerySet":
        """Those behind this one, the oldest first."""
        return self.filter(number__gt=number).order_by("number")


class ItemChange(models.Model):
    """How an item stood at a moment. `number` grows in the order of the commits."""

    number = models.BigAutoField(primary_key=True)
    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="changes")
    status = models.CharField(max_length=16)
    performed = models.JSONField(null=True, help_text="The step that decides, as Manage is told of it.")
    at = models.DateTimeField(default=timezone.now)

    objects = ItemChangeQuerySet.as_manager()

    class Meta:
        ordering = ("number",)

    def __str__(self) -> str:
        return f"{self.number}: {self.status}"
