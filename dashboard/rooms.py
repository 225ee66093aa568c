"""Owns today's list as people see it: by room, each woman with how far she is."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone

from core.contract import ItemStatus
from dicom.models import Modality
from worklist.models import Delivery, ItemAlarm, StepLink, WorklistItem

ANY_ROOM = "Any room"


class Stage(StrEnum):
    """How far a woman is."""

    SCHEDULED = "scheduled"
    SHOWN = "shown"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    DISCONTINUED = "discontinued"
    DID_NOT_ATTEND = "did_not_attend"

    @property
    def words(self) -> str:
        """As people say it."""
        return STAGES[self]


STAGES = {
    Stage.SCHEDULED: "Scheduled",
    Stage.SHOWN: "On the list",
    Stage.IN_PROGRESS: "In progress",
    Stage.DONE: "Done",
    Stage.DISCONTINUED: "Discontinued",
    Stage.DID_NOT_ATTEND: "Did not attend",
}


@dataclass(frozen=True)
class Row:
    """One woman. `detail` says when and where; `problem` why no machine can show her."""

    item_id: UUID
    accession_number: str
    at: time
    name: str
    stage: Stage
    detail: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Room:
    """One room's women of today, by time."""

    name: str
    ae_titles: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def counts(self) -> dict[Stage, int]:
        """Stage → women, every stage in its order."""
        found = Counter(row.stage for row in self.rows)
        return {stage: found[stage] for stage in Stage}

    @property
    def open(self) -> int:
        """Women who still have to be, or are being, imaged."""
        return sum(self.counts[stage] for stage in OPEN_STAGES)


OPEN_STAGES = (Stage.SCHEDULED, Stage.SHOWN, Stage.IN_PROGRESS)


class Shown(NamedTuple):
    """The first time that a machine was shown an item."""

    at: datetime
    ae_title: str


class Step(NamedTuple):
    """What a machine has reported about an item."""

    status: str
    start: time | None
    end: time | None
    station: str
    reason: str

    @property
    def meaning(self) -> str:
        """The reason without its code."""
        return self.reason.partition(" (")[0]


def stage_of(status: str, *, shown: bool, stepped: bool) -> Stage:
    """How far a woman is; one whom Manage takes off the list before any machine has begun did not attend."""
    return {
        ItemStatus.SCHEDULED: Stage.SHOWN if shown else Stage.SCHEDULED,
        ItemStatus.IN_PROGRESS: Stage.IN_PROGRESS,
        ItemStatus.COMPLETED: Stage.DONE,
        ItemStatus.DISCONTINUED: Stage.DISCONTINUED if stepped else Stage.DID_NOT_ATTEND,
    }[ItemStatus(status)]


def name_for_people(name: str) -> str:
    """`SMITH, JANE MARY` of a DICOM name's first group (PS3.5 section 6.2.1)."""
    family, given, middle, *_ = (part.strip() for part in [*name.split("=", maxsplit=1)[0].split("^"), "", ""])
    return ", ".join(filter(None, (family, " ".join(filter(None, (given, middle)))))) or name


def todays_rooms(modalities: Iterable[Modality], today: date) -> tuple[Room, ...]:
    """Every room that has women today or a machine, by name; those for any room come last."""
    machines_of = defaultdict(list)
    for modality in modalities:
        machines_of[_room_of(modality)].append(modality.ae_title)
    rows_of: dict[str, list[Row]] = defaultdict(list)
    room_of = {modality.ae_title: _room_of(modality) for modality in modalities}
    for station, row in _rows(today):
        rows_of[room_of.get(station, station) or ANY_ROOM].append(row)
    names = sorted({*machines_of, *rows_of}, key=lambda name: (name == ANY_ROOM, name.casefold()))
    return tuple(Room(name, tuple(machines_of[name]), tuple(rows_of[name])) for name in names)


def _room_of(modality: Modality) -> str:
    return modality.room or modality.ae_title


def _rows(today: date) -> Iterable[tuple[str, Row]]:
    items = WorklistItem.objects.filter(scheduled_date=today).values_list(
        "id", "accession_number", "scheduled_time", "patient_name", "status", "station_ae_title", named=True
    )
    shown, steps, alarms = _first_shown(today), _steps(today), _alarms(today)
    for item in items:
        step = _deciding(steps.get(item.id, []), item.status)
        stage = stage_of(item.status, shown=item.id in shown, stepped=item.id in steps)
        yield (
            item.station_ae_title,
            Row(
                item_id=item.id,
                accession_number=item.accession_number,
                at=item.scheduled_time,
                name=name_for_people(item.patient_name),
                stage=stage,
                detail=_detail(stage, shown.get(item.id), step),
                problem=alarms.get(item.id, "") if stage in OPEN_STAGES else "",
            ),
        )


def _detail(stage: Stage, shown: Shown | None, step: Step | None) -> str:
    if stage is Stage.SHOWN and shown:
        return f"{shown.ae_title} since {timezone.localtime(shown.at):%H:%M}"
    if step is None:
        return ""
    at = {Stage.IN_PROGRESS: step.start, Stage.DONE: step.end, Stage.DISCONTINUED: step.end}.get(stage)
    where = f"{step.station} {'since' if stage is Stage.IN_PROGRESS else 'at'} {at:%H:%M}" if at else step.station
    return ", ".join(filter(None, (where, step.meaning if stage is Stage.DISCONTINUED else "")))


def _deciding(steps: list[Step], status: str) -> Step | None:
    return next((step for step in steps if step.status == status), None)


def _first_shown(today: date) -> Mapping[UUID, Shown]:
    rows = Delivery.objects.filter(item__scheduled_date=today).order_by("-first_shown_at")
    return {item: Shown(at, title) for item, at, title in rows.values_list("item_id", "first_shown_at", "ae_title")}


def _steps(today: date) -> Mapping[UUID, list[Step]]:
    """The steps that count, the latest first."""
    found: dict[UUID, list[Step]] = defaultdict(list)
    links = StepLink.objects.filter(item__scheduled_date=today, counts=True).order_by("-step__created_at")
    names = ("status", "start_time", "end_time", "station_ae_title", "discontinuation_reason")
    for item, status, start, end, station, reason in links.values_list("item_id", *(f"step__{name}" for name in names)):
        found[item].append(Step(status, start, end, station, reason))
    return found


def _alarms(today: date) -> Mapping[UUID, str]:
    alarms = ItemAlarm.objects.filter(item__scheduled_date=today)
    return dict(alarms.values_list("item_id", "attribute"))
