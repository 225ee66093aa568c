"""Tell when each machine last asked for its worklist, and whether it has been silent for too long.

What is usual is learnt from a machine's latest queries: silence of four times its median gap is too long, but never of
less than 15 minutes. A machine may be silent while no woman waits for it, so only its hours count: from shortly before
the first woman who is waiting today until an hour after the last. A woman without a station may be imaged at any
machine that may connect, so every one of them has her in its hours.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from core.concerns import Severity
from core.wording import clock_time
from dicom.models import Modality
from worklist.models import WorklistItem, WorklistQuery

#: How many of the latest queries of all machines are read.
LATEST = 300
#: An unknown AE title is shown for this long after its last query.
UNKNOWN_SHOWN_FOR = timedelta(hours=24)
#: A gap of this length is a night or a break, and says nothing about what is usual.
BREAK = timedelta(hours=3)
#: Silent for this many usual gaps, and for at least the shortest time, is longer than usual.
USUAL_GAPS, SHORTEST_SILENCE = 4, timedelta(minutes=15)
#: The longest usual silence of a machine with fewer gaps than are needed to learn from.
UNLEARNT, GAPS_NEEDED = timedelta(minutes=30), 5
#: A machine's hours begin this long before its first woman who is waiting, and end this long after the last.
BEFORE, AFTER = timedelta(minutes=15), timedelta(hours=1)
#: The station AE title of a woman whom any machine may image.
ANY_MACHINE = ""


@dataclass(frozen=True)
class ModalityActivity:
    """One configured machine, or an unknown AE title that has sent a query. `waiting` are the women for it alone."""

    ae_title: str
    name: str
    room: str
    is_known: bool
    is_allowed: bool
    is_test: bool
    last_query: datetime | None
    waiting: int
    waiting_for_any: int
    severity: Severity
    words: str

    @property
    def is_silent(self) -> bool:
        """Tell whether it should have asked for its worklist by now."""
        return self.is_known and self.severity is not Severity.OK

    @property
    def waiting_words(self) -> str:
        """Return how many women wait for it, and how many for any machine."""
        any_machine = f", and {self.waiting_for_any} for any machine" if self.waiting_for_any else ""
        return f"{self.waiting}{any_machine}"


@dataclass(frozen=True)
class Hours:
    """When the first and the last woman waiting for a machine are scheduled."""

    first: datetime
    last: datetime


def longest_usual(asked: Sequence[datetime]) -> timedelta:
    """Return how long a machine may be silent, from the moments of its queries in any order."""
    pairs = pairwise(sorted(asked))
    gaps = [(later - earlier).total_seconds() for earlier, later in pairs if later - earlier < BREAK]
    if len(gaps) < GAPS_NEEDED:
        return UNLEARNT
    return max(timedelta(seconds=USUAL_GAPS * median(gaps)), SHORTEST_SILENCE)


def is_silent(asked: Sequence[datetime], hours: Hours | None, now: datetime) -> bool:
    """Tell whether a machine is silent for longer than usual. It may be silent outside its hours."""
    if hours is None or not hours.first - BEFORE <= now <= hours.last + AFTER:
        return False
    return now - max([*asked, hours.first - BEFORE]) > longest_usual(asked)


def known_modalities() -> list[Modality]:
    """Return the configured modalities, each annotated with `last_query_at`."""
    queries = WorklistQuery.objects.filter(calling_ae_title=OuterRef("ae_title")).order_by("-asked_at")
    return list(Modality.objects.annotate(last_query_at=Subquery(queries.values("asked_at")[:1])))


def modality_activity(modalities: Iterable[Modality], now: datetime) -> tuple[ModalityActivity, ...]:
    """Return the configured machines by AE title, then the unknown AE titles."""
    today = timezone.localtime(now).date()
    #: Station AE title → when today's women who have not been imaged are scheduled.
    times: dict[str, list[datetime]] = defaultdict(list)
    items = WorklistItem.objects.of_patients().open().filter(scheduled_date=today)
    for title, scheduled in items.values_list("station_ae_title", "scheduled_time"):
        times[title].append(timezone.make_aware(datetime.combine(today, scheduled)))
    asked: dict[str, list[datetime]] = defaultdict(list)
    for title, at in WorklistQuery.objects.values_list("calling_ae_title", "asked_at")[:LATEST]:
        asked[title].append(at)
    known = [_known(modality, asked[modality.ae_title], times, now) for modality in modalities]
    titles = {activity.ae_title for activity in known}
    unknown = [
        ModalityActivity(
            ae_title=title,
            name="",
            room="",
            is_known=False,
            is_allowed=True,
            is_test=False,
            last_query=max(moments),
            waiting=len(times[title]),
            waiting_for_any=0,
            severity=Severity.WARNING,
            words="Not configured",
        )
        for title, moments in sorted(asked.items())
        if title not in titles and moments and max(moments) > now - UNKNOWN_SHOWN_FOR
    ]
    return (*known, *unknown)


def _known(
    modality: Modality, latest: list[datetime], times: Mapping[str, list[datetime]], now: datetime
) -> ModalityActivity:
    last: datetime | None = getattr(modality, "last_query_at", None)
    if modality.is_test_machine:
        times = defaultdict(list)  # no woman waits for it
    own, for_any = times[modality.ae_title], times[ANY_MACHINE] if modality.is_allowed else []
    waiting = [*own, *for_any]
    hours = Hours(min(waiting), max(waiting)) if waiting else None
    silent = modality.is_allowed and is_silent(latest or ([last] if last else []), hours, now)
    if silent:
        words = f"Silent for longer than usual: last query {clock_time(last, now)}" if last else "No query yet"
    elif not modality.is_allowed:
        words = "Not allowed to connect"
    else:
        words = "Working" if last else "No query yet"
    if modality.is_test_machine:
        words = f"Test machine: {words[0].lower()}{words[1:]}"
    return ModalityActivity(
        ae_title=modality.ae_title,
        name=modality.name,
        room=modality.room,
        is_known=True,
        is_allowed=modality.is_allowed,
        is_test=modality.is_test_machine,
        last_query=last,
        waiting=len(own),
        waiting_for_any=len(for_any),
        severity=Severity.WARNING if silent else Severity.OK,
        words=words,
    )
