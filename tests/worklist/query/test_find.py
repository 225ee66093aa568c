"""C-FIND over the network: queries of modalities, statuses, cancelling, and what a query leaves in log and record.

The checks of responses are in test_find_responses.py, those of character sets in test_find_character_sets.py.
"""

import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, time
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]
from pytest_django import Settings

from core.contract import ItemStatus
from core.database import CHECKED_AFTER_SECONDS, LentConnections
from dicom.association_policy import AssociationPolicy, Requestor, ServerConfig
from dicom.data_set_reading import read_data_set
from dicom.failures import UnreadableDataSet
from dicom.modality_directory import ModalityDirectory
from dicom.models import Modality
from dicom.server import stop_server
from dicom.service import Batches, Interruption, Request
from dicom.unreadable import UNREADABLE
from dicom.upper_layer.dimse import CommandField
from nonprod.modality_emulator import ModalityEmulator, RequestFailed, broad_query
from tests.dicom.encoded_elements import QUERY, broken, element, item, sequence
from tests.dicom.raw import (
    ERROR_COMMENT,
    EXPLICIT,
    FIND_CONTEXT,
    IMPLICIT,
    WORKLIST,
    Element,
    associated,
    encoded,
    find_request,
)
from tests.dicom.requests import CALLED, Unit, dataset, find, request, step_of
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory, create
from tests.worklist_fixtures import LogLines
from worklist.models import Delivery, WorklistItem, WorklistQuery
from worklist.query.find import BATCH, WorklistContext, answer_find
from worklist.query.matching import BadKey, parse_matching_keys
from worklist.scp import start_worklist_server

FF00, FF01 = 0xFF00, 0xFF01
EVERYTHING = request(QueryRetrieveLevel="SCHEDULED")


class TestMatches:
    def test_in_final_states_are_hidden_unless_the_query_names_a_status(self, unit: Unit) -> None:
        for status in ItemStatus:
            create(accession_number=status.name, status=status)
        hidden = unit.ask(request(dataset(ScheduledProcedureStepStatus=""), AccessionNumber=""))
        assert sorted(hidden.accession_numbers) == ["ARRIVED", "IN_PROGRESS", "READY", "SCHEDULED"]
        started = unit.ask(request(dataset(ScheduledProcedureStepStatus="STARTED"), AccessionNumber=""))
        assert started.accession_numbers == ["IN_PROGRESS"]
        assert step_of(started.rows[0]).ScheduledProcedureStepStatus == "STARTED"
        completed = unit.ask(request(dataset(ScheduledProcedureStepStatus="COMPLETED"), AccessionNumber=""))
        assert completed.accession_numbers == ["COMPLETED"]

    def test_who_have_arrived_are_found_as_scheduled_and_by_their_own_status(self, unit: Unit) -> None:
        for status in ItemStatus:
            create(accession_number=status.name, status=status)

        def statuses(key: str) -> dict[str, str]:
            answer = unit.ask(request(dataset(ScheduledProcedureStepStatus=key), AccessionNumber=""))
            return {row.AccessionNumber: step_of(row).ScheduledProcedureStepStatus for row in answer.rows}

        assert statuses("SCHEDULED") == dict.fromkeys(("SCHEDULED", "ARRIVED", "READY"), "SCHEDULED")
        assert statuses("ARRIVED") == {"ARRIVED": "ARRIVED"}
        assert statuses("") == {
            "SCHEDULED": "SCHEDULED",
            "ARRIVED": "ARRIVED",
            "READY": "READY",
            "IN_PROGRESS": "STARTED",
        }

    def test_are_test_items_for_test_machines_only(self, transactional_db: None) -> None:
        """Whatever a machine asks for: by number, by status, by the item as a whole."""
        create(accession_number="REAL")
        create(accession_number="TEST", is_test=True)
        create(accession_number="PROOF", is_test=True, proves_ae_title="HOLOGIC1")
        Modality.objects.create(ae_title="TEST1", is_test_machine=True)
        identifiers = (
            EVERYTHING,
            request(AccessionNumber=""),
            request(AccessionNumber=["REAL", "TEST", "PROOF"]),
            request(dataset(ScheduledProcedureStepStatus="*"), AccessionNumber="*"),
        )
        with serving() as running:
            for machine, shown in (
                ("HOLOGIC1", ["PROOF", "REAL"]),
                ("STRANGER", ["REAL"]),
                ("TEST1", ["PROOF", "TEST"]),
            ):
                unit = Unit(port_of(running), ae_title=machine)
                assert [unit.ask(identifier).accession_numbers for identifier in identifiers] == [shown] * 4

    def test_of_another_station_are_left_out(self, unit: Unit) -> None:
        create(station_ae_title="HOLOGIC2")
        assert unit.ask(request(dataset(ScheduledStationAETitle="HOLOGIC1"), PatientID="")).rows == []


