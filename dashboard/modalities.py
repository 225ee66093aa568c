"""Owns what is told of each machine: when it last asked for its list, and whether it has been silent for too long."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from statistics import median

from django.db.models import OuterRef, Subquery
from django.utils import timezone

from dashboard.severity import Level, moment
from dicom.models import Modality
from worklist.models import WorklistItem, WorklistQuery

#: The latest queries of all machines; what is usual for each is learnt from them.
LATEST = 300
#: An AE title that nobody knows is told of for so long after its last query.
STRANGERS_FOR = timedelta(hours=24)

#: A gap as long as this is a night or a break, and tells nothing of what is usual.
PAUSE = timedelta(hours=3)
#: Silent for so many times its usual gap, but never for less than SOON, is longer than usual.
TOO_OFTEN, SOON = 4, timedelta(minutes=15)
#: Of a machine that has asked too little to know what is usual.
UNLEARNT, LEARNT_FROM = timedelta(minutes=30), 5
#: Its hours: from so long before the first of its women who are waiting to so long after the last.
BEFORE, AFTER = timedelta(minutes=15), timedelta(hours=1)

#: The AE title of a woman whom any machine may image.
ANY_MACHINE = ""

ASK = "Is it switched on? Refresh the worklist at the machine. If that gives an error, call support."


@dataclass(frozen=True)
class Machine:
    """One machine, or an AE title that asks and nobody has configured. `waiting` are for it alone."""

    ae_title: str
    name: str
    room: str
    is_known: bool
    is_allowed: bool
    last_query: datetime | None
    waiting: int
    waiting_for_any: int
    level: Level
    words: str
    what_to_do: str = ""

    @property
    def is_silent(self) -> bool:
        """Whether it should have asked by now."""
        return self.is_known and self.level is not Level.OK

    @property
    def waiting_words(self) -> str:
        """How many women wait, with those whom any machine may image."""
        return (
            f"{self.waiting}, and {self.waiting_for_any} for any machine" if self.waiting_for_any else str(self.waiting)
        )


@dataclass(frozen=True)
class Hours:
    """From when to when a machine has women to image."""

    first: datetime
    last: datetime


def longest_usual(asked: Sequence[datetime]) -> timedelta:
    """How long a machine may be silent, by the moments at which it has asked, in any order."""
    pairs = pairwise(sorted(asked))
    gaps = [(later - earlier).total_seconds() for earlier, later in pairs if later - earlier < PAUSE]
    if len(gaps) < LEARNT_FROM:
        return UNLEARNT
    return max(timedelta(seconds=TOO_OFTEN * median(gaps)), SOON)


def is_silent(asked: Sequence[datetime], hours: Hours | None, now: datetime) -> bool:
    """Whether a machine is silent for longer than usual, in its hours; before them it may be."""
    if hours is None or not hours.first - BEFORE <= now <= hours.last + AFTER:
        return False
    return now - max([*asked, hours.first - BEFORE]) > longest_usual(asked)


def known_modalities() -> list[Modality]:
    """Those that are configured, each with the moment of its last query."""
    queries = WorklistQuery.objects.filter(calling_ae_title=OuterRef("ae_title")).order_by("-asked_at")
    return list(Modality.objects.annotate(last_query_at=Subquery(queries.values("asked_at")[:1])))


def machines(modalities: Iterable[Modality], now: datetime) -> tuple[Machine, ...]:
    """The configured ones by AE title, then those that nobody knows."""
    asked: dict[str, list[datetime]] = defaultdict(list)
    for title, at in WorklistQuery.objects.values_list("calling_ae_title", "asked_at")[:LATEST]:
        asked[title].append(at)
    times = _times(timezone.localtime(now).date())
    known = [_known(modality, asked[modality.ae_title], times, now) for modality in modalities]
    titles = {machine.ae_title for machine in known}
    strangers = [
        _stranger(title, max(moments), len(times[title]))
        for title, moments in sorted(asked.items())
        if title not in titles and moments and max(moments) > now - STRANGERS_FOR
    ]
    return (*known, *strangers)


def _stranger(title: str, last: datetime, waiting: int) -> Machine:
    return Machine(
        ae_title=title,
        name="",
        room="",
        is_known=False,
        is_allowed=True,
        last_query=last,
        waiting=waiting,
        waiting_for_any=0,
        level=Level.WARNING,
        words="Nobody has configured it",
    )


def _known(modality: Modality, latest: list[datetime], times: Mapping[str, list[datetime]], now: datetime) -> Machine:
    """A woman without a station may be imaged at every machine that may ask, so each of them has her hours."""
    last: datetime | None = getattr(modality, "last_query_at", None)
    asked = latest or ([last] if last else [])
    own, for_any = times[modality.ae_title], times[ANY_MACHINE] if modality.is_allowed else []
    silent = modality.is_allowed and is_silent(asked, _hours([*own, *for_any]), now)
    return Machine(
        ae_title=modality.ae_title,
        name=modality.name,
        room=modality.room,
        is_known=True,
        is_allowed=modality.is_allowed,
        last_query=last,
        waiting=len(own),
        waiting_for_any=len(for_any),
        level=Level.WARNING if silent else Level.OK,
        words=_silence(last, now) if silent else _peace(modality, last),
        what_to_do=ASK if silent else "",
    )


def _silence(last: datetime | None, now: datetime) -> str:
    return f"Silent for longer than usual: last asked {moment(last, now)}" if last else "Has not asked for its list yet"


def _peace(modality: Modality, last: datetime | None) -> str:
    if not modality.is_allowed:
        return "Not allowed"
    return "Asks for its list" if last else "Has not asked yet"


def _hours(moments: list[datetime]) -> Hours | None:
    return Hours(min(moments), max(moments)) if moments else None


def _times(today: date) -> Mapping[str, list[datetime]]:
    """AE title → when there are women of today for it who have not been imaged."""
    times: dict[str, list[datetime]] = defaultdict(list)
    items = WorklistItem.objects.open().filter(scheduled_date=today)
    for title, at in items.values_list("station_ae_title", "scheduled_time"):
        times[title].append(timezone.make_aware(datetime.combine(today, at)))
    return times
