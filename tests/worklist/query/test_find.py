"""C-FIND on the wire: a real server, a real modality, a real database."""

import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, time
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]
from pytest_django import Settings

from dicom.association_policy import AssociationPolicy, ServerConfig
from dicom.server import stop_server
from nonprod.modality_emulator import Modality, NoAnswer, broad_query
from tests.dicom.requests import CALLED, Unit, dataset, find, illegal, keywords, request, step_of
from tests.dicom.serving import start
from tests.factories import WorklistItemFactory, create, item_of_an_action
from tests.worklist_fixtures import LogLines
from worklist.models import WorklistItem
from worklist.query.information_model import ROOT, STEP

FF00, FF01 = 0xFF00, 0xFF01
EVERYTHING = request(QueryRetrieveLevel="SCHEDULED")


class TestRows:
    def test_have_what_was_asked_for_and_no_more(self, unit: Unit) -> None:
        create(accession_number="ACC1")
        (row,) = unit.ask(request(dataset(Modality=""), AccessionNumber="ACC1")).rows
        assert keywords(row) == {"AccessionNumber", "ScheduledProcedureStepSequence"}
        assert keywords(step_of(row)) == {"Modality"}

    @pytest.mark.parametrize("identifier", [request(dataset()), request(ScheduledProcedureStepSequence=[])])
    def test_have_the_whole_step_when_asked_for_an_empty_one(self, unit: Unit, identifier: Dataset) -> None:
        create(accession_number="ACC1")
        identifier.AccessionNumber = "ACC1"
        (row,) = unit.ask(identifier).rows
        assert all(step_of(row)[attribute.keyword].value for attribute in STEP if attribute.return_type == "1")

    def test_of_an_action_have_everything_of_type_1(self, unit: Unit) -> None:
        item = item_of_an_action()
        root = {row.keyword: None for row in ROOT if row.return_type in ("1", "2")}
        step = {row.keyword: None for row in STEP if row.return_type in ("1", "2")}
        (row,) = unit.ask(request(dataset(**step), SpecificCharacterSet="ISO_IR 192", **root)).rows
        assert row.StudyInstanceUID == item.study_instance_uid
        assert row.RequestedProcedureID == item.requested_procedure_id
        assert step_of(row).ScheduledProcedureStepID == item.scheduled_procedure_step_id
        assert step_of(row).ScheduledStationAETitle == "MAMMO1"
        assert (str(row.PatientName), row.PatientID) == ("O'BRIEN-ŁUKASZ^ZOË", "9990000018")
        assert root.keys() | step.keys() <= keywords(row) | keywords(step_of(row))
        assert illegal(row) == []

    def test_have_the_same_identifiers_every_time_and_after_a_restart(self, unit: Unit) -> None:
        item_of_an_action()
        identifier = request(dataset(ScheduledProcedureStepID=""), StudyInstanceUID="", RequestedProcedureID="")
        once, twice = unit.ask(identifier).rows, unit.ask(identifier).rows
        restarted = start("127.0.0.1", 0, AssociationPolicy(ServerConfig(CALLED)))
        try:
            after = Unit(int(restarted.server_address[1])).ask(identifier).rows
        finally:
            stop_server(restarted)
        assert len(once) == 1
        assert once == twice == after

    def test_come_by_date_and_time(self, unit: Unit) -> None:
        for number, day, hour in (("C", 11, 9), ("B", 10, 14), ("A", 10, 9)):
            create(accession_number=number, scheduled_date=date(2026, 3, day), scheduled_time=time(hour))
        assert unit.ask(request(AccessionNumber="")).accession_numbers == ["A", "B", "C"]

    def test_of_final_states_are_hidden_unless_asked_for(self, unit: Unit) -> None:
        for status in WorklistItem.Status:
            create(accession_number=status.name, status=status)
        hidden = unit.ask(request(dataset(ScheduledProcedureStepStatus=""), AccessionNumber=""))
        assert sorted(hidden.accession_numbers) == ["IN_PROGRESS", "SCHEDULED"]
        started = unit.ask(request(dataset(ScheduledProcedureStepStatus="STARTED"), AccessionNumber=""))
        assert started.accession_numbers == ["IN_PROGRESS"]
        assert step_of(started.rows[0]).ScheduledProcedureStepStatus == "STARTED"
        completed = unit.ask(request(dataset(ScheduledProcedureStepStatus="COMPLETED"), AccessionNumber=""))
        assert completed.accession_numbers == ["COMPLETED"]

    def test_without_a_station_are_shown_to_the_asker_as_its_own(self, unit: Unit) -> None:
        create(station_ae_title="")
        answer = Unit(unit.port, "HOLOGIC1").ask(request(dataset(ScheduledStationAETitle="HOLOGIC1")))
        assert step_of(answer.rows[0]).ScheduledStationAETitle == "HOLOGIC1"

    def test_of_another_station_are_not_shown(self, unit: Unit) -> None:
        create(station_ae_title="HOLOGIC2")
        assert unit.ask(request(dataset(ScheduledStationAETitle="HOLOGIC1"), PatientID="")).rows == []

    def test_have_a_zero_length_sequence_for_a_code_that_is_not_known(self, unit: Unit) -> None:
        create()
        (row,) = unit.ask(request(RequestedProcedureCodeSequence=[dataset(CodeValue="", CodeMeaning="")])).rows
        assert len(row.RequestedProcedureCodeSequence) == 0

    def test_have_the_timezone_offset_when_asked_for(self, unit: Unit) -> None:
        create(scheduled_date=date(2026, 7, 10))
        (row,) = unit.ask(request(TimezoneOffsetFromUTC="", PatientID="")).rows
        assert row.TimezoneOffsetFromUTC == "+0100"


