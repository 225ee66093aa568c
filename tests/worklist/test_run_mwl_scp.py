"""The worklist server as a process: start, listen, answer, stop."""

import json
import signal
import socket
import ssl
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pynetdicom import AE
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    Verification,
)

from core.models import Heartbeat
from dicom.models import Modality
from dicom.server import ACCEPTING_LOOP_SECONDS, is_accepting
from nonprod.local_gateway import is_free
from nonprod.modality_emulator import ModalityEmulator, RequestFailed
from tests.dicom.raw import (
    ACCEPT,
    CLOSED,
    FIND_CONTEXT,
    Element,
    RawAssociation,
    association_request,
    encoded,
    find_request,
)
from tests.dicom.requests import CALLED, Unit, find, request
from tests.dicom.serving import serving
from tests.factories import WorklistItemFactory
from tests.processes import Process, Start, free_ports
from tests.waiting import eventually
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

EVERYTHING = request(QueryRetrieveLevel="SCHEDULED")


@pytest.fixture
def port() -> int:
    """Return a free port."""
    return free_ports(1)[0]


@pytest.fixture
def scp_process(start: Start, port: int) -> Process:
    """Start the worklist server and wait until it listens."""
    process = start("run_mwl_scp", MWL_PORT=str(port), MWL_MAX_ROWS="5000")
    process.wait_for('"listening"')
    return process


