"""Requirements K1 to K19 of a worklist SCP over real sockets, also with DCMTK where it can send them.

More of K9 and K10 is in test_association_policy.py, K16 in test_tls.py and K18 in test_run_mwl_scp.py.
"""

import random
import socket
import sqlite3
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from io import BytesIO
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from django.db.backends.signals import connection_created
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, build_context
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, N_CREATE
from pynetdicom.dsutils import encode
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)
from pytest_django import Settings

from dicom.association import Association as ServedAssociation
from dicom.models import Modality
from dicom.pynetdicom_internals import adapt_requestor
from dicom.server import DicomServer
from tests.dicom.dcmtk import Console, dcmtk
from tests.dicom.requests import CALLED, PATIENCE, Unit, dataset, find, request
from tests.dicom.serving import all_ended, assert_new_threads_end, connected, port_of, rejection, serving
from tests.factories import WorklistItemFactory
from tests.worklist_fixtures import LogLines
from worklist.models import WorklistItem

ABSTRACT_SYNTAX_NOT_SUPPORTED, TRANSFER_SYNTAXES_NOT_SUPPORTED = 3, 4
ALL = request(AccessionNumber="", PatientID="")
EVERYTHING = request(QueryRetrieveLevel="SCHEDULED")


def make_items(number: int, **values: Any) -> None:
    """Create items in one INSERT."""
    WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(number, **values))


def associate(port: int, *sop_classes: Any, **options: Any) -> Association:
    """Request an association as MAMMO1."""
    entity = AE(ae_title="MAMMO1")
    for sop_class in sop_classes or (ModalityWorklistInformationFind, Verification):
        entity.add_requested_context(sop_class)
    association = entity.associate("127.0.0.1", port, ae_title=CALLED, **options)
    adapt_requestor(association)
    return association


class TestK1Cancel:
    @pytest.fixture(autouse=True)
    def _many(self, unit: Unit, settings: Settings) -> None:
        """Make so many and such wide rows that no buffer between server and modality takes a large part of them."""
        settings.MWL_MAX_ROWS = 5000
        make_items(2000, patient_comments="x" * 10_000)

    def test_k1_after_the_fifth_row_ends_the_answer_with_fe00(self, unit: Unit) -> None:
        statuses = []
        with unit.associated() as association:
            for status, _ in association.send_c_find(EVERYTHING, ModalityWorklistInformationFind, 7):
                statuses.append(status.Status)
                if len(statuses) == 5:
                    association.send_c_cancel(7, query_model=ModalityWorklistInformationFind)
        assert statuses[-1] == 0xFE00
        assert len(statuses) < 1000

    def test_k1_by_findscu(self, console: Console, log: LogLines) -> None:
        assert "Cancel" in console.find("PatientID", "PatientComments", options=("--cancel", "5"))
        record = vars(log.wait_for("worklist query ended"))
        assert record["outcome"] == "cancelled"
        assert record["delivered"] < 1000

    def test_k1_a_cancel_right_after_its_query_is_not_lost(self, unit: Unit) -> None:
        """Both arrive before the response begins; pynetdicom alone would forget the C-CANCEL."""
        with unit.associated() as association:
            (context, *_) = association.accepted_contexts
            assert context.context_id
            query, cancel = a_find(9, PatientID=""), C_CANCEL()
            cancel.MessageIDBeingRespondedTo = 9
            association._reactor_checkpoint.clear()  # this test reads the answers itself
            for message in (query, cancel):
                association.dimse.send_msg(message, context.context_id)
            statuses = list(answers(association))
        assert statuses[-1] == 0xFE00
        assert len(statuses) < 100


def a_find(message_id: int, **keys: Any) -> C_FIND:
    """Build a C-FIND-RQ; without keys, one without an identifier."""
    asked = C_FIND()
    asked.MessageID, asked.AffectedSOPClassUID, asked.Priority = message_id, ModalityWorklistInformationFind, 2
    if keys:
        asked.Identifier = BytesIO(encode(request(**keys), is_implicit_vr=False, is_little_endian=True) or b"")
    return asked


