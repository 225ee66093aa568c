"""Owns what is counted for monitors: totals that only grow, whatever is removed of what they were counted from."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple

from django.db import models
from django.db.models import F
from django.db.models.functions import Greatest
from django.utils import timezone

from dicom.models import Modality
from worklist.models.deliveries import WorklistQuery

#: Durations are counted up to each of these. Milliseconds; the last is longer than any.
DURATIONS = (5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 2**31 - 1)
#: Of the questions to the outbox one is noted in so long.
POLL_NOTED_EVERY = timedelta(seconds=10)


def at_most(milliseconds: int) -> int:
    """The first of DURATIONS that is not shorter."""
    return next(limit for limit in DURATIONS if milliseconds <= limit)


class Kind(NamedTuple):
    """Which queries are counted together. An AE title that is not configured is empty: anybody can make up any."""

    ae_title: str
    outcome: str
    at_most_ms: int


class QueryTallyQuerySet(models.QuerySet["QueryTally"]):
    """How queries are counted."""

    def add(self, queries: Iterable[WorklistQuery]) -> None:
        """Count queries in the transaction that keeps them; whoever counts at the same moment is counted, too."""
        groups: dict[Kind, list[WorklistQuery]] = defaultdict(list)
        queries = list(queries)
        titles = {query.calling_ae_title for query in queries}
        known = set(Modality.objects.filter(ae_title__in=titles).values_list("ae_title", flat=True))
        for query in queries:
            title = query.calling_ae_title if query.calling_ae_title in known else ""
            groups[Kind(title, query.outcome, at_most(query.duration_ms))].append(query)
        for kind, some in sorted(
            groups.items()
        ):  # in an order that is the same for everybody: they wait for each other
            last_at = max(query.asked_at for query in some)
            self.bulk_create([QueryTally(**kind._asdict(), last_at=last_at)], ignore_conflicts=True)
            self.filter(**kind._asdict()).update(
                queries=F("queries") + len(some),
                milliseconds=F("milliseconds") + sum(query.duration_ms for query in some),
                rows=F("rows") + sum(query.matched for query in some),
                last_at=Greatest(F("last_at"), last_at),
            )


class QueryTally(models.Model):
    """How many queries of one kind there have been. The queries themselves are kept for a while only."""

    ae_title = models.CharField("AE title", max_length=16, blank=True, help_text="Empty: of none that is configured.")
    outcome = models.CharField(max_length=20)
    at_most_ms = models.PositiveIntegerField(help_text="Answered within so many milliseconds, and not within fewer.")
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


class OutboxReaderQuerySet(models.QuerySet["OutboxReader"]):
    """How the way of the reader is noted."""

    def note(self, number: int) -> None:
        """Somebody has asked for what is behind this change, so it has what is before. It asks often, and is noted
        seldom: a write for each question would be in everybody's way."""
        now = timezone.now()
        known = self.first()
        if known is None:
            self.bulk_create([OutboxReader(number=number, asked_at=now)], ignore_conflicts=True)
        elif known.number < number or known.asked_at < now - POLL_NOTED_EVERY:
            self.update(number=Greatest(F("number"), number), asked_at=now)


class OutboxReader(models.Model):
    """One row: the furthest change in the outbox that anybody has asked from, and when anybody last asked."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    number = models.BigIntegerField()
    asked_at = models.DateTimeField()

    objects = OutboxReaderQuerySet.as_manager()

    def __str__(self) -> str:
        return f"at {self.number}"