class TestRunMwlScp:
    def test_answers_and_stops_with_0(self, scp_process: Process, port: int) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        ModalityEmulator("127.0.0.1", port, CALLED).echo()
        assert Unit(port).ask(request(AccessionNumber="", PatientID="")).accession_numbers == ["ACC1"]
        assert scp_process.stop(signal.SIGTERM) == 0
        assert "worklist SCP stopped" in scp_process.output
        assert is_free(port)

    @pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
    def test_loads_no_codec(self, scp_process: Process) -> None:
        loaded = Path(f"/proc/{scp_process.pid}/maps").read_text()
        assert [name for name in ("numpy", "PIL", "gdcm") if name in loaded] == []

    def test_stops_with_0_on_ctrl_c(self, scp_process: Process, port: int) -> None:
        assert scp_process.stop(signal.SIGINT) == 0
        assert is_free(port)

    def test_logs_where_it_listens(self, start: Start, port: int) -> None:
        process = start("run_mwl_scp", MWL_PORT=str(port))
        line = json.loads(process.wait_for('"listening"'))
        assert (line["host"], line["port"], line["ae_title"]) == ("127.0.0.1", port, CALLED)

    def test_writes_heartbeats_until_it_stops(self, scp_process: Process) -> None:
        beats = Heartbeat.objects.filter(role="mwl_scp", state="listening")
        eventually(beats.exists)
        scp_process.stop()
        assert not beats.exists()

    def test_reports_a_port_in_use_and_its_setting(self, start: Start) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            process = start("run_mwl_scp", MWL_PORT=str(port))
            assert process.exit_status() == 2
        assert f"The worklist cannot listen on 127.0.0.1:{port} (Address already in use)" in process.output
        assert "MWL_PORT" in process.output

    def test_does_not_start_with_an_invalid_setting(self, start: Start) -> None:
        process = start("run_mwl_scp", MWL_MAX_ROWS="10")
        assert process.exit_status() != 0
        assert "worklist.E003" in process.output

    def test_reports_a_tls_port_in_use_and_releases_the_other_port(
        self, start: Start, port: int, tls_files: dict[str, str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            tls_port = taken.getsockname()[1]
            process = start("run_mwl_scp", MWL_PORT=str(port), MWL_TLS_PORT=str(tls_port), **tls_files)
            assert process.exit_status() == 2
        assert f"The worklist cannot listen on 127.0.0.1:{tls_port} (Address already in use)" in process.output
        assert "MWL_TLS_PORT" in process.output
        assert is_free(port)

    def test_can_listen_with_tls_only(self, start: Start, port: int, tls_files: dict[str, str]) -> None:
        process = start("run_mwl_scp", MWL_PORT="0", MWL_TLS_PORT=str(port), **tls_files)
        line = json.loads(process.wait_for('"listening"'))
        assert (line["port"], line["tls"]) == (port, True)
        context = ssl.create_default_context(cafile=tls_files["MWL_TLS_CLIENT_CA_PATH"])
        context.load_cert_chain(tls_files["MWL_TLS_CERTIFICATE_PATH"], tls_files["MWL_TLS_KEY_PATH"])
        entity = AE(ae_title="MAMMO1")
        entity.add_requested_context(Verification)
        association = entity.associate("127.0.0.1", port, ae_title=CALLED, tls_args=(context, "127.0.0.1"))
        assert association.send_c_echo().Status == 0x0000
        association.release()

    def test_has_associations_and_last_query_in_its_heartbeat(self, scp_process: Process, port: int) -> None:
        with Unit(port).associated() as association:
            find(association, EVERYTHING)
            eventually(lambda: _details().get("last_query_at"))
            details = _details()
        assert details["associations"] == 1
        assert datetime.fromisoformat(details["last_query_at"]) <= timezone.now()

    @pytest.mark.alone
    def test_applies_a_change_in_the_admin_within_five_seconds(self, scp_process: Process, port: int) -> None:
        ModalityEmulator("127.0.0.1", port, CALLED, "MAMMO1").echo()
        Modality.objects.create(ae_title="MAMMO1", is_allowed=False)
        deadline = time.monotonic() + 5
        while is_accepted(port) and time.monotonic() < deadline:
            pass
        assert not is_accepted(port)


def is_accepted(port: int) -> bool:
    """Return whether MAMMO1 gets an association."""
    try:
        ModalityEmulator("127.0.0.1", port, CALLED, "MAMMO1").echo()
    except RequestFailed:
        return False
    return True


def _details() -> dict[str, Any]:
    """Return the details of the heartbeat, if there is one."""
    beat = Heartbeat.objects.filter(role="mwl_scp").first()
    return beat.details if beat else {}


class TestTheAcceptingLoop:
    def test_decides_whether_heartbeats_are_written(self) -> None:
        with serving() as running:
            assert is_accepting(running)
            running.last_accepting_at -= ACCEPTING_LOOP_SECONDS + 1
            assert not is_accepting(running)


class TestSigtermDuringAnAssociation:
    def test_k18_stops_within_ten_seconds_in_the_middle_of_an_answer(self, scp_process: Process, port: int) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(2000))
        with Unit(port).associated() as association:
            answer = association.send_c_find(EVERYTHING, ModalityWorklistInformationFind)
            assert next(answer)[0].Status == 0xFF00
            assert_stops_soon(scp_process, port)
            assert sum(1 for _ in answer) < 2000

    def test_k18_stops_within_ten_seconds_despite_an_unfinished_request(self, scp_process: Process, port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as silent, Unit(port).associated():
            silent.sendall(b"\x01\x00\x00\x00\x01")
            assert_stops_soon(scp_process, port)


def assert_stops_soon(process: Process, port: int) -> None:
    """Send SIGTERM; check for exit status 0 within ten seconds and a free port."""
    started = time.monotonic()
    assert process.stop(signal.SIGTERM) == 0
    assert time.monotonic() - started < 10
    assert is_free(port)


@pytest.mark.skipif(not hasattr(socket, "SO_REUSEPORT"), reason="This system cannot share a port")
class TestTwoOnOnePort:
    """The system distributes the connections; each process applies the limits to its own associations."""

    def test_answer_both_each_within_its_own_limit_and_one_alone_after_the_other(self, start: Start, port: int) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        shared = {"MWL_PORT": str(port), "MWL_SHARE_PORT": "True", "MWL_MAX_ASSOCIATIONS_PER_PEER": "1"}
        processes = [start("run_mwl_scp", **shared) for _ in range(2)]
        for process in processes:
            process.wait_for('"listening"')
        admitted: list[RawAssociation] = []

        def are_admitted(number: int) -> bool:  # the system decides which process gets a connection
            admitted.extend(association_at(port))
            return len(admitted) == number

        eventually(lambda: are_admitted(2))
        for line in admitted:
            answers = line.ask(FIND_CONTEXT, find_request(), encoded([Element(0x00080050, "SH")]))
            assert [b"ACC1" in answer.data_set for answer in answers] == [True, False]
        for _ in range(4):
            assert association_at(port) == []
        for line in admitted:
            line.release()
            line.close()
        assert processes[0].stop(signal.SIGTERM) == 0
        eventually(lambda: are_admitted(3))  # as soon as the other has noticed the release
        admitted[-1].close()


def association_at(port: int) -> list[RawAssociation]:
    """Return a new association, or none if it is rejected because its address has as many as are allowed."""
    line = RawAssociation.opened(port, association_request())
    received = line.receive()
    if received.kind == ACCEPT:
        return [line]
    assert received.kind == CLOSED or received.content[1:] == bytes([2, 3, 2])
    line.close()
    return []