def answers(association: Association) -> Iterator[int]:
    """Yield the statuses received, up to the final one."""
    while True:
        _, answer = association.dimse.get_msg(block=True)
        assert isinstance(answer, C_FIND), "the association broke"
        assert answer.Status is not None
        yield answer.Status
        if answer.Status not in (0xFF00, 0xFF01):
            return


@pytest.mark.once
class TestK2:
    def test_k2_a_cancel_after_the_answer_is_ignored_and_the_association_lives(self, unit: Unit) -> None:
        make_items(1)
        with unit.associated() as association:
            for _ in range(2):  # with the message id that was cancelled, too
                assert find(association, ALL, message_id=3).statuses == [0xFF00, 0x0000]
                association.send_c_cancel(3, query_model=ModalityWorklistInformationFind)
            assert association.send_c_echo().Status == 0x0000


def reset(association: Association) -> None:
    """Reset the connection, as a machine that is switched off does."""
    transport = association.dul.socket
    assert transport
    assert transport.socket
    transport.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.socket.close()
    association.kill()


@pytest.mark.once
class TestK3:
    @pytest.mark.parametrize("leave", [Association.abort, reset], ids=["A-ABORT", "TCP reset"])
    def test_k3_a_requestor_that_leaves_during_the_response_leaves_nothing_behind(
        self,
        unit: Unit,
        log: LogLines,
        no_connection_left: Callable[[], bool],
        leave: Callable[[Association], None],
    ) -> None:
        make_items(400, patient_comments="x" * 10_000)
        with unit.associated() as association:
            next(association.send_c_find(EVERYTHING, ModalityWorklistInformationFind))
            leave(association)
        record = vars(log.wait_for("worklist query ended"))
        assert record["outcome"] == "interrupted"
        assert record["delivered"] < 400
        assert no_connection_left()
        assert len(unit.ask(ALL).rows) == 400

    def test_k3_fifty_associations_leave_no_connection_to_the_database(
        self, unit: Unit, no_connection_left: Callable[[], bool]
    ) -> None:
        make_items(3)
        for _ in range(50):
            assert len(unit.ask(ALL).rows) == 3
        assert no_connection_left()