class TestQueriesOfModalities:
    def test_a_broad_query_finds_the_day_of_this_room(self, unit: Unit) -> None:
        create(accession_number="MINE", scheduled_date=date(2026, 3, 10))
        create(accession_number="TOMORROW", scheduled_date=date(2026, 3, 11))
        create(accession_number="OTHER", scheduled_date=date(2026, 3, 10), station_ae_title="MAMMO2")
        create(accession_number="CT", scheduled_date=date(2026, 3, 10), modality="CT")
        modality = ModalityEmulator("127.0.0.1", unit.port, CALLED, "MAMMO1")
        rows = modality.query(broad_query("MAMMO1", date(2026, 3, 10)))
        assert [row.AccessionNumber for row in rows] == ["MINE"]

    @pytest.mark.parametrize(
        ("keyword", "value"),
        [
            ("PatientName", "SMITH*"),
            ("PatientID", "999 000 0001"),
            ("AccessionNumber", "ACC1"),
            ("RequestedProcedureID", "RP1"),
        ],
    )
    def test_a_patient_based_query_finds_the_patient(self, unit: Unit, keyword: str, value: str) -> None:
        create(
            patient_name="SMITH^JANE",
            patient_id="9990000001",
            accession_number="ACC1",
            requested_procedure_id="RP1",
        )
        create(patient_name="JONES^MARY", patient_id="9990000002", accession_number="ACC2")
        identifier = request(**{"PatientID": "", "AccessionNumber": "", keyword: value})
        assert unit.ask(identifier).accession_numbers == ["ACC1"]

    def test_a_combined_range_spans_several_days(self, unit: Unit) -> None:
        for number, day, hour in (("A", 10, 9), ("B", 10, 10), ("C", 10, 20), ("D", 11, 10), ("E", 11, 11)):
            create(accession_number=number, scheduled_date=date(2026, 3, day), scheduled_time=time(hour))
        step = dataset(
            ScheduledProcedureStepStartDate="20260310-20260311", ScheduledProcedureStepStartTime="093000-100000"
        )
        assert unit.ask(request(step, AccessionNumber="")).accession_numbers == ["B", "C", "D"]

    def test_private_retired_and_nonsense_return_keys_do_no_harm(self, unit: Unit) -> None:
        create(patient_id="1")
        identifier = request(dataset(CommentsOnTheScheduledProcedureStep="*"), PatientID="1", OtherPatientIDs="")
        identifier.add_new(0x00091010, "LO", "")
        identifier.add_new(0x00101030, "LO", "heavy")  # PatientWeight, a number
        with unit.associated([ImplicitVRLittleEndian]) as association:
            answer = find(association, identifier)
        assert answer.statuses == [FF01, 0x0000]
        assert answer.rows[0].PatientID == "1"

    def test_keys_longer_than_their_vr_allows_find_nothing_and_do_no_harm(self, unit: Unit) -> None:
        create()
        assert unit.ask(request(PatientID="9" * 300, AccessionNumber="A" * 100)).statuses == [0x0000]

    def test_a_nul_inside_a_key_finds_nothing_and_does_no_harm(self, unit: Unit) -> None:
        create(patient_id="12")
        assert unit.ask(request(PatientID="1\x002", PatientName="\x00A")).statuses == [0x0000]