class TestWhatModalitiesSend:
    def test_a_broad_query_finds_the_day_of_this_room(self, unit: Unit) -> None:
        create(accession_number="MINE", scheduled_date=date(2026, 3, 10))
        create(accession_number="TOMORROW", scheduled_date=date(2026, 3, 11))
        create(accession_number="OTHER", scheduled_date=date(2026, 3, 10), station_ae_title="MAMMO2")
        create(accession_number="CT", scheduled_date=date(2026, 3, 10), modality="CT")
        modality = Modality("127.0.0.1", unit.port, CALLED, "MAMMO1")
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
    def test_a_patient_based_query_finds_the_woman(self, unit: Unit, keyword: str, value: str) -> None:
        create(
            patient_name="SMITH^JANE",
            patient_id="9990000001",
            accession_number="ACC1",
            requested_procedure_id="RP1",
        )
        create(patient_name="JONES^MARY", patient_id="9990000002", accession_number="ACC2")
        identifier = request(**{"PatientID": "", "AccessionNumber": "", keyword: value})
        assert unit.ask(identifier).accession_numbers == ["ACC1"]

    def test_a_period_over_several_days(self, unit: Unit) -> None:
        for number, day, hour in (("A", 10, 9), ("B", 10, 10), ("C", 10, 20), ("D", 11, 10), ("E", 11, 11)):
            create(accession_number=number, scheduled_date=date(2026, 3, day), scheduled_time=time(hour))
        step = dataset(
            ScheduledProcedureStepStartDate="20260310-20260311", ScheduledProcedureStepStartTime="093000-100000"
        )
        assert unit.ask(request(step, AccessionNumber="")).accession_numbers == ["B", "C", "D"]

    def test_an_engineers_query_with_a_level_gets_whole_items(self, unit: Unit) -> None:
        create(accession_number="ACC1")
        answer = unit.ask(request(QueryRetrieveLevel="SCHEDULED"))
        assert answer.statuses == [FF00, 0x0000]
        assert {"PatientID", "PatientName", "AccessionNumber", "StudyInstanceUID"} <= keywords(answer.rows[0])

    def test_a_patient_id_alone_gets_the_whole_item(self, unit: Unit) -> None:
        create(patient_id="9990000001")
        create(patient_id="9990000002")
        (row,) = unit.ask(request(PatientID="9990000001")).rows
        assert {"PatientName", "StudyInstanceUID"} <= keywords(row)
        assert step_of(row).Modality == "MG"

    def test_a_patient_id_and_a_return_key_get_only_those(self, unit: Unit) -> None:
        create(patient_id="9990000001")
        (row,) = unit.ask(request(PatientID="9990000001", PatientName="")).rows
        assert keywords(row) == {"PatientID", "PatientName"}

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
    def test_no_match_is_success_alone(self, unit: Unit) -> None:
        create()
        answer = unit.ask(request(AccessionNumber="NONE"))
        assert (answer.statuses, answer.rows) == ([0x0000], [])

    def test_pending_is_ff00_where_all_keys_are_supported(self, unit: Unit) -> None:
        create(patient_name="SMITH^JANE")
        create(patient_name="SMITH^MARY")
        answer = unit.ask(request(dataset(Modality="MG"), PatientName="SMITH*", AdmissionID=""))
        assert answer.statuses == [FF00, FF00, 0x0000]

    def test_pending_is_ff01_where_one_is_not(self, unit: Unit) -> None:
        create()
        create()
        answer = unit.ask(request(AdmissionID="123", PatientName=""))
        assert answer.statuses == [FF01, FF01, 0x0000]
        assert all(row["AdmissionID"].is_empty for row in answer.rows)

    @pytest.mark.parametrize(
        ("identifier", "tag"),
        [
            (request(dataset(ScheduledProcedureStepStartDate="20261345")), 0x00400002),
            (request(dataset(ScheduledProcedureStepStartDate="2026.03.11")), 0x00400002),
            (request(dataset(ScheduledProcedureStepStartTime="2500")), 0x00400003),
            (request(PatientBirthDate="SMITH^JANE"), 0x00100030),
            (request(dataset(), dataset()), 0x00400100),
        ],
    )
    def test_a_key_that_means_nothing_is_a900_and_named(self, unit: Unit, identifier: Dataset, tag: int) -> None:
        create()
        answer = unit.ask(identifier)
        assert (answer.statuses, answer.rows) == ([0xA900], [])
        assert answer.final.OffendingElement == tag
        assert 0 < len(answer.final.ErrorComment) <= 64
        assert "SMITH" not in answer.final.ErrorComment

    def test_an_identifier_that_cannot_be_read_is_c310(self, unit: Unit) -> None:
        identifier = request()
        identifier.add_new(0x0018602C, "LO", "AB")  # PhysicalDeltaX, of eight bytes
        with unit.associated([ImplicitVRLittleEndian]) as association:
            answer = find(association, identifier)
        assert answer.statuses == [0xC310]
        assert answer.final.ErrorComment == "The identifier cannot be read"

    def test_more_than_the_cap_are_a700_after_the_rows_up_to_it(self, unit: Unit, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 3
        WorklistItemFactory.create_batch(4)
        answer = unit.ask(request(PatientID=""))
        assert answer.statuses == [FF00, FF00, FF00, 0xA700]
        assert answer.final.ErrorComment == "More than 3 matches; narrow the query"

    def test_as_many_as_the_cap_are_no_more(self, unit: Unit, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 3
        WorklistItemFactory.create_batch(3)
        assert unit.ask(request(PatientID="")).statuses == [FF00, FF00, FF00, 0x0000]

    def test_a_row_that_cannot_be_shown_costs_no_other(self, unit: Unit, log: LogLines) -> None:
        for number, uid in (("A", "1.2.3"), ("B", "letters"), ("C", "1.2.4")):
            create(accession_number=number, study_instance_uid=uid)
        answer = unit.ask(request(AccessionNumber="", StudyInstanceUID=""))
        assert (answer.accession_numbers, answer.statuses[-1]) == (["A", "C"], 0x0000)
        alarm = log.wait_for("item left out: illegal value")
        assert (alarm.levelname, vars(alarm)["attribute"]) == ("ERROR", "StudyInstanceUID")
        assert vars(log.wait_for("worklist query answered"))["left_out"] == 1


class TestCharacterSets:
    @pytest.mark.parametrize("asked", [None, "", "ISO_IR 6"])
    def test_ascii_needs_none(self, unit: Unit, asked: str | None) -> None:
        create(patient_name="SMITH^JANE")
        (row,) = unit.ask(request(SpecificCharacterSet=asked, PatientName="")).rows
        assert "SpecificCharacterSet" not in row
        assert row.PatientName == "SMITH^JANE"

    @pytest.mark.parametrize(
        ("asked", "name", "answered"),
        [
            ("ISO_IR 100", "MÜLLER^ZOË", "ISO_IR 100"),
            ("ISO_IR 192", "LEE^ANN=李^安", "ISO_IR 192"),
            ("ISO_IR 100", "LEE^ANN=李^安", "ISO_IR 192"),
            (None, "MÜLLER^ZOË", "ISO_IR 100"),
            ("", "MÜLLER^ZOË", "ISO_IR 100"),
            (None, "ŁUKASZ^ŴYN", "ISO_IR 192"),
            (["ISO 2022 IR 6", "ISO 2022 IR 100"], "MÜLLER^ZOË", ["ISO 2022 IR 6", "ISO 2022 IR 100"]),
        ],
    )
    def test_of_an_answer(self, unit: Unit, asked: Any, name: str, answered: Any) -> None:
        create(patient_name=name)
        (row,) = unit.ask(request(SpecificCharacterSet=asked, PatientName="")).rows
        assert row.SpecificCharacterSet == answered
        assert str(row.PatientName) == name

    def test_latin_1_is_one_byte_a_letter(self, unit: Unit) -> None:
        create(patient_name="MÜLLER")
        (row,) = unit.ask(request(SpecificCharacterSet="ISO_IR 100", PatientName="")).rows
        assert row.PatientName.original_string == b"\x4d\xdc\x4c\x4c\x45\x52"

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
    def test_of_a_key(self, unit: Unit, asked: Any, key: str) -> None:
        create(patient_name="MÜLLER^ZOË")
        create(patient_name="MUELLER^ZOE")
        answer = unit.ask(request(SpecificCharacterSet=asked, PatientName=key))
        assert [str(row.PatientName) for row in answer.rows] == ["MÜLLER^ZOË"]

    @pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
    def test_an_unknown_one_is_no_failure(self, unit: Unit) -> None:
        for name in ("SMITH^JANE", "SMITH^ZOË", "JONES^MARY"):
            create(patient_name=name)
        answer = unit.ask(request(SpecificCharacterSet="ISO_IR 999", PatientName="SMITH*"))
        assert answer.statuses == [FF00, FF00, 0x0000]
        assert sorted(str(row.PatientName) for row in answer.rows) == ["SMITH^JANE", "SMITH^ZOË"]

    @pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
    def test_bytes_that_are_not_of_it_are_no_failure(self, unit: Unit) -> None:
        create(patient_name="MÜLLER")
        identifier = request(PatientName="MÜLLER")  # as Latin-1, and called something else
        identifier.add_new(0x00080005, "CS", "ISO_IR 192")
        identifier.PatientName = "MULLER"
        identifier["PatientName"].value.original_string = b"M\xdcLLER"
        assert unit.ask(identifier).statuses == [0x0000]


class TestCancel:
    def test_ends_the_answer_soon(self, unit: Unit, settings: Settings) -> None:
        settings.MWL_MAX_ROWS = 1000
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(600))
        with unit.associated() as association:
            statuses = []
            for status, _ in association.send_c_find(request(PatientID=""), ModalityWorklistInformationFind, 7):
                statuses.append(status.Status)
                if len(statuses) == 5:
                    association.send_c_cancel(7, query_model=ModalityWorklistInformationFind)
            assert statuses[-1] == 0xFE00
            assert 5 <= len(statuses) < 100
            assert find(association, request(PatientID="", AccessionNumber="NONE")).statuses == [0x0000]

    def test_after_the_answer_is_ignored(self, unit: Unit) -> None:
        create()
        with unit.associated() as association:
            assert find(association, request(PatientID="")).statuses == [FF00, 0x0000]
            association.send_c_cancel(1, query_model=ModalityWorklistInformationFind)
            assert association.send_c_echo().Status == 0x0000
            assert find(association, request(PatientID="")).statuses == [FF00, 0x0000]


class TestConnectionsToTheDatabase:
    def test_are_given_back_while_the_association_lives(
        self, unit: Unit, no_connection_left: Callable[[], bool]
    ) -> None:
        create()
        with unit.associated() as association:
            for identifier in (request(PatientID=""), request(PatientBirthDate="x"), request(PatientID="none")):
                find(association, identifier)
                assert no_connection_left()


class TestADatabaseThatIsAway:
    def test_is_c001_and_the_next_query_works(
        self, unit: Unit, log: LogLines, database_away: Callable[[], AbstractContextManager[None]]
    ) -> None:
        create(accession_number="ACC1")
        identifier = request(AccessionNumber="ACC1", PatientID="")
        with unit.associated() as association:
            with database_away():
                away = find(association, identifier)
                assert association.send_c_echo().Status == 0x0000
            back = find(association, identifier)
        assert (away.statuses, away.rows) == ([0xC001], [])
        assert away.final.ErrorComment == "Database not available, try again"
        assert back.accession_numbers == ["ACC1"]
        assert log.wait_for("request failed: Database not available, try again").levelname == "ERROR"


class TestSeveralAtOnce:
    def test_two_queries_and_an_echo_go_through_one_association(self, unit: Unit) -> None:
        create(accession_number="ACC1")
        create(accession_number="ACC2")
        with unit.associated() as association:
            assert find(association, request(AccessionNumber="ACC1", PatientID="")).accession_numbers == ["ACC1"]
            assert association.send_c_echo().Status == 0x0000
            assert find(association, request(AccessionNumber="ACC2", PatientID="")).accession_numbers == ["ACC2"]

    @pytest.mark.alone
    def test_an_echo_does_not_wait_for_a_long_answer_on_another_association(
        self, unit: Unit, settings: Settings
    ) -> None:
        settings.MWL_MAX_ROWS = 1000
        WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(400))
        begun, echoed, rows_before_echo = threading.Event(), threading.Event(), []

        def ask() -> None:
            with unit.associated() as association:
                for number, _ in enumerate(association.send_c_find(EVERYTHING, ModalityWorklistInformationFind)):
                    begun.set()
                    if not echoed.is_set():
                        rows_before_echo.append(number)

        asker = threading.Thread(target=ask)
        asker.start()
        assert begun.wait(10)
        with unit.associated() as association:
            association.dimse_timeout = 1
            assert association.send_c_echo().Status == 0x0000
        echoed.set()
        asker.join(30)
        assert 0 < len(rows_before_echo) < 400


