"""Owns the main job as a play in seven acts: an action goes in at one end, a modality sees and does it at the other."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset

from nonprod import manage_emulator
from nonprod.modality_emulator import VIEWS, Modality, PerformedStep, broad_query, console, step_query
from relay.models import ReceivedAction
from worklist.models import WorklistItem

STATION = "MAMMO1"


class StepFailed(Exception):
    """A step did not hold; the text says what came instead."""


@dataclass
class MainJob:
    """Plays Manage and the modality against a running gateway whose database this process sees, too."""

    modality: Modality
    action: dict[str, Any] = field(default_factory=lambda: manage_emulator.create_item_action(station_ae_title=STATION))
    first_reply: str = ""
    shown: str = ""
    step: PerformedStep | None = None
    learnt: list[dict[str, Any]] = field(default_factory=list)

    def steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Sentence and step, in order."""
        yield "Manage sends worklist.create_item through the relay: created", self.create
        yield "Manage sends the same again: the same reply byte for byte, and still one row", self.create_again
        yield "The modality asks for its list of today: the woman is on it, her name letter by letter", self.query
        yield "Manage sends an action with a birth date that is none: invalid_action, and why", self.send_wrong_action
        yield "The machine begins, and says so by MPPS (N-CREATE): the list shows her as STARTED", self.begin
        yield "The machine completes her with four images (N-SET): the list no longer shows her", self.complete
        yield "Manage polls, as the gateway cannot call it: IN PROGRESS, COMPLETED, four images", self.learn

    @property
    def item(self) -> dict[str, Any]:
        """The action's worklist item."""
        return dict(self.action["parameters"]["worklist_item"])

    def create(self) -> None:
        """Act one."""
        self.first_reply = _send(self.action)
        _expect("reply", json.loads(self.first_reply), {"status": "created", "action_id": self.action["action_id"]})

    def create_again(self) -> None:
        """Act two."""
        _expect("reply", _send(self.action), self.first_reply)
        accession_number = self.item["accession_number"]
        _expect("items", WorklistItem.objects.filter(accession_number=accession_number).count(), 1)
        _expect("rows", ReceivedAction.objects.filter(action_id=self.action["action_id"]).count(), 1)

    def query(self) -> None:
        """Act three."""
        day = datetime.strptime(self.item["scheduled"]["date"], "%Y%m%d").date()  # noqa: DTZ007 - wall clock
        rows = self.modality.query(broad_query(STATION, day))
        self.shown = console(rows)
        mine = [row for row in rows if row.AccessionNumber == self.item["accession_number"]]
        _expect("rows with the accession number", len(mine), 1)
        _expect("name", str(mine[0].PatientName), self.item["participant"]["name"])
        _expect("NHS number", mine[0].PatientID, self.item["participant"]["nhs_number"])
        _expect("time", mine[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime, self._time())

    def send_wrong_action(self) -> None:
        """Act four."""
        wrong = manage_emulator.create_item_action()
        wrong["parameters"]["worklist_item"]["participant"]["birth_date"] = "19701345"
        reply = json.loads(_send(wrong))
        _expect("code", reply.get("code"), "invalid_action")
        rule = "parameters.worklist_item.participant.birth_date: '19701345' is not a date (YYYYMMDD)"
        _expect("message", reply.get("message"), rule)

    def begin(self) -> None:
        """Act five."""
        (row,) = self._rows()
        self.step = self.modality.start(row)
        status = [each.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus for each in self._rows()]
        _expect("statuses on the list", status, ["STARTED"])

    def complete(self) -> None:
        """Act six."""
        if self.step is None:
            raise StepFailed("nothing has begun")
        self.step.expose(*VIEWS)
        self.step.complete()
        _expect("rows on the list", len(self._rows()), 0)

    def learn(self) -> None:
        """Act seven."""
        polled = manage_emulator.poll(_send)
        accession_number = self.item["accession_number"]
        self.learnt = [change for change in polled.changes if change["accession_number"] == accession_number]
        _expect("states", [change["worklist_status"] for change in self.learnt], ["IN PROGRESS", "COMPLETED"])
        _expect("images", [change["performed"]["images"] for change in self.learnt], [0, len(VIEWS)])
        answer = json.loads(_send(manage_emulator.item_status_action(accession_number)))
        _expect("performed", answer["performed"], self.learnt[-1]["performed"])

    def _rows(self) -> list[Dataset]:
        """What the list has of her, with how it stands."""
        identifier = step_query(self.item["accession_number"])
        identifier.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus = ""
        return self.modality.query(identifier)

    def _time(self) -> str:
        return str(self.item["scheduled"]["time"])


def _send(action: dict[str, Any]) -> str:
    return asyncio.run(manage_emulator.send_action(action))


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise StepFailed(f"{what}: {found!r} instead of {wanted!r}")
