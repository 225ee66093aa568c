"""The worker that performs the items of `worklist.create_test_item`."""

import json
import logging
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import timezone

from dicom.models import Modality
from nonprod.modality_emulator import Exposure, ModalityEmulator, step_query
from nonprod.modality_emulator.worker import MAX_FAILURES, Worker, waiting_items
from relay.models import ReceivedAction
from tests.dicom.requests import CALLED
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory
from tests.nonprod.mpps_server import ABORTS, MppsServer, row
from tests.nonprod.storage_server import storage_server
from tests.processes import Start
from worklist.models import PerformedProcedureStep, WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

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
    """Create an item and the action that created it."""
    ReceivedAction.objects.create(
        action_id=accession_number,
        action_type=action_type,
        accession_number=accession_number,
        outcome=outcome,
        received_at=timezone.now() - age,
    )
    item: WorklistItem = WorklistItemFactory.create(
        accession_number=accession_number,
        status=status,
        station_ae_title=station,
        is_test=action_type == "worklist.create_test_item",
    )
    return item


@dataclass
class Clock:
    """A clock that the test sets."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class WorkerRun:
    """A worker with its server and its clock."""

    server: MppsServer
    clock: Clock
    worker: Worker

    def turns(self, *pauses: float) -> list[str]:
        """Run one turn, and another after each pause; return the requests that the server has received."""
        self.worker.turn()
        for pause in pauses:
            self.clock.now += pause
            self.worker.turn()
        return self.server.requests


@pytest.fixture
def run(module_server: MppsServer) -> WorkerRun:
    """Return a worker whose server has one row on its worklist."""
    module_server.reset(row())
    clock = Clock()
    return WorkerRun(module_server, clock, Worker(module_server.modality(), exposure_seconds=2, clock=clock))


class TestStepQuery:
    def test_the_gateways_row_has_everything_that_the_n_create_copies(self) -> None:
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
    def test_scheduled_items_of_recent_test_actions_are_waiting(self) -> None:
        wanted = item_of_action("WANTED")
        item_of_action("REAL", action_type="worklist.create_item")
        item_of_action("KNOWN", outcome="exists")
        item_of_action("OLD", age=timedelta(minutes=61))
        item_of_action("BEGUN", status="IN PROGRESS")
        assert waiting_items() == [wanted]


class TestWorker:
    def test_a_test_item_is_started_at_once_and_completed_after_the_exposure(self, run: WorkerRun) -> None:
        item_of_action()
        assert run.turns() == [START]
        assert run.turns(1.9) == [START]
        assert run.turns(0.1) == [START, END]
        assert len({request.uid for request in run.server.received}) == 1

    def test_the_query_is_by_accession_number(self, run: WorkerRun) -> None:
        item_of_action()
        run.turns()
        (asked,) = run.server.identifiers
        assert asked.AccessionNumber == "ACC1"
        assert not asked.ScheduledProcedureStepSequence[0].ScheduledStationAETitle

    def test_an_item_that_stays_scheduled_is_performed_once(self, run: WorkerRun) -> None:
        item_of_action()
        assert run.turns(2, 1, 1, 100) == [START, END]

    def test_several_items_are_performed_at_once(self, run: WorkerRun) -> None:
        run.server.rows = [row(AccessionNumber=number) for number in ("ACC1", "ACC2")]
        item_of_action("ACC1")
        item_of_action("ACC2")
        assert run.turns(2) == [START, START, END, END]

    def test_an_item_is_performed_by_the_test_machine_whatever_its_station(self, run: WorkerRun) -> None:
        item_of_action(station="MAMMO7")
        run.turns(2)
        own = run.worker.modality.ae_title
        assert {request.calling_ae_title for request in run.server.received} == {own}
        assert run.server.received[0].attributes.PerformedStationAETitle == own

    def test_other_items_are_left_alone(self, run: WorkerRun) -> None:
        item_of_action(action_type="worklist.create_item")
        assert run.turns(2) == []
        assert run.server.associations == 0

    def test_completed_items_are_forgotten(self, run: WorkerRun) -> None:
        item_of_action()
        run.turns(2)
        WorklistItem.objects.update(status="COMPLETED")
        run.turns()
        assert run.worker.tasks == {}

    def test_finish_completes_started_steps(self, run: WorkerRun) -> None:
        item_of_action()
        run.turns()
        run.worker.finish()
        run.worker.finish()
        assert run.server.requests == [START, END]


class TestImages:
    def test_four_images_are_sent_before_the_n_set(self, run: WorkerRun) -> None:
        with storage_server() as images:
            run.worker.exposure = Exposure(images.sender("TESTMACHINE"), rows=201, columns=155)
            item_of_action()
            assert run.turns(2) == [START, END]
        reported = run.server.received[-1].attributes.PerformedSeriesSequence
        assert [one.SeriesInstanceUID for one in images.received] == [one.SeriesInstanceUID for one in reported]

    def test_images_that_were_refused_are_sent_again_before_the_n_set(self, run: WorkerRun) -> None:
        with storage_server() as images:
            images.answers = [0x0000, 0xA700]
            run.worker.exposure = Exposure(images.sender("TESTMACHINE"), rows=201, columns=155)
            item_of_action()
            assert run.turns(2) == [START]
            assert run.turns(1) == [START, END]
        assert len({one.SOPInstanceUID for one in images.received}) == 4

    def test_a_failed_n_set_does_not_send_them_again(self, run: WorkerRun) -> None:
        with storage_server() as images:
            run.worker.exposure = Exposure(images.sender("TESTMACHINE"), rows=201, columns=155)
            run.server.answers = [0x0000, 0x0110]
            item_of_action()
            assert run.turns(2, 1) == [START, END, END]
        assert len(images.received) == 4


class TestFailures:
    def test_a_failed_request_is_sent_again_for_the_same_step(self, run: WorkerRun) -> None:
        item_of_action()
        run.server.answers = [0x0110, 0x0000, 0x0110]
        assert run.turns(1, 2, 2) == [START, START, END, END]
        assert len({request.uid for request in run.server.received}) == 1

    def test_a_step_continues_if_only_the_answer_was_lost(self, run: WorkerRun) -> None:
        item_of_action()
        run.server.answers = [ABORTS, 0x0111]
        assert run.turns(1, 2) == [START, START, END]

    def test_retries_slow_down_and_then_stop(self, run: WorkerRun, caplog: pytest.LogCaptureFixture) -> None:
        item_of_action()
        run.server.answers = [0x0110] * 10
        assert run.turns(0.9) == [START]
        assert run.turns(0.1, 1.9) == [START] * 2
        assert run.turns(0.1, 4, 8, 16, 32) == [START] * MAX_FAILURES
        assert caplog.records[-1].getMessage() == "test item abandoned: its request failed too often"
        assert caplog.records[-1].__dict__["problem"] == "status 0110"

    def test_an_item_that_is_on_no_worklist_is_logged(self, run: WorkerRun, caplog: pytest.LogCaptureFixture) -> None:
        item_of_action("ELSEWHERE")
        assert run.turns() == []
        assert caplog.records[-1].__dict__["problem"] == "the item is not on the list"
        assert caplog.records[-1].__dict__["request"] == "C-FIND"

    def test_a_failing_item_does_not_stop_the_others(self, run: WorkerRun) -> None:
        item_of_action("ELSEWHERE")
        item_of_action("ACC1")
        assert run.turns(2) == [START, END]

    def test_an_unexpected_error_is_logged_and_the_worker_continues(
        self, run: WorkerRun, caplog: pytest.LogCaptureFixture
    ) -> None:
        item_of_action()
        run.worker.modality = run.server.modality("MORE_THAN_SIXTEEN")
        assert run.turns() == []
        assert "test item failed" in caplog.messages

    def test_the_log_has_no_patient_data(self, run: WorkerRun, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG, "nonprod")
        item_of_action()
        run.server.answers, run.server.comment = [0x0110], "SMITH^JANE"
        run.turns(1, 2)
        ours = [str(vars(record)) for record in caplog.records if record.name.startswith("nonprod")]
        assert len(ours) == 3
        assert [line for line in ours if "SMITH" in line or "99900" in line or "1970" in line] == []


class TestWithTheGateway:
    def test_a_test_item_is_completed_over_dicom(self) -> None:
        item = item_of_action(station="MAMMO7")
        clock = Clock()
        with serving() as gateway:
            modality = ModalityEmulator("127.0.0.1", port_of(gateway), CALLED, "TESTMACHINE")
            Modality.register_test_machine(modality.ae_title, "Modality emulator", "nonprod")
            worker = Worker(modality, exposure_seconds=2, clock=clock)
            worker.turn()
            item.refresh_from_db()
            assert item.status == "IN PROGRESS"
            clock.now += 2
            worker.turn()
        item.refresh_from_db()
        step = PerformedProcedureStep.objects.get()
        assert (item.status, step.status, step.images) == ("COMPLETED", "COMPLETED", 4)
        assert step.station_ae_title == "TESTMACHINE"


class TestRegisteringTheTestMachine:
    def test_marks_it_once_and_a_known_one_too(self) -> None:
        Modality.objects.create(ae_title="KNOWN")
        for ae_title in ("TESTMACHINE", "KNOWN", "KNOWN"):
            Modality.register_test_machine(ae_title, "Modality emulator", "nonprod")
        assert dict(Modality.objects.values_list("ae_title", "is_test_machine")) == {"KNOWN": True, "TESTMACHINE": True}


class TestRunModalityEmulator:
    def test_a_test_item_is_completed_and_sigterm_exits_with_0(self, start: Start, run: WorkerRun) -> None:
        options = ["--port", str(run.server.port), "--called", CALLED, "--seconds", "0"]
        process = start("run_modality_emulator", *options)
        process.wait_for("modality emulator started")
        item_of_action()
        started = json.loads(process.wait_for("test item started"))
        completed = json.loads(process.wait_for("test item completed"))
        assert started["correlation_id"] == completed["correlation_id"] != ""
        assert run.server.requests == [START, END]
        assert process.stop() == 0
        assert "modality emulator stopped" in process.output
