"""The checks MP1 to MP40 of performed procedure steps (PS3.4 section F.7.2): a real server, a real modality, a real
database.

MP8 to MP13 and MP24 to MP27 are in test_mpps_items.py, the modality that is held to every rule in test_mpps_strict.py.
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


def state_of(item: WorklistItem) -> str:
    """As it is now."""
    item.refresh_from_db()
    return item.status


def step(uid: str = UID) -> PerformedProcedureStep:
    """As it is stored."""
    return PerformedProcedureStep.objects.get(sop_instance_uid=uid)


def kept(uid: str = UID) -> Dataset:
    """All that the modality has sent."""
    return from_json(step(uid).data_set)


def nothing_is_stored() -> bool:
    """Neither a step nor a change nor an exception."""
    return not any(model.objects.exists() for model in (PerformedProcedureStep, ItemChange, MppsException))


def reasons() -> list[str]:
    """Of the exceptions that there are."""
    return sorted(MppsException.objects.values_list("reason", flat=True))


class TestNCreate:
    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    def test_mp1_puts_the_item_in_progress(self, unit: Unit, item: WorklistItem, syntax: uid.UID) -> None:
        with unit.associated([syntax]) as association:
            answer = create(association, UID, creation(item))
        assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0000, UID)
        assert answer.CommandDataSetType == 0x0101
        assert state_of(item) == "IN PROGRESS"
        assert (step().calling_ae_title, step().address, step().start_date) == (
            "MAMMO1",
            "127.0.0.1",
            date(2026, 11, 23),
        )
        assert not MppsException.objects.exists()

    def test_mp2_with_a_uid_that_is_known_is_a_duplicate_and_changes_nothing(
        self, unit: Unit, item: WorklistItem, begun: str
    ) -> None:
        another = create_item(accession_number="A002")
        answer = unit.create(begun, creation(another, PerformedProcedureStepID="PPS2"))
        assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0111, begun)
        assert (state_of(item), state_of(another)) == ("IN PROGRESS", "SCHEDULED")
        assert step().performed_procedure_step_id == "PPS1"

    def test_mp3_ten_times_at_once_is_stored_once(self, unit: Unit, item: WorklistItem) -> None:
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
    def test_mp4_in_another_state_than_in_progress_is_refused(
        self, unit: Unit, item: WorklistItem, status: str
    ) -> None:
        answer = unit.create(UID, creation(item, PerformedProcedureStepStatus=status))
        assert answer.Status == 0x0106
        assert answer.ErrorComment == "PerformedProcedureStepStatus has an invalid value"
        assert nothing_is_stored()
        assert state_of(item) == "SCHEDULED"

    def test_mp5_without_a_status_is_refused_and_says_what_is_missing(self, unit: Unit, item: WorklistItem) -> None:
        answer = unit.create(UID, without(creation(item), "PerformedProcedureStepStatus"))
        assert (answer.Status, answer.AttributeIdentifierList) == (0x0120, 0x00400252)
        assert nothing_is_stored()

    def test_mp5_with_an_empty_status_is_refused(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(UID, creation(item, PerformedProcedureStepStatus="")).Status == 0x0121
        assert nothing_is_stored()

    def test_mp5_without_the_steps_that_it_is_about_is_refused(self, unit: Unit, item: WorklistItem) -> None:
        answer = unit.create(UID, without(creation(item), "ScheduledStepAttributesSequence"))
        assert (answer.Status, answer.AttributeIdentifierList) == (0x0120, 0x00400270)
        assert nothing_is_stored()

    def test_mp6_that_names_nothing_is_stored_as_unscheduled(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(UID, creation(unscheduled_step())).Status == 0x0000
        assert reasons() == [Reason.UNSCHEDULED]
        assert state_of(item) == "SCHEDULED"

    def test_mp7_which_may_be_completed(self, unit: Unit, item: WorklistItem) -> None:
        unit.create(UID, creation(unscheduled_step()))
        assert unit.set(UID, final_change()).Status == 0x0000
        assert step().status == "COMPLETED"
        assert state_of(item) == "SCHEDULED"

    def test_mp23_that_lacks_attributes_is_stored_and_flagged(self, unit: Unit, item: WorklistItem) -> None:
        lacking = ("PerformedStationAETitle", "PerformedProcedureStepID", "PerformedProcedureStepStartDate", "Modality")
        assert unit.create(UID, without(creation(item), *lacking)).Status == 0x0000
        (exception,) = MppsException.objects.all()
        assert exception.reason == Reason.MISSING_ATTRIBUTES
        assert set(exception.detail.split(", ")) == set(lacking)
        assert state_of(item) == "IN PROGRESS"

    def test_mp35_about_an_item_that_no_action_has_made(self, unit: Unit) -> None:
        item = create_item(correlation_id="")
        assert unit.create(UID, creation(item)).Status == 0x0000
        assert unit.set(UID, final_change()).Status == 0x0000
        assert state_of(item) == "COMPLETED"

    def test_mp37_about_a_step_without_an_accession_number_is_stored(self, unit: Unit, item: WorklistItem) -> None:
        named = without(scheduled_step(item), "AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID")
        assert unit.create(UID, creation(named)).Status == 0x0000
        assert step().sop_instance_uid == UID

    def test_mp39_with_the_least_that_there_can_be(self, unit: Unit, item: WorklistItem) -> None:
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
        assert state_of(item) == "IN PROGRESS"


class TestNSet:
    def test_mp15_without_a_status_leaves_it_in_progress(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, dataset(PerformedSeriesSequence=[series(images=2)])).Status == 0x0000
        assert (state_of(item), step().series, step().images) == ("IN PROGRESS", 1, 2)

    def test_mp16_may_say_in_progress_once_more(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, dataset(PerformedProcedureStepStatus="IN PROGRESS")).Status == 0x0000
        assert state_of(item) == "IN PROGRESS"

    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
    def test_mp17_after_the_end_is_refused(self, unit: Unit, item: WorklistItem, begun: str, status: str) -> None:
        answer = unit.set(begun, final_change())
        assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0000, begun)
        refused = unit.set(begun, final_change(status))
        assert (refused.Status, refused.ErrorID, refused.ErrorComment) == (0x0110, 0xA710, IS_FINAL)
        assert state_of(item) == step().status == "COMPLETED"

    def test_mp18_of_a_uid_that_nobody_has_created_is_refused(self, unit: Unit) -> None:
        answer = unit.set(UID, final_change())
        assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0112, UID)
        assert nothing_is_stored()

    def test_mp19_with_a_status_that_there_is_not_is_refused(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, final_change("FOO")).Status == 0x0106
        assert (state_of(item), step().series) == ("IN PROGRESS", 0)

    @pytest.mark.parametrize("status", ["completed", "COMPLETED "])
    def test_mp20_may_write_its_status_otherwise(self, unit: Unit, item: WorklistItem, begun: str, status: str) -> None:
        assert unit.set(begun, final_change(status)).Status == 0x0000
        assert state_of(item) == "COMPLETED"

    def test_mp21_that_ends_without_series_or_time_is_stored_and_flagged(
        self, unit: Unit, item: WorklistItem, begun: str
    ) -> None:
        assert unit.set(begun, dataset(PerformedProcedureStepStatus="COMPLETED")).Status == 0x0000
        assert state_of(item) == "COMPLETED"
        assert reasons() == [Reason.MISSING_ATTRIBUTES]
        assert step().ended_at is not None  # when it came

    def test_mp22_cannot_make_it_another_womans(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, final_change(PatientName="JONES^ANN", PatientID="9990000018")).Status == 0x0000
        assert (kept().PatientName, step().patient_id) == ("SMITH^JANE", item.patient_id)
        assert reasons() == [Reason.IGNORED_ATTRIBUTES, Reason.WRONG_PATIENT]
        assert state_of(item) == "COMPLETED"

    def test_mp28_is_read_in_the_character_set_of_the_n_create(self, unit: Unit, item: WorklistItem) -> None:
        unit.create(UID, creation(item, SpecificCharacterSet="ISO_IR 100"))
        changes = final_change(
            SpecificCharacterSet="ISO_IR 100", PerformedSeriesSequence=[series(SeriesDescription="Über")]
        )
        assert unit.set(UID, changes).Status == 0x0000
        assert kept().PerformedSeriesSequence[0].SeriesDescription == "Über"

    def test_mp29_replaces_the_whole_sequence(self, unit: Unit, begun: str) -> None:
        unit.set(begun, dataset(PerformedSeriesSequence=[series(7)]))
        unit.set(begun, dataset(PerformedSeriesSequence=[series(8), series(9)]))
        assert [each.SeriesInstanceUID for each in kept().PerformedSeriesSequence] == ["1.2.3.8", "1.2.3.9"]
        assert (step().series, step().images) == (2, 2)

    def test_mp30_may_bring_eight_series_and_the_dose(self, unit: Unit, begun: str) -> None:
        eight = [series(number, images=5) for number in range(8)]
        dose: dict[str, Any] = {"EntranceDose": 7, "ImageAndFluoroscopyAreaDoseProduct": "1.25"}
        assert unit.set(begun, final_change(PerformedSeriesSequence=eight, **dose)).Status == 0x0000
        assert (step().series, step().images) == (8, 40)
        assert step().dose.splitlines() == ["ImageAndFluoroscopyAreaDoseProduct: 1.25", "EntranceDose: 7"]

    def test_mp38_of_nothing_changes_nothing(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        """Without a data set, with one of no bytes, and with one that says only how its texts are to be read."""
        before = step().data_set
        announced = an_n_set(begun)
        announced.ModificationList = BytesIO()
        with unit.associated() as association:
            answers = [
                ask_by_hand(association, an_n_set(begun)),
                ask_by_hand(association, announced, LAST_FRAGMENT),
                change(association, begun, dataset(SpecificCharacterSet="ISO_IR 192")),
            ]
            assert [answer.Status for answer in answers] == [0x0120] * 3
            assert association.send_c_echo().Status == 0x0000
        assert (state_of(item), step().data_set) == ("IN PROGRESS", before)

    def test_mp40_may_say_again_when_it_began_and_which_class_it_is(
        self, unit: Unit, item: WorklistItem, begun: str
    ) -> None:
        again = {
            "PerformedProcedureStepStartDate": "20261124",
            "PerformedProcedureStepStartTime": "150000",
            "SOPClassUID": ModalityPerformedProcedureStep,
        }
        assert unit.set(begun, without(final_change(**again), "PerformedSeriesSequence")).Status == 0x0000
        assert state_of(item) == "COMPLETED"
        assert step().start_date == date(2026, 11, 23)


def an_n_set(uid: str | None, data: bytes = b"") -> N_SET:
    """An N-SET-RQ that is sent by hand."""
    asked = N_SET()
    asked.MessageID, asked.RequestedSOPClassUID, asked.RequestedSOPInstanceUID = 7, ModalityPerformedProcedureStep, uid
    asked.ModificationList = BytesIO(data) if data else None
    return asked


def an_n_create(uid: str | None, data: bytes = b"") -> N_CREATE:
    """An N-CREATE-RQ that is sent by hand."""
    asked = N_CREATE()
    asked.MessageID, asked.AffectedSOPClassUID, asked.AffectedSOPInstanceUID = 7, ModalityPerformedProcedureStep, uid
    asked.AttributeList = BytesIO(data) if data else None
    return asked


class TestTheWorklist:
    def test_mp33_shows_what_is_in_progress_as_started_and_no_longer_what_is_done(
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

    def test_mp14_no_longer_shows_what_was_discontinued(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        why = final_change("DISCONTINUED", PerformedProcedureStepDiscontinuationReasonCodeSequence=[EQUIPMENT_FAILURE])
        assert unit.set(begun, why).Status == 0x0000
        assert state_of(item) == "DISCONTINUED"
        assert step().discontinuation_reason == "Equipment failure (110501 DCM)"
        assert unit.ask(request(AccessionNumber="")).rows == []


class TestTheDatabase:
    def test_mp31_that_is_away_is_0110_and_the_same_report_is_taken_later(
        self, unit: Unit, item: WorklistItem, database_away: Callable[[], AbstractContextManager[None]]
    ) -> None:
        with unit.associated() as association:
            with database_away():
                answer = create(association, UID, creation(item))
            assert (answer.Status, answer.ErrorComment) == (0x0110, "Database not available, try again")
            assert create(association, UID, creation(item)).Status == 0x0000
        assert state_of(item) == "IN PROGRESS"

    def test_mp31_that_is_away_is_0110_at_the_end_too(
        self, unit: Unit, item: WorklistItem, begun: str, database_away: Callable[[], AbstractContextManager[None]]
    ) -> None:
        with unit.associated() as association:
            with database_away():
                answer = change(association, begun, final_change())
            assert (answer.Status, "ErrorID" in answer) == (0x0110, False)
            assert change(association, begun, final_change()).Status == 0x0000
        assert state_of(item) == "COMPLETED"

    def test_mp32_has_what_was_reported_by_one_that_has_gone_before_its_answer(
        self, unit: Unit, item: WorklistItem, log: LogLines
    ) -> None:
        with unit.associated() as association:
            context_id = association.accepted_contexts[-1].context_id
            assert context_id
            association.dimse.send_msg(an_n_create(UID, encoded(creation(item))), context_id)
            log.wait_for("procedure step reported")
            association.abort()
        assert unit.create(UID, creation(item)).Status == 0x0111
        assert state_of(item) == "IN PROGRESS"

    def test_gets_its_connections_back(
        self, unit: Unit, item: WorklistItem, begun: str, no_connection_left: Callable[[], bool]
    ) -> None:
        unit.set(begun, final_change())
        assert no_connection_left()


def encoded(made: Dataset) -> bytes:
    """As pynetdicom sends it to this server."""
    return encode(made, is_implicit_vr=False, is_little_endian=True) or b""


class TestOtherRequests:
    def requests(self) -> list[object]:
        """What the SOP class does not have."""
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

    def test_mp36_are_0211_and_the_association_lives(self, unit: Unit, item: WorklistItem) -> None:
        with unit.associated() as association:
            for asked in self.requests():
                assert ask_by_hand(association, asked).Status == 0x0211
            assert association.send_c_echo().Status == 0x0000
            assert create(association, UID, creation(item)).Status == 0x0000

    def test_of_another_class_in_this_context_are_0118(self, unit: Unit) -> None:
        asked = an_n_create(UID)
        asked.AffectedSOPClassUID = Verification
        with unit.associated() as association:
            assert ask_by_hand(association, asked).Status == 0x0118
            assert association.send_c_echo().Status == 0x0000


class TestTheUid:
    @pytest.mark.parametrize("asked", [an_n_create(None), an_n_set(None), an_n_create("MAMMO1"), an_n_set("1..2")])
    def test_that_is_none_is_0117_and_the_association_lives(self, unit: Unit, asked: N_CREATE | N_SET) -> None:
        with unit.associated() as association:
            assert ask_by_hand(association, asked).Status == 0x0117
            assert association.send_c_echo().Status == 0x0000
        assert nothing_is_stored()

    def test_that_is_too_long_is_0117(self, unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = an_n_create(None)
        asked._affected_sop_instance_uid = "1." + "2" * 70  # type: ignore[assignment]  # past the library's own check
        with unit.associated() as association:
            assert ask_by_hand(association, asked).Status == 0x0117

    def test_may_have_leading_zeros_as_some_machines_make_them(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create("1.2.03.0045", creation(item)).Status == 0x0000
        assert unit.set("1.2.03.0045", final_change()).Status == 0x0000
        assert state_of(item) == "COMPLETED"


class TestBytes:
    @pytest.mark.parametrize("data", [b"\x00", b"NHS number 9990000018", b"\xff" * 200, b"\x08\x00\x05\x00CS\xff\xff"])
    def test_that_are_no_data_set_are_refused_and_the_association_lives(
        self, unit: Unit, begun: str, data: bytes
    ) -> None:
        with unit.associated() as association:
            assert ask_by_hand(association, an_n_create(ANOTHER_UID, data)).Status in (0x0110, 0x0120)
            assert ask_by_hand(association, an_n_set(begun, data)).Status in (0x0110, 0x0120, 0x0000)
            assert association.send_c_echo().Status == 0x0000
        assert PerformedProcedureStep.objects.get().status == "IN PROGRESS"

    def test_of_nul_in_a_text_cost_nothing(self, unit: Unit, item: WorklistItem) -> None:
        """PostgreSQL would refuse the row."""
        odd = creation(
            item, scheduled_step(item, AccessionNumber="A\0B"), PerformedProcedureStepID="P\0S", PerformedLocation="\0"
        )
        assert unit.create(UID, odd).Status == 0x0000
        assert state_of(item) == "IN PROGRESS"

    def test_that_an_element_cannot_be_read_from_cost_this_element(self, unit: Unit, item: WorklistItem) -> None:
        report = creation(item)
        data = encoded(report) + b"\x54\x00\x00\x13DS\x02\x00xy"  # a number that is none
        with unit.associated([ExplicitVRLittleEndian]) as association:
            assert ask_by_hand(association, an_n_create(UID, data)).Status == 0x0000
        assert state_of(item) == "IN PROGRESS"


class TestTheDoor:
    def test_is_asked_again_at_each_report(self, transactional_db: None) -> None:
        """0124, with the reason as its Error Comment."""
        modality = Modality.objects.create(ae_title="MAMMO1")
        item = create_item()
        with serving() as running, Unit(port_of(running)).associated() as association:
            assert create(association, UID, creation(item)).Status == 0x0000
            Modality.objects.filter(pk=modality.pk).update(is_allowed=False)
            for answer in (create(association, ANOTHER_UID, creation(item)), change(association, UID, final_change())):
                assert (answer.Status, answer.ErrorComment) == (0x0124, "Refused: its modality is not allowed")
        assert state_of(item) == "IN PROGRESS"


class TestTheLine:
    def test_of_a_report_says_who_reported_and_what_became_of_it(
        self, unit: Unit, item: WorklistItem, log: LogLines
    ) -> None:
        unit.create(UID, creation(item))
        unit.create(UID, creation(item))
        for status in ("0000", "0111"):
            line = vars(log.wait_for("procedure step reported"))
            assert (line["operation"], line["calling_ae_title"], line["address"]) == ("N-CREATE", "MAMMO1", "127.0.0.1")
            assert (line["sop_instance_uid"], line["status"]) == (UID, status)
            assert line["ms"] >= 0

    def test_has_nothing_that_tells_who_somebody_is(self, unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
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

    def test_of_what_nobody_has_foreseen_has_the_traceback_and_nothing_is_stored(
        self, unit: Unit, item: WorklistItem, caplog: pytest.LogCaptureFixture
    ) -> None:
        with broken_audit_log():
            answer = unit.create(UID, creation(item))
        assert (answer.Status, answer.ErrorComment) == (0x0110, "Fault in the gateway, see its log")
        (fault,) = (record for record in caplog.records if record.levelname == "ERROR")
        assert fault.exc_info
        assert nothing_is_stored()
        assert unit.create(UID, creation(item)).Status == 0x0000


#: How a table that takes nothing is made, and undone.
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
    """A database that answers, and with a fault."""
    broken, mended = BROKEN[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(broken)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute(mended)