class TestTheLine:
    def test_a_query_leaves_says_who_asked_how_and_what_came_of_it(self, unit: Unit, log: LogLines) -> None:
        create(patient_id="9990000001", correlation_id="c0ffee")
        unit.ask(request(dataset(ScheduledProcedureStepStartDate="-20991231"), PatientID="9990000001", PatientName=""))
        record = vars(log.wait_for("worklist query answered"))
        assert record["calling_ae_title"] == "MAMMO1"
        assert record["address"] == "127.0.0.1"
        assert record["keys"] == "PatientID,ScheduledProcedureStepStartDate"
        assert (record["outcome"], record["matched"], record["shown"]) == ("answered", 1, "c0ffee")
        assert record["ms"] >= 0

    @pytest.mark.parametrize(
        ("identifier", "outcome"),
        [
            (request(PatientBirthDate="19439"), "failed with A900: PatientBirthDate is not a date (YYYYMMDD)"),
            (request(PatientID=""), "failed with A700: More than 1 matches; narrow the query"),
        ],
    )
    def test_of_a_query_that_failed_says_why(
        self, unit: Unit, log: LogLines, settings: Settings, identifier: Dataset, outcome: str
    ) -> None:
        settings.MWL_MAX_ROWS = 1
        WorklistItemFactory.create_batch(2)
        unit.ask(identifier)
        assert vars(log.wait_for("worklist query answered"))["outcome"] == outcome

    def test_has_nobodys_data_in_it(self, unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
        create(patient_id="9990000018", patient_name="O'BRIEN^ZOE", patient_birth_date=date(1943, 6, 7))
        caplog.set_level("DEBUG")
        unit.ask(request(PatientID="9990000018", PatientName="O'BRIEN*", PatientBirthDate="19430607"))
        unit.ask(request(PatientBirthDate="9990000018", PatientName="O'BRIEN"))
        ours = [record for record in caplog.records if record.name.startswith("worklist")]
        assert len(ours) >= 2
        written = " ".join(f"{record.getMessage()} {vars(record)}" for record in ours)
        assert not [value for value in ("9990000018", "BRIEN", "19430607", "1943-06-07") if value in written]


class TestTheEmulatedModality:
    def test_says_what_went_wrong(self, unit: Unit) -> None:
        modality = Modality("127.0.0.1", unit.port, CALLED)
        with pytest.raises(NoAnswer, match="C-FIND ended with A900 PatientBirthDate is not a date"):
            modality.query(request(PatientBirthDate="never"))

    def test_knows_when_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(NoAnswer, match=f"no association with {CALLED} at 127.0.0.1:{port}"):
            Modality("127.0.0.1", port, CALLED).echo()
