"""What the modality emulator does by itself with the items of `worklist.create_test_item`."""

import json
import logging
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import timezone

from nonprod.modality_emulator import ModalityEmulator, step_query
from nonprod.modality_emulator.worker import MAX_FAILURES, Worker, waiting_items
from relay.models import ReceivedAction
from tests.dicom.requests import CALLED
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory
from tests.nonprod.mpps_server import BREAKS, MppsServer, row
from tests.processes import Start
from worklist.models import PerformedProcedureStep, WorklistItem

pytestmark = pytest.mark.django_db(transaction=True)

START, END = "N-CREATE IN PROGRESS", "N-SET COMPLETED"


def item_of_action(
    accession_number: str = "ACC1",
    *,
    action_type: str = "worklist.create_test_item",
    outcome: str = "created",
    age: timedelta = timedelta(),
    status: str = "SCHEDULED",
    station: str = "",
) -> WorklistItem:
    """An item, and the action that made it."""
    ReceivedAction.objects.create(
        action_id=accession_number,
        action_type=action_type,
        accession_number=accession_number,
        outcome=outcome,
        received_at=timezone.now() - age,
    )
    item: WorklistItem = WorklistItemFactory.create(
        accession_number=accession_number, status=status, station_ae_title=station
    )
    return item


@dataclass
class Clock:
    """Time as the test has it."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Played:
    """The emulator's worker at a server, by the clock of the test."""

    server: MppsServer
    clock: Clock
    worker: Worker

    def turns(self, *pauses: float) -> list[str]:
        """A turn, and one more after each pause; what the server was told until then."""
        self.worker.turn()
        for pause in pauses:
            self.clock.now += pause
            self.worker.turn()
        return self.server.requests


@pytest.fixture
def played(running: MppsServer) -> Played:
    """One with a woman on its list."""
    running.forget(row())
    clock = Clock()
    return Played(running, clock, Worker(running.modality(), exposure_seconds=2, clock=clock))


class TestStepQuery:
    def test_the_gateways_own_row_has_all_that_the_n_create_says_of_it(self) -> None:
        code = {"procedure_code": "MAMMO", "procedure_coding_scheme": "LOCAL", "procedure_code_meaning": "Mammography"}
        item: WorklistItem = WorklistItemFactory.create(patient_name="O'BRIEN-ŁUKASZ^ZOË", **code)
        with serving() as gateway:
            modality = ModalityEmulator("127.0.0.1", port_of(gateway), CALLED)
            (found,) = modality.query(step_query(item.accession_number))
        attributes = modality.prepare(found).attributes
        (scheduled,) = attributes.ScheduledStepAttributesSequence
        assert scheduled.StudyInstanceUID == item.study_instance_uid
        assert scheduled.AccessionNumber == item.accession_number
        assert scheduled.RequestedProcedureID == item.requested_procedure_id
        assert scheduled.ScheduledProcedureStepID == item.scheduled_procedure_step_id
        assert scheduled.RequestedProcedureCodeSequence[0].CodeValue == "MAMMO"
        assert (attributes.PatientName, attributes.PatientID) == (item.patient_name, item.patient_id)
        assert attributes.SpecificCharacterSet == "ISO_IR 192"


class TestWaitingItems:
    def test_are_those_of_new_test_actions_that_are_still_scheduled(self) -> None:
        wanted = item_of_action("WANTED")
        item_of_action("REAL", action_type="worklist.create_item")
        item_of_action("KNOWN", outcome="exists")
        item_of_action("OLD", age=timedelta(minutes=61))
        item_of_action("BEGUN", status="IN PROGRESS")
        assert waiting_items() == [wanted]


class TestWorker:
    def test_a_test_item_is_begun_at_once_and_ended_after_the_exposure(self, played: Played) -> None:
        item_of_action()
        assert played.turns() == [START]
        assert played.turns(1.9) == [START]
        assert played.turns(0.1) == [START, END]
        assert len({told.uid for told in played.server.told}) == 1

    def test_it_asks_for_it_by_its_accession_number(self, played: Played) -> None:
        item_of_action()
        played.turns()
        (asked,) = played.server.asked
        assert asked.AccessionNumber == "ACC1"
        assert not asked.ScheduledProcedureStepSequence[0].ScheduledStationAETitle

    def test_it_is_done_once_even_where_the_item_stays_scheduled(self, played: Played) -> None:
        item_of_action()
        assert played.turns(2, 1, 1, 100) == [START, END]

    def test_several_are_done_at_the_same_time(self, played: Played) -> None:
        played.server.rows = [row(AccessionNumber=number) for number in ("ACC1", "ACC2")]
        item_of_action("ACC1")
        item_of_action("ACC2")
        assert played.turns(2) == [START, START, END, END]

    def test_an_item_is_done_by_its_own_station(self, played: Played) -> None:
        item_of_action(station="MAMMO7")
        played.turns(2)
        assert {told.calling_ae_title for told in played.server.told} == {"MAMMO7"}
        assert played.server.told[0].attributes.PerformedStationAETitle == "MAMMO7"

    def test_other_items_are_left_alone(self, played: Played) -> None:
        item_of_action(action_type="worklist.create_item")
        assert played.turns(2) == []
        assert played.server.associations == 0

    def test_done_ones_are_forgotten(self, played: Played) -> None:
        item_of_action()
        played.turns(2)
        WorklistItem.objects.update(status="COMPLETED")
        played.turns()
        assert played.worker.tasks == {}

    def test_at_the_end_what_has_begun_is_completed(self, played: Played) -> None:
        item_of_action()
        played.turns()
        played.worker.finish()
        played.worker.finish()
        assert played.server.requests == [START, END]


