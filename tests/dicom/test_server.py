"""Run the server: presentation contexts, the limit of associations, sockets, logs, starting and stopping."""

import socket
import time
from typing import Any

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
)

from dicom.association_policy import AssociationPolicy, ServerConfig
from dicom.server import STOP_SECONDS, DicomServer, PortUnavailable, stop_server
from nonprod.modality_emulator import ModalityEmulator, RequestFailed
from tests.dicom.requests import CALLED, PATIENCE, Unit, dataset, find, request
from tests.dicom.serving import all_ended, port_of, serving, start
from tests.factories import WorklistItemFactory
from tests.worklist_fixtures import LogLines
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]  # each association looks up its modality


class TestVerification:
    def test_a_c_echo_is_answered(self, scp: DicomServer) -> None:
        ModalityEmulator("127.0.0.1", port_of(scp), CALLED).echo()

    def test_a_c_echo_is_logged(self, scp: DicomServer, log: LogLines) -> None:
        ModalityEmulator("127.0.0.1", port_of(scp), CALLED, "ROOM7").echo()
        assert vars(log.wait_for("association accepted"))["calling_ae_title"] == "ROOM7"
        assert vars(log.wait_for("echo answered"))["calling_ae_title"] == "ROOM7"


class TestPresentationContexts:
    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
    def test_one_little_endian_syntax_and_small_pdus_suffice(self, unit: Unit, syntax: UID) -> None:
        WorklistItemFactory.create_batch(20)
        with unit.associated([syntax], max_pdu=16000) as association:
            assert {context.transfer_syntax[0] for context in association.accepted_contexts} == {syntax}
            assert len(find(association, request(dataset(), PatientID="")).rows) == 20
            assert association.send_c_echo().Status == 0x0000

    def test_responses_keep_to_the_pdu_length_that_the_requestor_accepts(self, unit: Unit) -> None:
        WorklistItemFactory.create(patient_comments="x" * 10000)
        with unit.associated(max_pdu=4096) as association:
            (row,) = find(association, request(PatientComments="")).rows
        assert len(row.PatientComments) == 10000


class TestTheLimitOfAssociations:
    def test_rejects_more_until_one_ends(self, log: LogLines) -> None:
        with serving(max_associations=2) as running:
            unit = Unit(port_of(running))
            with unit.associated(), unit.associated():
                with pytest.raises(RequestFailed):
                    ModalityEmulator("127.0.0.1", port_of(running), CALLED).echo()
                log.wait_for("association rejected")
            all_ended(running)
            ModalityEmulator("127.0.0.1", port_of(running), CALLED).echo()