class TestK4:
    def test_k4_more_matches_than_the_limit_end_with_a700(self, unit: Unit, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 100
        make_items(101)
        answer = unit.ask(ALL)
        assert (len(answer.rows), answer.statuses[-1]) == (100, 0xA700)
        assert answer.final.ErrorComment == "More than 100 matches; narrow the query"

    def test_k4_by_findscu(self, console: Console, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 100
        make_items(101)
        assert "OutOfResources" in console.find("PatientID")


def fastest_echo(association: Association) -> float:
    """Send three C-ECHOs, and return how many seconds the fastest took: one alone may wait for a busy processor."""
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        assert association.send_c_echo().Status == 0x0000
        seconds.append(time.monotonic() - started)
    return min(seconds)


@pytest.mark.once
@pytest.mark.alone
class TestK5AndK14:
    def test_k5_forty_associations_at_once_get_their_own_items_and_an_echo_within_a_second(self, unit: Unit) -> None:
        for number in range(40):
            WorklistItemFactory.create(accession_number=f"ACC{number}")
        together = threading.Barrier(41)

        def ask(number: int) -> list[str]:
            with unit.associated() as association:
                together.wait(PATIENCE)  # all forty are open now
                return find(association, request(AccessionNumber=f"ACC{number}", PatientID="")).accession_numbers

        with ThreadPoolExecutor(40) as pool, unit.associated() as association:
            shown = pool.map(ask, range(40))
            together.wait(PATIENCE)
            assert fastest_echo(association) < 1
            assert list(shown) == [[f"ACC{number}"] for number in range(40)]

    def test_k14_an_echo_does_not_wait_for_a_long_answer(
        self, unit: Unit, console: Console, settings: Settings
    ) -> None:
        settings.MWL_MAX_ROWS = 5000
        make_items(3000)
        with unit.associated() as asking, unit.associated() as echoing:
            answer = asking.send_c_find(EVERYTHING, ModalityWorklistInformationFind)
            assert next(answer)[0].Status == 0xFF00
            assert fastest_echo(echoing) < 1
            assert "Received Echo Response (Success)" in console.echo()
            asking.abort()


@pytest.mark.once
class TestK6:
    def test_k6_one_association_serves_find_and_echo_beside_an_unsupported_context(self, unit: Unit) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        WorklistItemFactory.create(accession_number="ACC2")
        classes = (ModalityWorklistInformationFind, Verification, StudyRootQueryRetrieveInformationModelFind)
        association = associate(unit.port, *classes)
        (rejected,) = association.rejected_contexts
        assert rejected.abstract_syntax == StudyRootQueryRetrieveInformationModelFind
        assert find(association, request(AccessionNumber="ACC1", PatientID="")).accession_numbers == ["ACC1"]
        assert association.send_c_echo().Status == 0x0000
        assert find(association, request(AccessionNumber="ACC2", PatientID="")).accession_numbers == ["ACC2"]
        association.release()

    def test_k6_a_message_on_a_context_that_was_rejected_ends_that_association_alone(self, unit: Unit) -> None:
        association = associate(unit.port, Verification, StudyRootQueryRetrieveInformationModelFind)
        create = N_CREATE()
        create.MessageID, create.AffectedSOPClassUID = 1, StudyRootQueryRetrieveInformationModelFind
        association.dimse.send_msg(create, 3)
        association.join(PATIENCE)
        assert association.is_aborted
        assert unit.ask(ALL).statuses == [0x0000]


@pytest.mark.once
class TestK7:
    def test_k7_implicit_vr_alone_and_short_pdus_suffice(self, unit: Unit) -> None:
        make_items(20)
        with unit.associated([ImplicitVRLittleEndian], max_pdu=16000) as association:
            assert len(find(association, ALL).rows) == 20

    def test_k7_by_findscu(self, console: Console) -> None:
        make_items(20)
        said = console.find("PatientID", options=("--propose-implicit", "--max-pdu", "16000"))
        assert said.count("(Pending)") == 20


@pytest.mark.once
class TestK8:
    def test_k8_several_contexts_of_one_syntax_each_are_accepted(self, unit: Unit) -> None:
        make_items(1, accession_number="ACC1")
        syntaxes = (ExplicitVRBigEndian, ImplicitVRLittleEndian, ExplicitVRLittleEndian)
        entity = AE(ae_title="MAMMO1")
        entity.requested_contexts = [build_context(ModalityWorklistInformationFind, syntax) for syntax in syntaxes]
        association = entity.associate("127.0.0.1", unit.port, ae_title=CALLED)
        assert [context.result for context in association.rejected_contexts] == [TRANSFER_SYNTAXES_NOT_SUPPORTED]
        assert len(association.accepted_contexts) == 2
        answer = find(association, ALL)
        assert (answer.statuses, answer.accession_numbers) == ([0xFF00, 0x0000], ["ACC1"])
        association.release()


@pytest.mark.once
@pytest.mark.usefixtures("findscu")
class TestK9AndK10ByEchoscu:
    def rejection_text(self, running: DicomServer, called: str = CALLED) -> str:
        """Return what echoscu prints when it is rejected."""
        with pytest.raises(AssertionError) as said:
            dcmtk("echoscu", "-v", "-aet", "MAMMO1", "-aec", called, "127.0.0.1", str(port_of(running)))
        return str(said.value)

    def test_k9_an_unknown_calling_title(self, transactional_db: None) -> None:
        with serving(unknown_titles="reject") as running:
            assert "Calling AE Title Not Recognized" in self.rejection_text(running)

    def test_k10_another_called_title(self, transactional_db: None) -> None:
        with serving(checks_called_title=True) as running:
            assert "Called AE Title Not Recognized" in self.rejection_text(running, "ANY-SCP")


@pytest.mark.once
class TestK11:
    def test_k11_another_information_model_is_rejected_and_the_association_stays_open(self, unit: Unit) -> None:
        association = associate(unit.port, StudyRootQueryRetrieveInformationModelFind, Verification)
        (rejected,) = association.rejected_contexts
        assert rejected.abstract_syntax == StudyRootQueryRetrieveInformationModelFind
        assert rejected.result == ABSTRACT_SYNTAX_NOT_SUPPORTED
        assert association.send_c_echo().Status == 0x0000
        association.release()


def offer(information: bytes, sop_class: Any = ModalityWorklistInformationFind) -> SOPClassExtendedNegotiation:
    """A SOP class extended negotiation sub-item."""
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = sop_class, information
    return item


@pytest.mark.once
class TestK12:
    @pytest.mark.parametrize(
        ("offered", "answered"),
        [
            (b"\x01\x01\x01", b"\x01\x01\x00"),
            (b"\x01\x01\x01\x01", b"\x01\x01\x00\x00"),
            (b"\x01\x01\x00\x00", b"\x01\x01\x00\x00"),
            (b"\x01\x01\x01\x01\x01\x01", b"\x01\x01\x00\x00\x00\x00"),
            (b"\x01", b"\x01"),
        ],
    )
    def test_k12_extended_negotiation_is_declined_in_as_many_bytes(
        self, unit: Unit, offered: bytes, answered: bytes
    ) -> None:
        make_items(1)
        association = associate(unit.port, ext_neg=[offer(offered)])
        assert association.acceptor.sop_class_extended == {ModalityWorklistInformationFind: answered}
        assert find(association, ALL).statuses == [0xFF00, 0x0000]
        association.release()

    def test_k12_extended_negotiation_of_another_class_or_none_gets_no_answer(self, unit: Unit) -> None:
        for items in ([offer(b"\x01\x01", Verification)], []):
            association = associate(unit.port, ext_neg=items)
            assert association.acceptor.sop_class_extended == {}
            association.release()


@contextmanager
def _sqlite_locked() -> Iterator[None]:
    connection.close()
    with sqlite3.connect(str(connection.settings_dict["NAME"]), isolation_level=None) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("DELETE FROM django_session")
        yield
        other.execute("ROLLBACK")
    other.close()


@contextmanager
def _postgresql_locked() -> Iterator[None]:
    config = connection.settings_dict
    address = {"host": config["HOST"], "port": config["PORT"], "user": config["USER"], "dbname": config["NAME"]}
    with psycopg.connect(**address) as other:
        other.execute("LOCK TABLE worklist_worklistitem IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


@pytest.fixture
def database_locked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """Lock the items' table; others wait 0.2 seconds for it."""
    options = connections.databases["default"]["OPTIONS"]
    if connection.vendor == "sqlite":
        monkeypatch.setitem(options, "timeout", 0.2)
        return _sqlite_locked
    monkeypatch.setitem(options, "options", "-c lock_timeout=200ms")
    return _postgresql_locked


class TestK13:
    @pytest.mark.parametrize("trouble", ["database_down", "database_locked"])
    def test_k13_an_unavailable_database_is_c001_and_the_next_query_is_answered(
        self, unit: Unit, trouble: str, request: pytest.FixtureRequest
    ) -> None:
        make_items(1)
        begin = request.getfixturevalue(trouble)
        with unit.associated() as association:
            with begin():
                answer = find(association, ALL)
                assert association.send_c_echo().Status == 0x0000
            assert (answer.statuses, answer.rows) == ([0xC001], [])
            assert answer.final.ErrorComment == "Database not available, try again"
            assert find(association, ALL).statuses == [0xFF00, 0x0000]

    @pytest.mark.alone
    def test_k13_an_echo_does_not_wait_for_a_locked_database(
        self, unit: Unit, database_locked: Callable[[], AbstractContextManager[None]]
    ) -> None:
        with database_locked(), serving() as running:
            started = time.monotonic()
            assert rejection(running) is None
            assert time.monotonic() - started < 2

    def test_k13_a_modality_may_associate_meanwhile(
        self, unit: Unit, database_down: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Even where unknown AE titles are rejected: which are unknown cannot be told."""
        Modality.objects.create(ae_title="MAMMO1")
        with database_down(), serving(unknown_titles="reject") as running:
            assert rejection(running) is None
            assert Unit(port_of(running)).ask(ALL).statuses == [0xC001]


class TestK15:
    def test_k15_no_log_names_a_patient(self, unit: Unit, caplog: pytest.LogCaptureFixture, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 5
        for number in range(10):
            WorklistItemFactory.create(patient_name="O'BRIEN^ZOE", patient_id=f"999000001{number}")
        keys = {"PatientName": "O'BRIEN*", "PatientID": "9990000018", "PatientBirthDate": "19430607"}
        caplog.set_level("DEBUG")
        identifiers = [
            request(**keys),
            request(PatientName="O'BRIEN*", PatientID=""),
            request(PatientBirthDate="9990000018", PatientName="O'BRIEN"),
            request(dataset(ScheduledProcedureStepStartDate="O'BRIEN"), **keys),
            request(dataset(), dataset(), **keys),
        ]
        for identifier in identifiers:
            unit.ask(identifier)
        with unit.associated() as association:
            next(association.send_c_find(request(PatientName="O'BRIEN*"), ModalityWorklistInformationFind))
            association.send_c_cancel(1, query_model=ModalityWorklistInformationFind)
            association.abort()
        written = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
        ours = " ".join(vars(record)["name"] for record in caplog.records)
        assert "dicom.association" in ours
        assert not [value for value in ("BRIEN", "99900000", "19430607") if value in written]


@pytest.mark.once
class TestK17:
    def test_k17_a_hundred_connections_of_other_protocols_leave_no_thread_behind(self, transactional_db: None) -> None:
        chance = random.Random(17)
        with serving() as running:
            assert rejection(running) is None
            all_ended(running)
            before = set(threading.enumerate())
            for number in range(100):
                with connected(running) as client:
                    client.sendall(noise(chance, number))
                    if number % 2:
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert rejection(running) is None  # accepted after all of them
            assert_new_threads_end(before)

    def test_k17_a_pdu_length_of_four_gigabytes_ends_the_connection(self, transactional_db: None) -> None:
        with serving() as running, connected(running) as client:
            client.sendall(b"\x01\x00\xff\xff\xff\xff")
            assert received_until_closed(client) == A_ABORT

    def test_k17_a_pdu_that_arrives_byte_by_byte_ends_the_connection(
        self, transactional_db: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Each byte arrives in time, but not all of them."""
        monkeypatch.setattr("dicom.server.ARTIM_SECONDS", 0.3)
        with serving() as running, connected(running) as client:
            client.settimeout(0.1)
            client.sendall(b"\x01\x00\x00\x00\x01\x00")
            assert seconds_of_bytes(client) < PATIENCE


@pytest.mark.once
class TestAConnectionWithoutAnAssociation:
    @pytest.mark.parametrize(
        ("sent", "reason"),
        [
            (bytes([7, 0, 0, 0, 0, 4, 0, 0, 0, 0]), "it aborted the association (source 0, reason 0)"),
            (b"", "it did not request an association in time"),
        ],
        ids=["A-ABORT", "nothing"],
    )
    def test_leaves_one_line_in_the_log(
        self, transactional_db: None, log: LogLines, monkeypatch: pytest.MonkeyPatch, sent: bytes, reason: str
    ) -> None:
        monkeypatch.setattr("dicom.server.ARTIM_SECONDS", 0.3)
        with serving() as running, connected(running) as client:
            client.sendall(sent)
            assert received_until_closed(client) == b""
        record = vars(log.wait_for("association aborted"))
        assert (record["address"], record["reason"]) == ("127.0.0.1", reason)


#: An A-ABORT by the service provider: invalid PDU parameter value (PS3.8 table 9-26).
A_ABORT = bytes([7, 0, 0, 0, 0, 4, 0, 0, 2, 6])


def received_until_closed(client: socket.socket) -> bytes:
    """Return everything that the server sends before it closes the connection."""
    received = b""
    while part := client.recv(100):
        received += part
    return received


def seconds_of_bytes(client: socket.socket) -> float:
    """Send one byte after another; return for how many seconds the server took them."""
    started = time.monotonic()
    while time.monotonic() - started < PATIENCE:
        try:
            client.sendall(b"\x00")
            if client.recv(100) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - started


def noise(chance: random.Random, number: int) -> bytes:
    """Bytes that port scanners and other protocols send, or random ones."""
    known = (b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"SSH-2.0-OpenSSH_9.2\r\n")
    return known[number % 10] if number % 10 < len(known) else chance.randbytes(chance.randrange(1, 400))


class TestK19:
    @pytest.mark.alone
    def test_k19_ten_thousand_other_rows_do_not_slow_todays_list(self, unit: Unit) -> None:
        make_items(10_000, scheduled_date=date(2026, 3, 10), station_ae_title="MAMMO2")
        make_items(60, scheduled_date=date(2026, 3, 10))
        today = dataset(ScheduledProcedureStepStartDate="20260310", ScheduledStationAETitle="MAMMO1")
        identifier = request(today, AccessionNumber="", PatientID="")
        seconds = []
        with unit.associated() as association:
            for _ in range(5):
                started = time.monotonic()
                answer = association.send_c_find(identifier, ModalityWorklistInformationFind)
                assert next(answer)[0].Status == 0xFF00
                seconds.append(time.monotonic() - started)
                assert sum(1 for _ in answer) == 60
        assert min(seconds) < 0.1

    def test_k19_the_number_of_database_queries_is_constant(self, unit: Unit) -> None:
        counts = []
        for number in (1, 150):
            make_items(number)
            with counted_queries("worklist_worklistitem") as queries:
                unit.ask(ALL)
            counts.append(len(queries))
        assert counts == [1, 1]


@contextmanager
def counted_queries(table: str) -> Iterator[list[str]]:
    """Collect the SELECTs from this table in the threads of associations: the delivery log may still be writing."""
    seen: list[str] = []

    def collect(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if f'FROM "{table}"' in sql and isinstance(threading.current_thread(), ServedAssociation):
            seen.append(sql)
        return execute(sql, params, many, context)

    def wrap(connection: Any, **_: Any) -> None:
        connection.execute_wrappers.append(collect)

    connection_created.connect(wrap)
    try:
        yield seen
    finally:
        connection_created.disconnect(wrap)


@pytest.mark.once
class TestImproperRequests:
    def test_a_query_without_an_identifier_is_answered(self, unit: Unit) -> None:
        """It matches universally (PS3.4 section C.2.2.2.3)."""
        make_items(2)
        with unit.associated() as association:
            association._reactor_checkpoint.clear()  # this test reads the answers itself
            context_id = association.accepted_contexts[0].context_id
            assert context_id
            association.dimse.send_msg(a_find(1), context_id)
            assert list(answers(association)) == [0xFF00, 0xFF00, 0x0000]

    def test_an_idle_association_is_aborted(self, transactional_db: None, log: LogLines) -> None:
        with serving(idle_seconds=0.2) as running, Unit(port_of(running)).associated() as association:
            association.join(PATIENCE)
            assert association.is_aborted
            all_ended(running)