class TestStatuses:
    def test_an_identifier_that_cannot_be_read_is_c310(self, unit: Unit) -> None:
        identifier = request()
        identifier.add_new(0x0018602C, "LO", "AB")  # PhysicalDeltaX, of eight bytes
        with unit.associated([ImplicitVRLittleEndian]) as association:
            answer = find(association, identifier)
        assert answer.statuses == [0xC310]
        assert answer.final.ErrorComment == "The identifier cannot be read"

    def test_more_matches_than_the_limit_are_a700_after_that_many_rows(self, unit: Unit, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 3
        WorklistItemFactory.create_batch(4)
        answer = unit.ask(request(PatientID=""))
        assert answer.statuses == [FF00, FF00, FF00, 0xA700]
        assert answer.final.ErrorComment == "More than 3 matches; narrow the query"

    def test_as_many_matches_as_the_limit_are_a_success(self, unit: Unit, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 3
        WorklistItemFactory.create_batch(3)
        assert unit.ask(request(PatientID="")).statuses == [FF00, FF00, FF00, 0x0000]

    def test_an_item_with_an_illegal_value_costs_no_other(self, unit: Unit, log: LogLines) -> None:
        for number, uid in (("A", "1.2.3"), ("B", "letters"), ("C", "1.2.4")):
            create(accession_number=number, study_instance_uid=uid)
        answer = unit.ask(request(AccessionNumber="", StudyInstanceUID=""))
        assert (answer.accession_numbers, answer.statuses[-1]) == (["A", "C"], 0x0000)
        alarm = log.wait_for("item left out: illegal value")
        assert (alarm.levelname, vars(alarm)["attribute"]) == ("ERROR", "StudyInstanceUID")
        assert vars(log.wait_for("worklist query ended"))["left_out"] == 1


class TestAnIdentifierThatCannotBeReadWholly:
    @pytest.mark.parametrize("vr", [b"--", b"RE", b"  "])
    def test_never_finds_more_than_was_asked_for(self, unit: Unit, vr: bytes) -> None:
        """An element of an unknown VR stands before the Scheduled Procedure Step Sequence, and would swallow it."""
        create(station_ae_title="MAMMO2")
        strange = bytes.fromhex("1000B021") + vr + bytes.fromhex("04004730 3030")
        step = element(0x00400001, "AE", b"MAMMO1", EXPLICIT)
        identifier = (
            element(0x00100020, "LO", b"", EXPLICIT) + strange + sequence(0x00400100, item(step), syntax=EXPLICIT)
        )
        with associated(unit.port, EXPLICIT) as modality:
            (answer,) = modality.ask(FIND_CONTEXT, find_request(), identifier)
            assert (answer.status, answer.text(ERROR_COMMENT)) == (0xC310, "(0010,21B0) has an unknown VR")
            (answer,) = modality.ask(FIND_CONTEXT, find_request(), identifier.replace(vr, b"LO"))
            assert answer.status == 0x0000

    @given(broken=broken(QUERY))
    def test_finds_no_more_than_it_would_have_found_unbroken(self, broken: tuple[bytes, str]) -> None:
        items = WorklistItemFactory.build_batch(3, patient_name="SMITH^JANE", scheduled_date=date(2026, 3, 10))
        for index, changes in enumerate(
            ({"patient_id": "9990000001"}, {"station_ae_title": "MAMMO2"}, {"modality": "CT"})
        ):
            for name, value in changes.items():
                setattr(items[index], name, value)
        try:
            identifier = read_data_set(*broken, is_strict=True)
            identifier.decode()
            keys = parse_matching_keys(identifier)
        except (UnreadableDataSet, BadKey, *UNREADABLE):
            return
        assert [item for item in items if keys.matches(item)] in ([], items[:1])


class TestCharacterSetsOfKeys:
    @pytest.mark.parametrize(
        ("asked", "key"),
        [
            ("ISO_IR 100", "müller*"),
            ("ISO_IR 192", "MÜLLER*"),
            ("ISO_IR 192", "M?LLER*"),
            ("ISO_IR 192", "MU\u0308LLER*"),
            (["ISO 2022 IR 6", "ISO 2022 IR 100"], "MÜLLER*"),
        ],
    )
    def test_a_key_is_read_in_the_requests_character_set(self, unit: Unit, asked: Any, key: str) -> None:
        create(patient_name="MÜLLER^ZOË")
        create(patient_name="MUELLER^ZOE")
        answer = unit.ask(request(SpecificCharacterSet=asked, PatientName=key))
        assert [str(row.PatientName) for row in answer.rows] == ["MÜLLER^ZOË"]

    @pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
    def test_an_unknown_character_set_is_no_failure(self, unit: Unit) -> None:
        for name in ("SMITH^JANE", "SMITH^ZOË", "JONES^MARY"):
            create(patient_name=name)
        answer = unit.ask(request(SpecificCharacterSet="ISO_IR 999", PatientName="SMITH*"))
        assert answer.statuses == [FF00, FF00, 0x0000]
        assert sorted(str(row.PatientName) for row in answer.rows) == ["SMITH^JANE", "SMITH^ZOË"]

    @pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
    def test_bytes_that_are_invalid_in_it_are_no_failure(self, unit: Unit) -> None:
        create(patient_name="MÜLLER")
        identifier = request(PatientName="MÜLLER")  # as Latin-1, and called something else
        identifier.add_new(0x00080005, "CS", "ISO_IR 192")
        identifier.PatientName = "MULLER"
        identifier["PatientName"].value.original_string = b"M\xdcLLER"
        assert unit.ask(identifier).statuses == [0x0000]


EVERYBODY = encoded([Element(0x00100020, "LO")])


def asked(context: WorklistContext) -> Batches:
    """Ask for everybody without a socket: the answer goes on when the test says that a batch has been sent."""
    requestor = Requestor("MAMMO1", CALLED, "127.0.0.1")
    return answer_find(Request(CommandField.C_FIND_RQ, 7, WORKLIST, "", IMPLICIT, requestor, EVERYBODY), context)


class TestCancel:
    def test_ends_the_answer_soon_and_the_association_lives(self, unit: Unit, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 1000
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(900, patient_comments="x" * 10_000))
        with unit.associated() as association:
            statuses = []
            for status, _ in association.send_c_find(EVERYTHING, ModalityWorklistInformationFind, 7):
                statuses.append(status.Status)
                if len(statuses) == 5:
                    association.send_c_cancel(7, query_model=ModalityWorklistInformationFind)
            assert statuses[-1] == 0xFE00
            assert 5 <= len(statuses) < 450
            assert find(association, request(PatientID="", AccessionNumber="NONE")).statuses == [0x0000]

    def test_ends_the_answer_after_the_batch_in_which_it_comes(self, unit: Unit, context: WorklistContext) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(5 * BATCH))
        answer = asked(context)
        assert [len(next(answer)), len(answer.send(None)), len(answer.send(None))] == [0, BATCH, BATCH]
        (final,) = answer.send(Interruption.CANCELLED)
        assert final.status == 0xFE00
        assert list(answer) == []
        assert context.deliveries.flush()
        assert (WorklistQuery.objects.get().outcome, Delivery.objects.count()) == ("cancelled", 2 * BATCH)

    def test_is_looked_for_only_once_before_the_first_item_that_can_be_shown(
        self, unit: Unit, context: WorklistContext
    ) -> None:
        illegal = WorklistItemFactory.build_batch(3, patient_id="A\\B", scheduled_time=time(8))
        WorklistItem.objects.bulk_create([*illegal, WorklistItemFactory.build(scheduled_time=time(9))])
        assert [[response.status for response in batch] for batch in asked(context)] == [[], [FF00, 0x0000]]
        assert context.deliveries.flush()
        assert WorklistQuery.objects.get().left_out == 3


class TestDatabaseConnections:
    def test_are_returned_after_each_query(self, unit: Unit, no_connection_left: Callable[[], bool]) -> None:
        create()
        with unit.associated() as association:
            for identifier in (request(PatientID=""), request(PatientBirthDate="x"), request(PatientID="none")):
                find(association, identifier)
                assert no_connection_left()

    def test_are_lent_to_the_queries_that_follow_and_closed_when_idle(
        self, unit: Unit, no_connection_left: Callable[[], bool]
    ) -> None:
        create(accession_number="ACC1")
        now = 0.0
        connections = LentConnections(lambda: now)
        policy = AssociationPolicy(ServerConfig(CALLED), ModalityDirectory(0, connections.lent))
        running = start_worklist_server("127.0.0.1", 0, WorklistContext(policy, connections.lent))
        asked, lending = request(AccessionNumber=""), Unit(port_of(running))
        try:
            for _ in range(50):
                assert lending.ask(asked).accession_numbers == ["ACC1"]
            end_other_connections()
            now = CHECKED_AFTER_SECONDS + 1
            assert lending.ask(asked).accession_numbers == ["ACC1"]
        finally:
            stop_server(running)
        connections.close_idle()
        assert no_connection_left()


def end_other_connections() -> None:
    """End PostgreSQL's other connections, as when it is restarted; SQLite has no server that could go."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


class TestDatabaseDown:
    def test_is_c001_and_the_next_query_works(
        self, unit: Unit, log: LogLines, database_down: Callable[[], AbstractContextManager[None]]
    ) -> None:
        create(accession_number="ACC1")
        identifier = request(AccessionNumber="ACC1", PatientID="")
        with unit.associated() as association:
            with database_down():
                away = find(association, identifier)
                assert association.send_c_echo().Status == 0x0000
            back = find(association, identifier)
        assert (away.statuses, away.rows) == ([0xC001], [])
        assert away.final.ErrorComment == "Database not available, try again"
        assert back.accession_numbers == ["ACC1"]
        record = log.wait_for("request failed")
        assert (record.levelname, vars(record)["comment"]) == ("ERROR", "Database not available, try again")


class TestTheLogLine:
    def test_holds_the_requestor_the_names_of_the_keys_and_the_outcome(self, unit: Unit, log: LogLines) -> None:
        create(patient_id="9990000001", correlation_id="c0ffee")
        unit.ask(request(dataset(ScheduledProcedureStepStartDate="-20991231"), PatientID="9990000001", PatientName=""))
        record = vars(log.wait_for("worklist query ended"))
        assert record["calling_ae_title"] == "MAMMO1"
        assert record["address"] == "127.0.0.1"
        assert record["keys"] == "PatientID,ScheduledProcedureStepStartDate"
        assert (record["outcome"], record["delivered"], record["shown"]) == ("answered", 1, "c0ffee")
        assert record["ms"] >= 0

    @pytest.mark.parametrize(
        ("identifier", "outcome"),
        [
            (request(PatientBirthDate="19439"), "failed with A900: PatientBirthDate is not a date (YYYYMMDD)"),
            (request(PatientID=""), "failed with A700: More than 1 matches; narrow the query"),
        ],
    )
    def test_of_a_failed_query_says_why(
        self, unit: Unit, log: LogLines, settings: Settings, identifier: Dataset, outcome: str
    ) -> None:
        settings.MWL_MAX_ROWS = 1
        WorklistItemFactory.create_batch(2)
        unit.ask(identifier)
        assert vars(log.wait_for("worklist query ended"))["outcome"] == outcome

    def test_has_no_patient_data(self, unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
        create(patient_id="9990000018", patient_name="O'BRIEN^ZOE", patient_birth_date=date(1943, 6, 7))
        caplog.set_level("DEBUG")
        unit.ask(request(PatientID="9990000018", PatientName="O'BRIEN*", PatientBirthDate="19430607"))
        unit.ask(request(PatientBirthDate="9990000018", PatientName="O'BRIEN"))
        ours = [record for record in caplog.records if record.name.startswith("worklist")]
        assert len(ours) >= 2
        written = " ".join(f"{record.getMessage()} {vars(record)}" for record in ours)
        assert not [value for value in ("9990000018", "BRIEN", "19430607", "1943-06-07") if value in written]


class TestTheRecord:
    def test_has_the_called_ae_title(self, unit: Unit, context: WorklistContext) -> None:
        Unit(unit.port, called="ANY-SCP").ask(request(AccessionNumber="", PatientName=""))
        assert context.deliveries.flush()
        assert WorklistQuery.objects.get().called_ae_title == "ANY-SCP"

    def test_after_an_abort_has_the_rows_up_to_the_last_pause(
        self, unit: Unit, context: WorklistContext, log: LogLines, settings: Settings
    ) -> None:
        settings.MWL_MAX_ROWS = 1000
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(300, patient_comments="x" * 10_000))
        with unit.associated() as association:
            next(association.send_c_find(EVERYTHING, ModalityWorklistInformationFind))
            association.abort()
        log.wait_for("worklist query ended")
        assert context.deliveries.flush()
        query = WorklistQuery.objects.get()
        assert (query.outcome, query.delivered % BATCH) == ("interrupted", 0)
        assert Delivery.objects.count() == query.delivered < 300

    def test_after_an_abort_has_the_rows_that_were_sent(self, unit: Unit, context: WorklistContext) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(5 * BATCH))
        answer = asked(context)
        for _ in range(3):
            next(answer)
        answer.close()
        assert context.deliveries.flush()
        query = WorklistQuery.objects.get()
        assert (query.outcome, query.delivered, Delivery.objects.count()) == ("interrupted", BATCH, BATCH)


class TestTheEmulatedModality:
    def test_reports_a_failure_status(self, unit: Unit) -> None:
        modality = ModalityEmulator("127.0.0.1", unit.port, CALLED)
        with pytest.raises(RequestFailed, match="C-FIND ended with A900 PatientBirthDate is not a date"):
            modality.query(request(PatientBirthDate="never"))

    def test_reports_that_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(RequestFailed, match=f"no association with {CALLED} at 127.0.0.1:{port}"):
            ModalityEmulator("127.0.0.1", port, CALLED).echo()
