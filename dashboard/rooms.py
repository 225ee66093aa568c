"""Read today's list by room, with the stage that each woman's examination has reached."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from django.utils import timezone

from core.contract import ItemStatus
from core.large_tables import midnight
from dashboard.images import ImageCounts, counts_by_number
from dicom.models import Modality
from worklist.models import Delivery, ItemAlarm, StepLink, WorklistItem

ANY_ROOM = "Any room"


class Stage(StrEnum):
    """The stage that a woman's examination has reached today."""

    SCHEDULED = "scheduled"
    SHOWN = "shown"
    ARRIVED = "arrived"
    READY = "ready"
    IN_PROGRESS = "in_progress"
    DONE = "done"
    DISCONTINUED = "discontinued"
    DID_NOT_ATTEND = "did_not_attend"

    @property
    def words(self) -> str:
        """The stage's name on pages."""
        return STAGE_WORDS[self]


STAGE_WORDS = {
    Stage.SCHEDULED: "Scheduled",
    Stage.SHOWN: "On the list",
    Stage.ARRIVED: "Arrived",
    Stage.READY: "Ready",
    Stage.IN_PROGRESS: "In progress",
    Stage.DONE: "Done",
    Stage.DISCONTINUED: "Discontinued",
    Stage.DID_NOT_ATTEND: "Did not attend",
}


@dataclass(frozen=True)
class PatientRow:
    """One woman, or a test item. `detail` tells when and where; `problem` keeps her off the machines' lists.

    `images` counts those that have come today; None without any.
    """

    item_id: UUID
    accession_number: str
    at: time
    name: str
    stage: Stage
    detail: str = ""
    problem: str = ""
    is_test: bool = False
    images: ImageCounts | None = None


@dataclass(frozen=True)
class Room:
    """The women of one room today, by time."""

    name: str
    rows: tuple[PatientRow, ...]

    @property
    def counts(self) -> dict[Stage, int]:
        """Return the number of women in each stage, in the order of the stages."""
        found = Counter(row.stage for row in self.rows if not row.is_test)
        return {stage: found[stage] for stage in Stage}

    @property
    def total(self) -> int:
        """Return the number of women."""
        return sum(self.counts.values())

    @property
    def open(self) -> int:
        """Return the number of women who have not been imaged yet."""
        return sum(self.counts[stage] for stage in OPEN_STAGES)


OPEN_STAGES = (Stage.SCHEDULED, Stage.SHOWN, Stage.ARRIVED, Stage.READY, Stage.IN_PROGRESS)


class FirstDelivery(NamedTuple):
    """The first time that an item was delivered to a machine."""

    at: datetime
    ae_title: str


class ReportedStep(NamedTuple):
    """What a machine has reported about an item (MPPS)."""

    status: str
    start: time | None
    end: time | None
    station: str
    reason: str
    end_is_assumed: bool

    @property
    def meaning(self) -> str:
        """Return the reason for discontinuation without its code."""
        return self.reason.partition(" (")[0]


def stage_of(status: str, *, delivered: bool, started: bool) -> Stage:
    """Return a woman's stage. She did not attend if Manage discontinued her item before any machine started."""
    return {
        ItemStatus.SCHEDULED: Stage.SHOWN if delivered else Stage.SCHEDULED,
        ItemStatus.ARRIVED: Stage.ARRIVED,
        ItemStatus.READY: Stage.READY,
        ItemStatus.IN_PROGRESS: Stage.IN_PROGRESS,
        ItemStatus.COMPLETED: Stage.DONE,
        ItemStatus.DISCONTINUED: Stage.DISCONTINUED if started else Stage.DID_NOT_ATTEND,
    }[ItemStatus(status)]


def name_for_people(name: str) -> str:
    """Write the first component group of a DICOM person name (PS3.5 section 6.2.1) as `SMITH, JANE MARY`."""
    family, given, middle, *_ = (part.strip() for part in [*name.split("=", maxsplit=1)[0].split("^"), "", ""])
    return ", ".join(filter(None, (family, " ".join(filter(None, (given, middle)))))) or name


