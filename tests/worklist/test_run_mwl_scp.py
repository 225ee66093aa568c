"""The worklist server as a process: it starts, answers, says where it listens, and stops when it is told to."""

import json
import signal
import socket
import time

import pytest
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from core.models import Heartbeat
from nonprod.local_gateway import free_ports
from nonprod.modality_emulator import Modality
from tests.factories import WorklistItemFactory
from tests.processes import PATIENCE, Process, Start
from tests.worklist.dicom import CALLED, Unit, request
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = request(QueryRetrieveLevel="SCHEDULED")


@pytest.fixture
def port() -> int:
    """A port that nobody listens on."""
    return free_ports(1)[0]


@pytest.fixture
def scp_process(start: Start, port: int) -> Process:
    """The worklist server, listening."""
    process = start("run_mwl_scp", MWL_PORT=str(port), MWL_MAX_ROWS="5000")
    process.wait_for('"listening"')
    return process


def is_free(port: int) -> bool:
    """Whether somebody else could listen there now."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            return True
    except OSError:
        return False


class TestRunMwlScp:
    def test_answers_and_stops_with_0(self, scp_process: Process, port: int) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        Modality("127.0.0.1", port, CALLED).echo()
        assert Unit(port).ask(request(AccessionNumber="", PatientID="")).accession_numbers == ["ACC1"]
        assert scp_process.stop(signal.SIGTERM) == 0
        assert "worklist SCP stopped" in scp_process.output
        assert is_free(port)

    def test_stops_with_0_at_ctrl_c(self, scp_process: Process, port: int) -> None:
        assert scp_process.stop(signal.SIGINT) == 0
        assert is_free(port)

    def test_says_where_it_listens(self, start: Start, port: int) -> None:
        process = start("run_mwl_scp", MWL_PORT=str(port))
        line = json.loads(process.wait_for('"listening"'))
        assert (line["host"], line["port"], line["ae_title"]) == ("127.0.0.1", port, CALLED)

    def test_beats_while_it_lives(self, scp_process: Process) -> None:
        beats = Heartbeat.objects.filter(role="mwl_scp", state="listening")
        deadline = time.monotonic() + PATIENCE
        while not beats.exists() and time.monotonic() < deadline:
            pass
        assert beats.exists()
        scp_process.stop()
        assert not beats.exists()

    def test_says_which_port_is_taken_and_which_setting_changes_it(self, start: Start) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            process = start("run_mwl_scp", MWL_PORT=str(port))
            assert process.exit_status() == 2
        assert f"The worklist cannot listen on 127.0.0.1:{port} (Address already in use)" in process.output
        assert "MWL_PORT" in process.output

    def test_does_not_start_with_a_setting_that_is_wrong(self, start: Start) -> None:
        process = start("run_mwl_scp", MWL_MAX_ROWS="10")
        assert process.exit_status() != 0
        assert "worklist.E003" in process.output


class TestBeingToldToStopInTheMiddleOfAnAnswer:
    def test_it_stops_soon(self, scp_process: Process, port: int) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(2000))
        with Unit(port).associated() as association:
            answer = association.send_c_find(EVERYTHING, ModalityWorklistInformationFind)
            assert next(answer)[0].Status == 0xFF00
            assert_stops_soon(scp_process, port)
            assert sum(1 for _ in answer) < 2000


def assert_stops_soon(process: Process, port: int) -> None:
    """SIGTERM, exit 0 within ten seconds, and the port is free."""
    started = time.monotonic()
    assert process.stop(signal.SIGTERM) == 0
    assert time.monotonic() - started < 10
    assert is_free(port)