class TestOtherProtocols:
    def test_bytes_that_are_not_dicom_do_no_harm(self, scp: DicomServer) -> None:
        address = ("127.0.0.1", port_of(scp))
        for noise in (b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x01\x00\xff\xff\xff\xff", b"\xff" * 500) * 4:
            with socket.create_connection(address) as client:
                client.sendall(noise)
        ModalityEmulator("127.0.0.1", port_of(scp), CALLED).echo()


class TestSockets:
    def test_have_no_delay_and_a_timeout(self) -> None:
        with serving(max_associations=5) as running, Unit(port_of(running)).associated():
            (taken,) = running.associations
            assert taken.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            deadline = time.monotonic() + PATIENCE
            while (taken.socket.gettimeout() or 0) <= 10 and time.monotonic() < deadline:
                pass  # it still sends or writes to the log
            assert 59 < (taken.socket.gettimeout() or 0) <= 60


class TestLogs:
    def test_of_pynetdicom_never_contain_an_identifier(self, scp: DicomServer) -> None:
        assert _config.LOG_REQUEST_IDENTIFIERS is False
        assert _config.LOG_RESPONSE_IDENTIFIERS is False
        assert _config.LOG_HANDLER_LEVEL == "none"

    def test_name_the_requestor_of_accepted_and_aborted_associations(self, unit: Unit, log: LogLines) -> None:
        with Unit(unit.port, "ROOM7").associated() as association:
            association.abort()
        assert vars(log.wait_for("association accepted"))["calling_ae_title"] == "ROOM7"
        aborted = vars(log.wait_for("association aborted"))
        assert (aborted["calling_ae_title"], aborted["address"]) == ("ROOM7", "127.0.0.1")

    def test_contain_no_patient_data_at_any_level(self, unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
        WorklistItemFactory.create(patient_name="O'BRIEN^ZOE", patient_id="9990000018")
        caplog.set_level("DEBUG")
        unit.ask(request(PatientName="O'BRIEN*", PatientID="9990000018"))
        written = [record.getMessage() for record in caplog.records]
        assert [record.name for record in caplog.records if record.name.startswith("pynetdicom")]
        assert not [line for line in written if "BRIEN" in line or "9990000018" in line]


class TestStarting:
    def test_on_a_port_in_use_raises_port_unavailable(self, scp: DicomServer) -> None:
        with pytest.raises(PortUnavailable, match="Address already in use"):
            start("127.0.0.1", port_of(scp), AssociationPolicy(ServerConfig(CALLED, 5)))

    def test_on_an_address_of_another_host_raises_port_unavailable(self) -> None:
        with pytest.raises(PortUnavailable, match="Cannot assign requested address"):
            start("192.0.2.1", 0, AssociationPolicy(ServerConfig(CALLED, 5)))


def stuck_requestor(running: DicomServer) -> socket.socket:
    """Open a connection on which a response has begun that the requestor does not read and no buffer can hold.

    It sends the bytes of a proper query, as another association sent them.
    """
    sent: list[bytes] = []
    handlers: list[Any] = [(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))]
    entity = AE()
    entity.add_requested_context(ModalityWorklistInformationFind)
    association = entity.associate("127.0.0.1", port_of(running), ae_title=CALLED, evt_handlers=handlers)
    find(association, request(QueryRetrieveLevel="SCHEDULED"))
    greeting, *query = sent
    association.release()
    all_ended(running)
    stuck = socket.create_connection(("127.0.0.1", port_of(running)))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    stuck.sendall(greeting)
    assert stuck.recv(4096)
    (taken,) = running.associations
    taken.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    stuck.sendall(b"".join(query))
    assert stuck.recv(1)
    return stuck


class TestARequestorThatDoesNotRead:
    @pytest.mark.parametrize("bytes_at_once", [0, 1], ids=["anything", "enough"])
    def test_is_let_go_as_soon_as_one_that_does_not_send(self, unit: Unit, log: LogLines, bytes_at_once: int) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(50, patient_comments="x" * 10000))
        with serving(data_set_seconds=1.0) as running, stuck_requestor(running) as stuck:
            began = time.monotonic()
            (association,) = running.associations
            while association.is_alive() and time.monotonic() - began < PATIENCE:
                if bytes_at_once and association.is_alive():
                    stuck.recv(bytes_at_once)
                association.join(0.05)
            assert 0.5 < time.monotonic() - began < 1.0 + 10_000 * 10 / 1000
            assert running.policy.open_associations() == 0
        assert vars(log.wait_for("association aborted"))["reason"] == "it did not read"


class TestStopping:
    def test_frees_the_port(self) -> None:
        with serving(max_associations=5) as running:
            port = port_of(running)
        with socket.create_server(("127.0.0.1", port)):
            pass

    def test_does_not_wait_for_a_requestor_that_does_not_read(self, unit: Unit) -> None:
        running = start("127.0.0.1", 0, AssociationPolicy(ServerConfig(CALLED, 5)))
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(50, patient_comments="x" * 10000))
        with stuck_requestor(running):
            started = time.monotonic()
            stop_server(running)
            assert time.monotonic() - started < STOP_SECONDS + 2
        all_ended(running)

    def test_ends_every_association_at_once(self) -> None:
        running = start("127.0.0.1", 0, AssociationPolicy(ServerConfig(CALLED, 10)))
        unit = Unit(port_of(running))
        with unit.associated() as first, unit.associated() as second:
            started = time.monotonic()
            stop_server(running)
            assert time.monotonic() - started < 3
            for association in (first, second):
                association.join(PATIENCE)
                assert association.is_aborted