def todays_rooms(modalities: Iterable[Modality], today: date) -> tuple[Room, ...]:
    """Return every room with a machine or with women today, by name; women for any room come last.

    A test machine makes no room.
    """
    room_of = {each.ae_title: each.room or each.ae_title for each in modalities if not each.is_test_machine}
    rows_of: dict[str, list[PatientRow]] = defaultdict(list)
    for station, row in _rows(today):
        rows_of[room_of.get(station, station) or ANY_ROOM].append(row)
    names = sorted({*room_of.values(), *rows_of}, key=lambda name: (name == ANY_ROOM, name.casefold()))
    return tuple(Room(name, tuple(rows_of[name])) for name in names)


def _rows(today: date) -> Iterable[tuple[str, PatientRow]]:
    """Yield each of today's items in the order of the day, with its station AE title. Five queries in all."""
    items = (
        WorklistItem.objects.not_superseded()
        .filter(scheduled_date=today)
        .values_list(
            "id",
            "accession_number",
            "scheduled_time",
            "patient_name",
            "status",
            "station_ae_title",
            "arrived_at",
            "is_test",
            named=True,
        )
    )
    alarms = dict(ItemAlarm.objects.not_shown().filter(item__scheduled_date=today).values_list("item_id", "attribute"))
    deliveries, steps, images = _first_deliveries(today), _steps(today), counts_by_number(midnight(today))
    for item in items:
        step = next((step for step in steps.get(item.id, []) if step.status == item.status), None)
        stage = stage_of(item.status, delivered=item.id in deliveries, started=item.id in steps)
        yield (
            item.station_ae_title,
            PatientRow(
                item_id=item.id,
                accession_number=item.accession_number,
                at=item.scheduled_time,
                name=name_for_people(item.patient_name),
                stage=stage,
                detail=_detail(stage, deliveries.get(item.id), step, item.arrived_at),
                is_test=item.is_test,
                images=images.get(item.accession_number),
                problem=alarms.get(item.id, "") if stage in OPEN_STAGES else "",
            ),
        )


def _detail(
    stage: Stage, delivery: FirstDelivery | None, step: ReportedStep | None, arrived_at: datetime | None
) -> str:
    if stage is Stage.SHOWN and delivery:
        return f"{delivery.ae_title} since {timezone.localtime(delivery.at):%H:%M}"
    if stage in (Stage.ARRIVED, Stage.READY) and arrived_at:
        came = f"{timezone.localtime(arrived_at):%H:%M}"
        came = f"arrived {came}" if stage is Stage.READY else came
        return f"{came}, on the list of {delivery.ae_title}" if delivery else came
    if step is None:
        return ""
    at = {Stage.IN_PROGRESS: step.start, Stage.DONE: step.end, Stage.DISCONTINUED: step.end}.get(stage)
    where = f"{step.station} {'since' if stage is Stage.IN_PROGRESS else 'at'} {at:%H:%M}" if at else step.station
    where += " (assumed)" if step.end_is_assumed and stage is not Stage.IN_PROGRESS else ""
    return ", ".join(filter(None, (where, step.meaning if stage is Stage.DISCONTINUED else "")))


def _first_deliveries(today: date) -> Mapping[UUID, FirstDelivery]:
    rows = Delivery.objects.filter(item__scheduled_date=today).order_by("-first_shown_at")  # the first overwrites
    return {
        item: FirstDelivery(at, title) for item, at, title in rows.values_list("item_id", "first_shown_at", "ae_title")
    }


def _steps(today: date) -> Mapping[UUID, list[ReportedStep]]:
    """Return the steps that count, by item, the latest first."""
    found: dict[UUID, list[ReportedStep]] = defaultdict(list)
    links = StepLink.objects.filter(item__scheduled_date=today, counts=True).order_by("-step__created_at")
    names = ("status", "start_time", "end_time", "station_ae_title", "discontinuation_reason", "end_is_assumed")
    for item, *step in links.values_list("item_id", *(f"step__{name}" for name in names)):
        found[item].append(ReportedStep(*step))
    return found
