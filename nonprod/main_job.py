"""Play the main job step by step: Manage sends an action, a modality performs it, Manage learns the outcome."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from django.conf import settings
from django.urls import reverse
from pydicom.dataset import Dataset

from dicom.modality_directory import FRESH_SECONDS
from dicom.models import Modality
from nonprod import manage_emulator
from nonprod.local_gateway import images_are_on, local_image_server
from nonprod.modality_emulator import (
    VIEWS,
    Exposure,
    ModalityEmulator,
    PerformedStep,
    broad_query,
    step_query,
    worklist_table,
)
from nonprod.modality_emulator.worker import TEST_MACHINE
from nonprod.models import ManageImage
from relay.hybrid_connection.failures import HybridConnectionError
from relay.models import ReceivedAction
from worklist.models import WorklistItem

STATION = "MAMMO1"
#: Attributes that say who she is. Manage reads the Patient ID alone.
PATIENT = {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAddress", "OtherPatientIDs"}
#: How long the copies and Manage's answers may take, on a slow machine and with Manage away at first.
IMAGES_WITHIN = 60.0


class StepFailed(Exception):
    """A step failed; the text says what was found instead."""


@dataclass
class MainJob:
    """Plays Manage and the modality against a running gateway. This process reads the gateway's database as well."""

    modality: ModalityEmulator
    action: dict[str, Any] = field(default_factory=lambda: manage_emulator.create_item_action(station_ae_title=STATION))
    #: An appointment whose first reply is lost on the way, and which is then sent again.
    unanswered: dict[str, Any] = field(
        default_factory=lambda: manage_emulator.create_item_action(
            name="SMITH^JANE", nhs_number="9990000026", station_ae_title=STATION
        )
    )
    sent_again: dict[str, Any] = field(default_factory=dict)
    first_reply: str = ""
    worklist: str = ""
    step: PerformedStep | None = None
    changes: list[dict[str, Any]] = field(default_factory=list)

    def steps(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Yield what each step proves, and the step, in order."""
        yield "Manage sends worklist.create_item through the relay: created", self.create
        yield "Manage sends the same action again: the same reply byte for byte, and still one row", self.create_again
        yield "The modality queries today's worklist: the participant is on it, her name letter for letter", self.query
        yield (
            "Manage sends a test item: a test machine is shown it alone, the modality is not",
            self.send_test_item,
        )
        yield (
            "Manage sends an action with an impossible birth date: invalid_action and why",
            self.send_invalid_action,
        )
        yield (
            "The relay loses a reply, and somebody presses Send again: created, supersedes the first",
            self.press_again,
        )
        yield "The modality queries again: the woman who was sent twice is on the list once", self.query_sent_again
        yield "The modality starts and reports it by MPPS (N-CREATE): the worklist shows her as STARTED", self.begin
        if images_are_on():
            yield (
                "Manage is away for a moment as the modality sends four images (C-STORE): 0000 for each",
                self.send_images,
            )
        yield "The modality completes the step with four images (N-SET): she is off the worklist", self.complete
        yield "Manage polls for changes: IN PROGRESS, COMPLETED, four images; superseded", self.learn
        if images_are_on():
            yield "Manage has four images under the action, and shows each upright, in contrast, legible", self.look
            yield "A person tests the whole way: the test machine does every step but the upload", self.test_whole_way

    @property
    def item(self) -> dict[str, Any]:
        """`parameters.worklist_item` of the action."""
        return _item(self.action)

    def create(self) -> None:
        self.first_reply = _send(self.action)
        _expect("reply", json.loads(self.first_reply), {"status": "created", "action_id": self.action["action_id"]})

    def create_again(self) -> None:
        _expect("reply", _send(self.action), self.first_reply)
        accession_number = self.item["accession_number"]
        _expect("items", WorklistItem.objects.filter(accession_number=accession_number).count(), 1)
        _expect("rows", ReceivedAction.objects.filter(action_id=self.action["action_id"]).count(), 1)

    def query(self) -> None:
        rows = self._query_list()
        mine = [row for row in rows if row.AccessionNumber == self.item["accession_number"]]
        _expect("rows with the accession number", len(mine), 1)
        _expect("name", str(mine[0].PatientName), self.item["participant"]["name"])
        _expect("NHS number", mine[0].PatientID, self.item["participant"]["nhs_number"])
        _expect(
            "time",
            mine[0].ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime,
            self.item["scheduled"]["time"],
        )

    def send_test_item(self) -> None:
        Modality.register_test_machine(TEST_MACHINE, "Modality emulator", "nonprod")
        action = manage_emulator.create_item_action("worklist.create_test_item", station_ae_title=STATION)
        _expect("status", json.loads(_send(action)).get("status"), "created")
        patient, test = map(_number, (self.action, action))

        def shown_to(modality: ModalityEmulator) -> list[str]:
            """Return which of the two the modality is shown, whatever their status."""
            shown = []
            for number in (patient, test):
                identifier = step_query(number)
                statuses = ["SCHEDULED", "STARTED", "COMPLETED"]
                identifier.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus = statuses
                shown += [number for _ in modality.query(identifier)]
            return shown

        _expect("on the modality's list", shown_to(self.modality), [patient])
        test_machine = replace(self.modality, ae_title=TEST_MACHINE)
        known_by = time.monotonic() + 2 * FRESH_SECONDS
        while shown_to(test_machine) != [test] and time.monotonic() < known_by:
            time.sleep(0.2)  # the server reads anew which machines are test machines
        _expect("on the test machine's list", shown_to(test_machine), [test])

    def send_invalid_action(self) -> None:
        invalid = manage_emulator.create_item_action()
        invalid["parameters"]["worklist_item"]["participant"]["birth_date"] = "19701345"
        reply = json.loads(_send(invalid))
        _expect("code", reply.get("code"), "invalid_action")
        rule = "parameters.worklist_item.participant.birth_date: '19701345' is not a date (YYYYMMDD)"
        _expect("message", reply.get("message"), rule)

    def press_again(self) -> None:
        lose_next_reply()
        try:
            raise StepFailed(f"a reply arrived: {_send(self.unanswered)}")
        except HybridConnectionError:
            self.sent_again = manage_emulator.press_again(self.unanswered)
        reply = json.loads(_send(self.sent_again))
        _expect("status", reply.get("status"), "created")
        _expect("supersedes", reply.get("supersedes"), [_number(self.unanswered)])

    def query_sent_again(self) -> None:
        nhs_number = _item(self.sent_again)["participant"]["nhs_number"]
        hers = [row.AccessionNumber for row in self._query_list() if row.PatientID == nhs_number]
        _expect("accession numbers of her rows", hers, [_number(self.sent_again)])

    def begin(self) -> None:
        (row,) = self._query_item()
        self.step = self.modality.start(row)
        status = [each.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus for each in self._query_item()]
        _expect("statuses on the list", status, ["STARTED"])

    def complete(self) -> None:
        if self.step is None:
            raise StepFailed("no step has been started")
        if not self.step.series:
            self.step.expose(*VIEWS)
        self.step.complete()
        _expect("rows on the list", len(self._query_item()), 0)

    def send_images(self) -> None:
        if self.step is None:
            raise StepFailed("no step has been started")
        order_manage_fault(status=503, times=len(VIEWS))
        exposure = Exposure(local_image_server(self.modality.ae_title))
        _expect("images sent", exposure.send(self.step, self.step.expose(*VIEWS)), len(VIEWS))

    def look(self) -> None:
        """Wait for the pictures at Manage, and compare each with its phantom."""
        from images.phantoms import Phantom  # noqa: PLC0415 - where images are off, there is no such app
        from nonprod.picture_check import problems_of  # noqa: PLC0415

        images = ManageImage.objects.filter(action_id=self.action["action_id"])
        _wait_until(lambda: images.exclude(picture=b"").count() == len(VIEWS), "four pictures at Manage")
        _expect("views", sorted(map(str, images)), sorted(VIEWS))
        for image in images:
            view = str(image)
            phantom = Phantom(view, Exposure.rows, Exposure.columns)
            _expect(f"the picture {view}", problems_of(bytes(image.picture), phantom), [])
            _expect(f"identifying attributes of {view}", PATIENT.intersection(image.attributes), {"PatientID"})

    def test_whole_way(self) -> None:
        from images.models import WholeWayTest  # noqa: PLC0415 - where images are off, there is no such app
        from images.whole_way import ask_for_test  # noqa: PLC0415

        test = ask_for_test("main job")
        _wait_until(lambda: WholeWayTest.objects.get(pk=test.pk).ended_at is not None, "the end of the test")
        test.refresh_from_db()
        outcomes = [step["outcome"] for step in test.steps]
        _expect(f"outcomes of {test.steps}", outcomes, ["passed"] * (len(outcomes) - 1) + [WholeWayTest.LEFT_OUT])
        _expect("state", test.state, WholeWayTest.State.PASSED)

    def learn(self) -> None:
        numbers = [_number(action) for action in (self.action, self.unanswered, self.sent_again)]
        changes = manage_emulator.poll(_send).changes
        self.changes = [change for change in changes if change["accession_number"] in numbers]
        hers = [change for change in self.changes if change["accession_number"] == numbers[0]]
        _expect("states", [change["worklist_status"] for change in hers], ["IN PROGRESS", "COMPLETED"])
        _expect("images", [change["performed"]["images"] for change in hers], [0, len(VIEWS)])
        answer = json.loads(_send(manage_emulator.item_status_action(numbers[0])))
        _expect("performed", answer["performed"], hers[-1]["performed"])
        superseded = {
            change["accession_number"]: change["superseded_by"] for change in self.changes if "superseded_by" in change
        }
        _expect("superseded", superseded, {numbers[1]: numbers[2]})

    def _query_list(self) -> list[Dataset]:
        """Query the list of the day, and keep it as a table."""
        day = datetime.strptime(self.item["scheduled"]["date"], "%Y%m%d").date()  # noqa: DTZ007 - wall clock
        rows = self.modality.query(broad_query(STATION, day))
        self.worklist = worklist_table(rows)
        return rows

    def _query_item(self) -> list[Dataset]:
        """Query the item with its status, whatever the status is."""
        identifier = step_query(self.item["accession_number"])
        identifier.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus = ""
        return self.modality.query(identifier)


def _send(action: dict[str, Any]) -> str:
    return asyncio.run(manage_emulator.send_action(action))


def _item(action: dict[str, Any]) -> dict[str, Any]:
    """`parameters.worklist_item` of an action."""
    return dict(action["parameters"]["worklist_item"])


def _number(action: dict[str, Any]) -> str:
    return str(_item(action)["accession_number"])


def lose_next_reply() -> None:
    """Have the relay emulator break off in the middle of the next reply that says *created*."""
    fault = json.dumps({"fault": "cut_mid_frame", "where": "rendezvous", "containing": '"created"'}).encode()
    urllib.request.urlopen(f"http://{settings.AZURE_RELAY_NAMESPACE}/$emulator/faults", fault, timeout=5).close()


def order_manage_fault(**fault: int) -> None:
    """Have the emulated Manage fail the next requests for images."""
    address = f"http://127.0.0.1:{settings.WEB_PORT}{reverse('nonprod:manage_faults')}"
    urllib.request.urlopen(address, json.dumps(fault).encode(), timeout=5).close()


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + IMAGES_WITHIN
    while not holds():
        if time.monotonic() > deadline:
            raise StepFailed(f"{what}: not within {IMAGES_WITHIN:g} s")
        time.sleep(0.2)


def _expect(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise StepFailed(f"{what}: {found!r} instead of {wanted!r}")
