"""Store what happened to the worklist: who queried it, which items were delivered, and which could not be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, models
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from core.models import BaseModel
from dicom.models import Modality
from worklist.models.items import WorklistItem

#: Old queries are deleted in batches of this size, so that no transaction keeps others waiting.
DELETED_AT_ONCE = 50
#: Parameters of one SQL statement, which databases limit.
IDS_AT_ONCE = 500
#: The latest queries that are searched for AE titles.
SEARCHED = 200
#: Upper limits in milliseconds of the duration buckets; the last takes the rest.
DURATIONS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 2**31 - 1)


def insert_for_each(items: Sequence[UUID], statement: str, values: Sequence[Any]) -> None:
    """Execute an INSERT … SELECT for items: `values` fill its first placeholders, and `{ids}` stands for the items."""
    primary_key = WorklistItem._meta.pk
    ids = [primary_key.get_db_prep_value(item, connection) for item in items]
    with connection.cursor() as cursor:
        for start in range(0, len(ids), IDS_AT_ONCE):
            some = ids[start : start + IDS_AT_ONCE]
            cursor.execute(statement.format(ids=", ".join(["%s"] * len(some))), [*values, *some])


class WorklistQueryQuerySet(models.QuerySet["WorklistQuery"]):
    """Find who has asked, and delete old queries."""

    def known_ae_titles(self) -> list[str]:
        """Return the AE titles that queried last, then those that are configured.

        Read a limited number of queries: theirs is the largest table.
        """
        latest = self.values_list("calling_ae_title", flat=True)[:SEARCHED]
        return list(dict.fromkeys([*latest, *Modality.objects.values_list("ae_title", flat=True)[:SEARCHED]]))

    def delete_older_than(self, age: timedelta) -> int:
        """Delete the queries that were asked longer ago than this; return how many there were."""
        old = self.filter(asked_at__lt=timezone.now() - age).order_by("asked_at").values_list("pk", flat=True)
        deleted = 0
        while batch := list(old[:DELETED_AT_ONCE]):
            self.filter(pk__in=batch).delete()
            deleted += len(batch)
        return deleted


class WorklistQuery(BaseModel):
    """One C-FIND request and its outcome. The values of a patient's matching keys are hashed or left out."""

    asked_at = models.DateTimeField(db_index=True)
    calling_ae_title = models.CharField("calling AE title", max_length=16)
    called_ae_title = models.CharField("called AE title", max_length=16)
    address = models.CharField(max_length=45)
    keys = models.JSONField(default=dict, help_text="Keyword → value; the values of a patient's keys are hashed.")
    outcome = models.CharField(max_length=20, help_text="answered, cancelled, failed or interrupted.")
    status = models.CharField(max_length=4, blank=True, help_text="The last status, in hexadecimal.")
    comment = models.CharField(max_length=64, blank=True, help_text="The ErrorComment of a failure.")
    delivered = models.PositiveIntegerField(default=0, help_text="Items that were sent.")
    left_out = models.PositiveIntegerField(default=0, help_text="Matching items that could not be sent.")
    duration_ms = models.PositiveIntegerField(default=0)
    correlation_id = models.CharField(max_length=64, db_index=True)
    items = models.ManyToManyField(WorklistItem, related_name="queries", help_text="The items that were sent.")

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

    def add_items(self, items: Sequence[UUID]) -> None:
        """Add the items that were sent; one that has been deleted meanwhile is left out."""
        insert_for_each(
            items,
            """
            INSERT INTO worklist_worklistquery_items (worklistquery_id, worklistitem_id)
            SELECT %s, id FROM worklist_worklistitem WHERE id IN ({ids})
            """,
            [WorklistQuery._meta.pk.get_db_prep_value(self.pk, connection)],
        )


