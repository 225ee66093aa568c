"""The checks MP1 to MP40 of performed procedure steps (PS3.4 section F.7.2): with a real server, modality and
database.

MP8 to MP13 and MP24 to MP27 are in test_mpps_items.py, the strict modality is in test_mpps_strict.py.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from io import BytesIO
from typing import Any

import pytest
from django.db import connection
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dimse_primitives import C_ECHO, N_ACTION, N_CREATE, N_DELETE, N_EVENT_REPORT, N_GET, N_SET
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import ModalityPerformedProcedureStep, Verification  # type: ignore[attr-defined]

from dicom.models import Modality
from tests.dicom.requests import PATIENCE, Unit, ask_by_hand, change, create, dataset, find, request, step_of
from tests.dicom.serving import port_of, serving
from tests.factories import create as create_item
from tests.worklist.performed_step.conftest import UID
from tests.worklist.performed_step.reports import (
    EQUIPMENT_FAILURE,
    creation,
    final_change,
    scheduled_step,
    series,
    unscheduled_step,
    without,
)
from tests.worklist_fixtures import LogLines
from worklist.models import ItemChange, MppsException, PerformedProcedureStep, WorklistItem
from worklist.performed_step.report import from_json

ANOTHER_UID = "2.25.1002"
LAST_FRAGMENT = b"\x02"  # of a data set
IS_FINAL = "Performed Procedure Step Object may no longer be updated"
Reason = MppsException.Reason


def status_of(item: WorklistItem) -> str:
    item.refresh_from_db()
    return item.status


def stored_step(uid: str = UID) -> PerformedProcedureStep:
    return PerformedProcedureStep.objects.get(sop_instance_uid=uid)


def stored_report(uid: str = UID) -> Dataset:
    return from_json(stored_step(uid).data_set)


def nothing_is_stored() -> bool:
    return not any(model.objects.exists() for model in (PerformedProcedureStep, ItemChange, MppsException))


def exception_reasons() -> list[str]:
    return sorted(MppsException.objects.values_list("reason", flat=True))


class TestNCreate:
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_mp1_puts_the_item_in_progress(self, unit: Unit, item: WorklistItem, syntax: uid.UID) -> None:
        with unit.associated([syntax]) as association:
            answer = create(association, UID, creation(item))
        assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0000, UID)
        assert answer.CommandDataSetType == 0x0101
        assert status_of(item) == "IN PROGRESS"
        assert (stored_step().calling_ae_title, stored_step().address, stored_step().start_date) == (
            "MAMMO1",
            "127.0.0.1",
            date(2026, 11, 23),
        )
        assert not MppsException.objects.exists()

    def test_mp2_with_a_known_uid_is_a_duplicate_and_changes_nothing(
        self, unit: Unit, item: WorklistItem, begun: str
    ) -> None:
        another = create_item(accession_number="A002")
        answer = unit.create(begun, creation(another, PerformedProcedureStepID="PPS2"))
        assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0111, begun)
        assert (status_of(item), status_of(another)) == ("IN PROGRESS", "SCHEDULED")
        assert stored_step().performed_procedure_step_id == "PPS1"

    def test_mp3_sent_ten_times_at_once_is_stored_once(self, unit: Unit, item: WorklistItem) -> None:
        together = threading.Barrier(10)

        def report(_: int) -> int:
            with unit.associated() as association:
                together.wait(PATIENCE)
                return int(create(association, UID, creation(item)).Status)

        with ThreadPoolExecutor(10) as pool:
            answers = sorted(pool.map(report, range(10)))
        assert answers == [0x0000, *[0x0111] * 9]
        assert PerformedProcedureStep.objects.count() == ItemChange.objects.count() == 1

    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED", "FOO"])
    def test_mp4_with_a_status_other_than_in_progress_is_refused(
        self, unit: Unit, item: WorklistItem, status: str
    ) -> None:
        answer = unit.create(UID, creation(item, PerformedProcedureStepStatus=status))
        assert answer.Status == 0x0106
        assert answer.ErrorComment == "PerformedProcedureStepStatus has an invalid value"
        assert nothing_is_stored()
        assert status_of(item) == "SCHEDULED"

    def test_mp5_without_a_status_is_refused_and_names_it(self, unit: Unit, item: WorklistItem) -> None:
        answer = unit.create(UID, without(creation(item), "PerformedProcedureStepStatus"))
        assert (answer.Status, answer.AttributeIdentifierList) == (0x0120, 0x00400252)
        assert nothing_is_stored()

    def test_mp5_with_an_empty_status_is_refused(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(UID, creation(item, PerformedProcedureStepStatus="")).Status == 0x0121
        assert nothing_is_stored()

    def test_mp5_without_scheduled_steps_is_refused(self, unit: Unit, item: WorklistItem) -> None:
        answer = unit.create(UID, without(creation(item), "ScheduledStepAttributesSequence"))
        assert (answer.Status, answer.AttributeIdentifierList) == (0x0120, 0x00400270)
        assert nothing_is_stored()

    def test_mp6_that_names_no_item_is_stored_as_unscheduled(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(UID, creation(unscheduled_step())).Status == 0x0000
        assert exception_reasons() == [Reason.UNSCHEDULED]
        assert status_of(item) == "SCHEDULED"

    def test_mp7_of_an_unscheduled_step_may_be_followed_by_its_completion(self, unit: Unit, item: WorklistItem) -> None:
        unit.create(UID, creation(unscheduled_step()))
        assert unit.set(UID, final_change()).Status == 0x0000
        assert stored_step().status == "COMPLETED"
        assert status_of(item) == "SCHEDULED"

    def test_mp23_with_missing_attributes_is_stored_and_flagged(self, unit: Unit, item: WorklistItem) -> None:
        lacking = ("PerformedStationAETitle", "PerformedProcedureStepID", "PerformedProcedureStepStartDate", "Modality")
        assert unit.create(UID, without(creation(item), *lacking)).Status == 0x0000
        (exception,) = MppsException.objects.all()
        assert exception.reason == Reason.MISSING_ATTRIBUTES
        assert set(exception.detail.split(", ")) == set(lacking)
        assert status_of(item) == "IN PROGRESS"

    def test_mp35_about_an_item_without_an_action_changes_the_item(self, unit: Unit) -> None:
        item = create_item(correlation_id="")
        assert unit.create(UID, creation(item)).Status == 0x0000
        assert unit.set(UID, final_change()).Status == 0x0000
        assert status_of(item) == "COMPLETED"

    def test_mp37_without_an_accession_number_is_stored(self, unit: Unit, item: WorklistItem) -> None:
        named = without(scheduled_step(item), "AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID")
        assert unit.create(UID, creation(named)).Status == 0x0000
        assert stored_step().sop_instance_uid == UID

    def test_mp39_with_the_fewest_possible_attributes_changes_the_item(self, unit: Unit, item: WorklistItem) -> None:
        report = dataset(
            SOPClassUID=ModalityPerformedProcedureStep,
            SOPInstanceUID=UID,
            PerformedProcedureStepStatus="IN PROGRESS",
            PerformedProcedureStepStartDate="20261123",
            PerformedProcedureStepStartTime="143200",
            Modality="MG",
            PerformedSeriesSequence=[],
            ScheduledStepAttributesSequence=[
                dataset(StudyInstanceUID=item.study_instance_uid, AccessionNumber=item.accession_number)
            ],
        )
        assert unit.create(UID, report).Status == 0x0000
        assert status_of(item) == "IN PROGRESS"


class TestNSet:
    def test_mp15_without_a_status_leaves_it_in_progress(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, dataset(PerformedSeriesSequence=[series(images=2)])).Status == 0x0000
        assert (status_of(item), stored_step().series, stored_step().images) == ("IN PROGRESS", 1, 2)

    def test_mp16_may_repeat_in_progress(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, dataset(PerformedProcedureStepStatus="IN PROGRESS")).Status == 0x0000
        assert status_of(item) == "IN PROGRESS"

    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
    def test_mp17_after_the_end_is_refused_with_0110(
        self, unit: Unit, item: WorklistItem, begun: str, status: str
    ) -> None:
        answer = unit.set(begun, final_change())
        assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0000, begun)
        refused = unit.set(begun, final_change(status))
        assert (refused.Status, refused.ErrorID, refused.ErrorComment) == (0x0110, 0xA710, IS_FINAL)
        assert status_of(item) == stored_step().status == "COMPLETED"

    def test_mp18_of_an_unknown_uid_is_refused_with_0112(self, unit: Unit) -> None:
        answer = unit.set(UID, final_change())
        assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0112, UID)
        assert nothing_is_stored()

    def test_mp19_with_an_unknown_status_is_refused_with_0106(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, final_change("FOO")).Status == 0x0106
        assert (status_of(item), stored_step().series) == ("IN PROGRESS", 0)

    @pytest.mark.parametrize("status", ["completed", "COMPLETED "])
    def test_mp20_may_have_its_status_in_any_case_and_with_spaces(
        self, unit: Unit, item: WorklistItem, begun: str, status: str
    ) -> None:
        assert unit.set(begun, final_change(status)).Status == 0x0000
        assert status_of(item) == "COMPLETED"

    def test_mp21_that_ends_a_step_without_series_or_time_is_stored_and_flagged(
        self, unit: Unit, item: WorklistItem, begun: str
    ) -> None:
        assert unit.set(begun, dataset(PerformedProcedureStepStatus="COMPLETED")).Status == 0x0000
        assert status_of(item) == "COMPLETED"
        assert exception_reasons() == [Reason.MISSING_ATTRIBUTES]
        assert stored_step().ended_at is not None  # the time of receipt

    def test_mp22_cannot_change_the_patient(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, final_change(PatientName="JONES^ANN", PatientID="9990000018")).Status == 0x0000
        assert (stored_report().PatientName, stored_step().patient_id) == ("SMITH^JANE", item.patient_id)
        assert exception_reasons() == [Reason.IGNORED_ATTRIBUTES, Reason.WRONG_PATIENT]
        assert status_of(item) == "COMPLETED"

    def test_mp28_is_read_in_the_character_set_of_the_n_create(self, unit: Unit, item: WorklistItem) -> None:
        unit.create(UID, creation(item, SpecificCharacterSet="ISO_IR 100"))
        changes = final_change(
            SpecificCharacterSet="ISO_IR 100", PerformedSeriesSequence=[series(SeriesDescription="Über")]
        )
        assert unit.set(UID, changes).Status == 0x0000
        assert stored_report().PerformedSeriesSequence[0].SeriesDescription == "Über"

    def test_mp29_replaces_a_whole_sequence(self, unit: Unit, begun: str) -> None:
        unit.set(begun, dataset(PerformedSeriesSequence=[series(7)]))
        unit.set(begun, dataset(PerformedSeriesSequence=[series(8), series(9)]))
        assert [each.SeriesInstanceUID for each in stored_report().PerformedSeriesSequence] == ["1.2.3.8", "1.2.3.9"]
        assert (stored_step().series, stored_step().images) == (2, 2)

    def test_mp30_may_have_eight_series_and_the_dose(self, unit: Unit, begun: str) -> None:
        eight = [series(number, images=5) for number in range(8)]
        dose: dict[str, Any] = {"EntranceDose": 7, "ImageAndFluoroscopyAreaDoseProduct": "1.25"}
        assert unit.set(begun, final_change(PerformedSeriesSequence=eight, **dose)).Status == 0x0000
        assert (stored_step().series, stored_step().images) == (8, 40)
        assert stored_step().dose.splitlines() == ["ImageAndFluoroscopyAreaDoseProduct: 1.25", "EntranceDose: 7"]

    def test_mp38_without_attributes_is_refused_and_changes_nothing(
        self, unit: Unit, item: WorklistItem, begun: str
    ) -> None:
        """Without a data set, with an empty one, and with one that has only a Specific Character Set."""
        before = stored_step().data_set
        announced = an_n_set(begun)
        announced.ModificationList = BytesIO()
        with unit.associated() as association:
            answers = [
                ask_by_hand(association, an_n_set(begun)),
                ask_by_hand(association, announced, LAST_FRAGMENT),
                change(association, begun, dataset(SpecificCharacterSet="ISO_IR 192")),
            ]
            assert [answer.Status for answer in answers] == [0x0120] * 3
            assert {answer.ErrorComment for answer in answers} == {"Every attribute is missing"}
            assert association.send_c_echo().Status == 0x0000
        assert (status_of(item), stored_step().data_set) == ("IN PROGRESS", before)

    def test_mp40_may_repeat_the_start_and_the_sop_class(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        again = {
            "PerformedProcedureStepStartDate": "20261124",
            "PerformedProcedureStepStartTime": "150000",
            "SOPClassUID": ModalityPerformedProcedureStep,
        }
        assert unit.set(begun, without(final_change(**again), "PerformedSeriesSequence")).Status == 0x0000
        assert status_of(item) == "COMPLETED"
        assert stored_step().start_date == date(2026, 11, 23)


def an_n_set(uid: str | None, data: bytes = b"") -> N_SET:
    """Return an N-SET-RQ with these bytes as its data set."""
    asked = N_SET()
    asked.MessageID, asked.RequestedSOPClassUID, asked.RequestedSOPInstanceUID = 7, ModalityPerformedProcedureStep, uid
    asked.ModificationList = BytesIO(data) if data else None
    return asked


def an_n_create(uid: str | None, data: bytes = b"") -> N_CREATE:
    """Return an N-CREATE-RQ with these bytes as its data set."""
    asked = N_CREATE()
    asked.MessageID, asked.AffectedSOPClassUID, asked.AffectedSOPInstanceUID = 7, ModalityPerformedProcedureStep, uid
    asked.AttributeList = BytesIO(data) if data else None
    return asked


@pytest.mark.once
class TestTheWorklist:
    def test_mp33_has_an_item_in_progress_as_started_and_no_completed_item(
        self, unit: Unit, item: WorklistItem
    ) -> None:
        asked = request(dataset(ScheduledProcedureStepStatus=""), AccessionNumber="")
        with unit.associated() as association:
            create(association, UID, creation(item))
            (row,) = find(association, asked).rows
            assert step_of(row).ScheduledProcedureStepStatus == "STARTED"
            change(association, UID, final_change())
            assert find(association, asked).rows == []
            assert association.send_c_echo().Status == 0x0000

    def test_mp14_has_no_discontinued_item(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        why = final_change("DISCONTINUED", PerformedProcedureStepDiscontinuationReasonCodeSequence=[EQUIPMENT_FAILURE])
        assert unit.set(begun, why).Status == 0x0000
        assert status_of(item) == "DISCONTINUED"
        assert stored_step().discontinuation_reason == "Equipment failure (110501 DCM)"
        assert unit.ask(request(AccessionNumber="")).rows == []


class TestTheDatabase:
    def test_mp31_that_is_away_causes_0110_and_the_report_can_be_repeated(
        self, unit: Unit, item: WorklistItem, database_down: Callable[[], AbstractContextManager[None]]
    ) -> None:
        with unit.associated() as association:
            with database_down():
                answer = create(association, UID, creation(item))
            assert (answer.Status, answer.ErrorComment) == (0x0110, "Database not available, try again")
            assert create(association, UID, creation(item)).Status == 0x0000
        assert status_of(item) == "IN PROGRESS"

    def test_mp31_that_is_away_causes_0110_for_an_n_set_too(
        self, unit: Unit, item: WorklistItem, begun: str, database_down: Callable[[], AbstractContextManager[None]]
    ) -> None:
        with unit.associated() as association:
            with database_down():
                answer = change(association, begun, final_change())
            assert (answer.Status, "ErrorID" in answer) == (0x0110, False)
            assert change(association, begun, final_change()).Status == 0x0000
        assert status_of(item) == "COMPLETED"

    def test_mp32_keeps_the_report_of_a_modality_that_aborts_before_the_response(
        self, unit: Unit, item: WorklistItem, log: LogLines
    ) -> None:
        with unit.associated() as association:
            context_id = association.accepted_contexts[-1].context_id
            assert context_id
            association.dimse.send_msg(an_n_create(UID, encoded(creation(item))), context_id)
            log.wait_for("procedure step reported")
            association.abort()
        assert unit.create(UID, creation(item)).Status == 0x0111
        assert status_of(item) == "IN PROGRESS"

    def test_has_no_connection_left_open(
        self, unit: Unit, item: WorklistItem, begun: str, no_connection_left: Callable[[], bool]
    ) -> None:
        unit.set(begun, final_change())
        assert no_connection_left()


def encoded(report: Dataset) -> bytes:
    """Encode the data set as pynetdicom sends it to this server."""
    return encode(report, is_implicit_vr=False, is_little_endian=True) or b""


@pytest.mark.once
class TestOtherRequests:
    def requests(self) -> list[object]:
        """Return requests that the SOP class does not have."""
        made: list[object] = []
        for kind in (N_GET, N_ACTION, N_DELETE, N_EVENT_REPORT, C_ECHO):
            asked = kind()
            asked.MessageID = 9
            for keyword in ("AffectedSOPClassUID", "RequestedSOPClassUID"):
                if hasattr(asked, keyword):
                    setattr(asked, keyword, ModalityPerformedProcedureStep)
            for keyword in ("AffectedSOPInstanceUID", "RequestedSOPInstanceUID"):
                if hasattr(asked, keyword):
                    setattr(asked, keyword, UID)
            for keyword in ("ActionTypeID", "EventTypeID"):
                if hasattr(asked, keyword):
                    setattr(asked, keyword, 1)
            made.append(asked)
        return made

    def test_mp36_are_refused_with_0211_and_the_association_stays(self, unit: Unit, item: WorklistItem) -> None:
        with unit.associated() as association:
            for asked in self.requests():
                assert ask_by_hand(association, asked).Status == 0x0211
            assert association.send_c_echo().Status == 0x0000
            assert create(association, UID, creation(item)).Status == 0x0000

    def test_of_another_sop_class_in_this_context_are_refused_with_0118(self, unit: Unit) -> None:
        asked = an_n_create(UID)
        asked.AffectedSOPClassUID = Verification
        with unit.associated() as association:
            assert ask_by_hand(association, asked).Status == 0x0118
            assert association.send_c_echo().Status == 0x0000


@pytest.mark.once
class TestTheUid:
    @pytest.mark.parametrize("asked", [an_n_create(None), an_n_set(None), an_n_create("MAMMO1"), an_n_set("1..2")])
    def test_that_is_missing_or_invalid_is_refused_with_0117_and_the_association_stays(
        self, unit: Unit, asked: N_CREATE | N_SET
    ) -> None:
        with unit.associated() as association:
            assert ask_by_hand(association, asked).Status == 0x0117
            assert association.send_c_echo().Status == 0x0000
        assert nothing_is_stored()

    def test_that_is_too_long_is_refused_with_0117(self, unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = an_n_create(None)
        asked._affected_sop_instance_uid = "1." + "2" * 70  # type: ignore[assignment]  # pynetdicom would refuse it
        with unit.associated() as association:
            assert ask_by_hand(association, asked).Status == 0x0117

    def test_may_have_components_with_leading_zeros(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create("1.2.03.0045", creation(item)).Status == 0x0000
        assert unit.set("1.2.03.0045", final_change()).Status == 0x0000
        assert status_of(item) == "COMPLETED"


@pytest.mark.once
class TestBytes:
    @pytest.mark.parametrize("data", [b"\x00", b"NHS number 9990000018", b"\xff" * 200, b"\x08\x00\x05\x00CS\xff\xff"])
    def test_that_are_no_data_set_are_refused_and_the_association_stays(
        self, unit: Unit, begun: str, data: bytes
    ) -> None:
        with unit.associated() as association:
            assert ask_by_hand(association, an_n_create(ANOTHER_UID, data)).Status in (0x0110, 0x0120)
            assert ask_by_hand(association, an_n_set(begun, data)).Status in (0x0110, 0x0120, 0x0000)
            assert association.send_c_echo().Status == 0x0000
        assert PerformedProcedureStep.objects.get().status == "IN PROGRESS"

    def test_of_nul_in_a_text_are_dropped(self, unit: Unit, item: WorklistItem) -> None:
        """PostgreSQL would refuse a row with them."""
        odd = creation(
            item, scheduled_step(item, AccessionNumber="A\0B"), PerformedProcedureStepID="P\0S", PerformedLocation="\0"
        )
        assert unit.create(UID, odd).Status == 0x0000
        assert status_of(item) == "IN PROGRESS"

    def test_that_are_no_number_lose_only_their_element(self, unit: Unit, item: WorklistItem) -> None:
        report = creation(item)
        data = encoded(report) + b"\x54\x00\x00\x13DS\x02\x00xy"  # not a number
        with unit.associated([ExplicitVRLittleEndian]) as association:
            assert ask_by_hand(association, an_n_create(UID, data)).Status == 0x0000
        assert status_of(item) == "IN PROGRESS"


@pytest.mark.once
class TestTheAssociationPolicy:
    def test_is_checked_at_each_report(self, transactional_db: None) -> None:
        """Refused with 0124, and the reason as the Error Comment."""
        modality = Modality.objects.create(ae_title="MAMMO1")
        item = create_item()
        with serving() as running, Unit(port_of(running)).associated() as association:
            assert create(association, UID, creation(item)).Status == 0x0000
            Modality.objects.filter(pk=modality.pk).update(is_allowed=False)
            for answer in (create(association, ANOTHER_UID, creation(item)), change(association, UID, final_change())):
                assert (answer.Status, answer.ErrorComment) == (0x0124, "Refused: the modality is not allowed")
        assert status_of(item) == "IN PROGRESS"


@pytest.mark.once
class TestTheLog:
    def test_has_the_modality_and_the_status_of_each_report(
        self, unit: Unit, item: WorklistItem, log: LogLines
    ) -> None:
        unit.create(UID, creation(item))
        unit.create(UID, creation(item))
        for status in ("0000", "0111"):
            line = vars(log.wait_for("procedure step reported"))
            assert (line["operation"], line["calling_ae_title"], line["address"]) == ("N-CREATE", "MAMMO1", "127.0.0.1")
            assert (line["sop_instance_uid"], line["status"]) == (UID, status)
            assert line["ms"] >= 0

    def test_has_no_personal_data(self, unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG", "worklist")
        item = create_item(patient_id="9990000018", patient_name="O'BRIEN^ZOE")
        report = creation(item, PatientName="O'BRIEN^ZOE", PatientBirthDate="19430607")
        unit.create(UID, report)
        unit.create(UID, creation(item, PerformedProcedureStepStatus="9990000018"))
        unit.create(ANOTHER_UID, creation(item, PatientID="9990000026", PatientName="O'BRIEN^ZOE"))
        unit.set(UID, final_change(PatientName="O'BRIEN^ZOE", PerformedProcedureStepEndDate="O'BRIEN"))
        written = " ".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
        assert "procedure step reported" in written
        assert not [value for value in ("BRIEN", "99900000", "19430607", "ROSE") if value in written]

    def test_has_the_traceback_of_an_unexpected_fault_and_nothing_is_stored(
        self, unit: Unit, item: WorklistItem, caplog: pytest.LogCaptureFixture
    ) -> None:
        with broken_audit_log():
            answer = unit.create(UID, creation(item))
        assert (answer.Status, answer.ErrorComment) == (0x0110, "Fault in the gateway, see its log")
        (fault,) = (record for record in caplog.records if record.levelname == "ERROR")
        assert fault.exc_info
        assert nothing_is_stored()
        assert unit.create(UID, creation(item)).Status == 0x0000


#: The SQL that makes the audit log refuse every row, and the SQL that undoes it.
BROKEN = {
    "sqlite": (
        "CREATE TRIGGER broken BEFORE INSERT ON core_auditlog BEGIN SELECT RAISE(ABORT, 'broken'); END",
        "DROP TRIGGER broken",
    ),
    "postgresql": (
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'broken'; END $$; "
        "CREATE TRIGGER broken BEFORE INSERT ON core_auditlog FOR EACH ROW EXECUTE FUNCTION broken()",
        "DROP TRIGGER broken ON core_auditlog; DROP FUNCTION broken",
    ),
}


@contextmanager
def broken_audit_log() -> Iterator[None]:
    """Make the database refuse every row of the audit log inside the block."""
    break_it, mend_it = BROKEN[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(break_it)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(mend_it)