class TestFailures:
    def test_a_request_that_fails_is_sent_again_as_the_same_step(self, played: Played) -> None:
        item_of_action()
        played.server.answers = [0x0110, 0x0000, 0x0110]
        assert played.turns(1, 2, 2) == [START, START, END, END]
        assert len({told.uid for told in played.server.told}) == 1

    def test_a_step_that_was_begun_though_the_answer_was_lost_goes_on(self, played: Played) -> None:
        item_of_action()
        played.server.answers = [BREAKS, 0x0111]
        assert played.turns(1, 2) == [START, START, END]

    def test_it_is_tried_more_and_more_slowly_and_then_left(
        self, played: Played, caplog: pytest.LogCaptureFixture
    ) -> None:
        item_of_action()
        played.server.answers = [0x0110] * 10
        assert played.turns(0.9) == [START]
        assert played.turns(0.1, 1.9) == [START] * 2
        assert played.turns(0.1, 4, 8, 16, 32) == [START] * MAX_FAILURES
        assert caplog.records[-1].getMessage() == "test item abandoned: its request failed too often"
        assert caplog.records[-1].__dict__["problem"] == "status 0110"

    def test_an_item_that_is_on_no_list_is_told(self, played: Played, caplog: pytest.LogCaptureFixture) -> None:
        item_of_action("ELSEWHERE")
        assert played.turns() == []
        assert caplog.records[-1].__dict__["problem"] == "the item is not on the list"
        assert caplog.records[-1].__dict__["request"] == "C-FIND"

    def test_one_that_fails_does_not_keep_the_others(self, played: Played) -> None:
        item_of_action("ELSEWHERE")
        item_of_action("ACC1")
        assert played.turns(2) == [START, END]

    def test_a_fault_of_the_emulator_is_logged_and_ends_nothing(
        self, played: Played, caplog: pytest.LogCaptureFixture
    ) -> None:
        item_of_action()
        played.worker.modality = played.server.modality("MORE_THAN_SIXTEEN")
        assert played.turns() == []
        assert "test item failed" in caplog.messages

    def test_nobody_is_in_the_log(self, played: Played, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "nonprod")
        item_of_action()
        played.server.answers, played.server.comment = [0x0110], "SMITH^JANE"
        played.turns(1, 2)
        ours = [str(vars(record)) for record in caplog.records if record.name.startswith("nonprod")]
        assert len(ours) == 3
        assert [line for line in ours if "SMITH" in line or "99900" in line or "1970" in line] == []


class TestWithTheGateway:
    def test_an_item_of_an_action_is_completed_over_the_gateways_own_sockets(self) -> None:
        item = item_of_action(station="MAMMO7")
        clock = Clock()
        with serving() as gateway:
            worker = Worker(ModalityEmulator("127.0.0.1", port_of(gateway), CALLED), exposure_seconds=2, clock=clock)
            worker.turn()
            item.refresh_from_db()
            assert item.status == "IN PROGRESS"
            clock.now += 2
            worker.turn()
        item.refresh_from_db()
        step = PerformedProcedureStep.objects.get()
        assert (item.status, step.status, step.images) == ("COMPLETED", "COMPLETED", 4)
        assert step.station_ae_title == "MAMMO7"


class TestRunModalityEmulator:
    def test_it_works_through_a_test_item_and_ends_with_0_on_sigterm(self, start: Start, played: Played) -> None:
        options = ["--port", str(played.server.port), "--called", CALLED, "--seconds", "0"]
        process = start("run_modality_emulator", *options)
        process.wait_for("modality emulator started")
        item_of_action()
        started = json.loads(process.wait_for("test item started"))
        completed = json.loads(process.wait_for("test item completed"))
        assert started["correlation_id"] == completed["correlation_id"] != ""
        assert played.server.requests == [START, END]
        assert process.stop() == 0
        assert "modality emulator stopped" in process.output