class DeliveryQuerySet(models.QuerySet["Delivery"]):
    """Count and read deliveries."""

    def add(self, items: Sequence[UUID], ae_title: str, at: datetime) -> None:
        """Count one more delivery of each item that is still there. Concurrent calls for the same item are all counted.

        A modality is sent thousands of items at once, so the rows are made in the database and not here.
        """
        moment = connection.ops.adapt_datetimefield_value(at)
        insert_for_each(
            items,
            """
            INSERT INTO worklist_delivery (item_id, ae_title, first_shown_at, last_shown_at, times_shown)
            SELECT id, %s, %s, %s, 1 FROM worklist_worklistitem WHERE id IN ({ids}) ORDER BY id
            ON CONFLICT (item_id, ae_title) DO UPDATE SET
                first_shown_at = CASE WHEN excluded.first_shown_at < worklist_delivery.first_shown_at
                    THEN excluded.first_shown_at ELSE worklist_delivery.first_shown_at END,
                last_shown_at = CASE WHEN excluded.last_shown_at > worklist_delivery.last_shown_at
                    THEN excluded.last_shown_at ELSE worklist_delivery.last_shown_at END,
                times_shown = worklist_delivery.times_shown + 1
            """,
            [ae_title, moment, moment],
        )

    def first_and_last(self, item: WorklistItem) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Return when (`at`) and to which AE title (`to`) the item was first and last delivered; None if never."""
        deliveries = list(self.filter(item=item))
        if not deliveries:
            return None
        first = min(deliveries, key=lambda delivery: delivery.first_shown_at)
        last = max(deliveries, key=lambda delivery: delivery.last_shown_at)
        return {"at": first.first_shown_at, "to": first.ae_title}, {"at": last.last_shown_at, "to": last.ae_title}


class Delivery(models.Model):
    """When an item was first and last delivered to one modality. Deliveries outlive the queries, which are deleted."""

    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="deliveries")
    ae_title = models.CharField("AE title", max_length=16)
    first_shown_at = models.DateTimeField()
    last_shown_at = models.DateTimeField()
    times_shown = models.PositiveIntegerField(default=1)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        ordering = ("first_shown_at",)
        verbose_name_plural = "deliveries"
        indexes = (
            models.Index(fields=("first_shown_at",), name="delivery_by_time"),
            models.Index(fields=("ae_title", "first_shown_at"), name="delivery_by_title"),
        )
        constraints = (models.UniqueConstraint(fields=("item", "ae_title"), name="one_delivery_per_item_and_modality"),)

    def __str__(self) -> str:
        return f"{self.item_id} to {self.ae_title}"


class ItemAlarmQuerySet(models.QuerySet["ItemAlarm"]):
    """Raise alarms, and find those that still matter."""

    def add(self, attributes: Mapping[UUID, str], at: datetime) -> None:
        """Record that an answer had to leave out these items; item → keyword of the attribute at fault."""
        kind = ItemAlarm.Kind.NOT_SHOWN
        new = [
            ItemAlarm(item_id=item, kind=kind, attribute=attribute, first_at=at, last_at=at, times=0)
            for item, attribute in sorted(attributes.items())
        ]
        self.bulk_create(new, ignore_conflicts=True)
        for item, attribute in sorted(attributes.items()):
            found = self.filter(item=item, kind=kind, attribute=attribute)
            found.update(last_at=Greatest(F("last_at"), at), times=F("times") + 1)

    def raise_for(self, item: WorklistItem, kind: "ItemAlarm.Kind", attribute: str = "", detail: str = "") -> None:
        """Raise an alarm about an item, unless it has been raised before, for a person to look at and dismiss."""
        now = timezone.now()
        alarm = ItemAlarm(item=item, kind=kind, attribute=attribute, detail=detail, first_at=now, last_at=now)
        self.bulk_create([alarm], ignore_conflicts=True)

    def open(self) -> "ItemAlarmQuerySet":
        """Return the alarms that nobody has dismissed."""
        return self.filter(dismissed_at=None)

    def not_shown(self) -> "ItemAlarmQuerySet":
        """Return the alarms about items that a modality could not be sent."""
        return self.filter(kind=ItemAlarm.Kind.NOT_SHOWN)

    def of_open_items(self) -> "ItemAlarmQuerySet":
        """Return the alarms about patients who have not been imaged yet."""
        return self.filter(item__in=WorklistItem.objects.of_patients().open())

    def of_open_items_from(self, day: date) -> "ItemAlarmQuerySet":
        """Return the alarms about patients who are still expected, on `day` or later."""
        return self.of_open_items().filter(item__scheduled_date__gte=day)


class ItemAlarm(models.Model):
    """Something about an item that a person must know, until the item is closed or the person dismisses it."""

    class Kind(models.TextChoices):
        NOT_SHOWN = "not_shown", "Not on the machines' lists: DICOM does not allow a value"
        REPAIRED = "repaired", "A value from Manage was repaired, as DICOM does not allow it"
        SENT_AGAIN = "sent_again", "Sent again after the examination had begun"
        ANOTHER_PATIENT = "another_patient", "Its appointment is another woman's, too"

    item = models.ForeignKey(WorklistItem, on_delete=models.CASCADE, related_name="alarms")
    kind = models.CharField(max_length=24, choices=Kind, default=Kind.NOT_SHOWN)
    attribute = models.CharField(max_length=64, blank=True, help_text="The keyword of the attribute, never its value.")
    detail = models.CharField(max_length=200, blank=True, help_text="What was done to the value, never the value.")
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    times = models.PositiveIntegerField(default=1)
    dismissed_at = models.DateTimeField(null=True, blank=True)
    dismissed_by = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=300, blank=True, help_text="In a person's words, without a patient's name.")

    objects = ItemAlarmQuerySet.as_manager()

    class Meta:
        ordering = ("-last_at",)
        indexes = (
            models.Index(fields=("last_at",), name="alarm_by_time"),
            models.Index(fields=("kind", "last_at"), name="alarm_by_kind"),
            models.Index(fields=("attribute", "last_at"), name="alarm_by_attribute"),
        )
        constraints = (
            models.UniqueConstraint(fields=("item", "kind", "attribute"), name="one_alarm_per_item_kind_and_attribute"),
        )
        permissions = (("dismiss_itemalarm", "Can dismiss alarms about items"),)

    def __str__(self) -> str:
        return f"{self.item} {self.words}"

    @property
    def words(self) -> str:
        """What happened to the item, after its accession number or *A woman*."""
        return ALARM_WORDS[ItemAlarm.Kind(self.kind)].format(self.attribute, self.detail)


ALARM_WORDS = {
    ItemAlarm.Kind.NOT_SHOWN: "is missing from the machines’ lists: DICOM does not allow her {}",
    ItemAlarm.Kind.REPAIRED: "is on the machines’ lists with a repaired {}: {}",
    ItemAlarm.Kind.SENT_AGAIN: "was sent again after her examination had begun",
    ItemAlarm.Kind.ANOTHER_PATIENT: "has the appointment of another woman, too",
}


def at_most(milliseconds: int) -> int:
    """Return the bucket of a duration: the first of DURATIONS that is not shorter."""
    return next(limit for limit in DURATIONS if milliseconds <= limit)


class TalliedTogether(NamedTuple):
    """What queries in one row of the tally have in common. An AE title that is not configured is empty."""

    ae_title: str
    outcome: str
    at_most_ms: int


class QueryTallyQuerySet(models.QuerySet["QueryTally"]):
    """Count queries for the metrics."""

    def add(self, queries: Iterable[WorklistQuery]) -> None:
        """Count queries, in the transaction that stores them. Concurrent calls are all counted."""
        queries = list(queries)
        titles = {query.calling_ae_title for query in queries}
        configured = set(Modality.objects.filter(ae_title__in=titles).values_list("ae_title", flat=True))
        groups: dict[TalliedTogether, list[WorklistQuery]] = defaultdict(list)
        for query in queries:
            title = query.calling_ae_title if query.calling_ae_title in configured else ""
            groups[TalliedTogether(title, query.outcome, at_most(query.duration_ms))].append(query)
        for row, group in sorted(groups.items()):  # everybody locks the rows in the same order
            last_at = max(query.asked_at for query in group)
            self.bulk_create([QueryTally(**row._asdict(), last_at=last_at)], ignore_conflicts=True)
            self.filter(**row._asdict()).update(
                queries=F("queries") + len(group),
                milliseconds=F("milliseconds") + sum(query.duration_ms for query in group),
                rows=F("rows") + sum(query.delivered for query in group),
                last_at=Greatest(F("last_at"), last_at),
            )


class QueryTally(models.Model):
    """How many queries of one kind there have been. Tallies only grow, whereas queries are deleted after a while."""

    ae_title = models.CharField("AE title", max_length=16, blank=True, help_text="Empty if not configured.")
    outcome = models.CharField(max_length=20)
    at_most_ms = models.PositiveIntegerField(help_text="Upper limit of the duration in milliseconds.")
    queries = models.PositiveBigIntegerField(default=0)
    milliseconds = models.PositiveBigIntegerField(default=0)
    rows = models.PositiveBigIntegerField(default=0)
    last_at = models.DateTimeField()

    objects = QueryTallyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "query tallies"
        constraints = (
            models.UniqueConstraint(fields=("ae_title", "outcome", "at_most_ms"), name="one_tally_per_kind_of_query"),
        )

    def __str__(self) -> str:
        return f"{self.ae_title or 'others'}, {self.outcome}, {self.at_most_ms} ms: {self.queries}"
