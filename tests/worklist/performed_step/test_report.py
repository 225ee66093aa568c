"""Read and check the reports of modalities, without a database."""

from datetime import date, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from core.contract import load_schema
from core.models import fitting
from tests.dicom.requests import dataset
from tests.worklist.performed_step.reports import by_number, creation, final_change, series
from worklist.models import PerformedProcedureStep
from worklist.performed_step.identity import ScheduledStep, is_same_patient
from worklist.performed_step.report import (
    FIXED,
    REQUIRED,
    SCHEDULED_STEPS,
    STATUS,
    AttributeFault,
    ReportRefused,
    accept_creation,
    accept_end,
    apply_change,
    decode_report,
    fields_of,
    from_json,
    scheduled_steps,
    status_of,
    to_json,
    with_end,
)

NOW = {"PerformedProcedureStepEndDate": "20261124", "PerformedProcedureStepEndTime": "090000"}


def refusal(report: Any, *, strict: bool = False) -> ReportRefused:
    """Check an N-CREATE that must be refused; return the refusal."""
    with pytest.raises(ReportRefused) as refused:
        accept_creation(report, strict=strict)
    return refused.value


class TestAnNCreate:
    @pytest.mark.parametrize("strict", [False, True])
    def test_with_all_attributes_is_accepted_without_a_flag(self, strict: bool) -> None:
        assert accept_creation(creation(by_number("A1")), strict=strict) == []

    @pytest.mark.parametrize(
        ("keyword", "value", "fault"),
        [
            (STATUS, None, AttributeFault.MISSING),
            (SCHEDULED_STEPS, None, AttributeFault.MISSING),
            (STATUS, "", AttributeFault.WITHOUT_VALUE),
            (STATUS, "COMPLETED", AttributeFault.INVALID),
            (STATUS, "FOO", AttributeFault.INVALID),
        ],
    )
    @pytest.mark.parametrize("strict", [False, True])
    def test_is_refused_for_this_from_any_modality(
        self,
        keyword: str,
        value: Any,
        fault: AttributeFault,
        strict: bool,
    ) -> None:
        refused = refusal(creation(by_number("A1"), **{keyword: value}), strict=strict)
        assert (refused.fault, refused.keywords) == (fault, (keyword,))

    @pytest.mark.parametrize("keyword", sorted(set(REQUIRED) - {STATUS, SCHEDULED_STEPS}))
    def test_without_a_type_1_attribute_is_flagged_or_refused_from_a_strict_modality(self, keyword: str) -> None:
        report = creation(by_number("A1"), **{keyword: None})
        assert accept_creation(report, strict=False) == [keyword]
        refused = refusal(report, strict=True)
        assert (refused.fault, refused.keywords, len(refused.tags)) == (AttributeFault.MISSING, (keyword,), 1)

    def test_a_refusal_names_everything_that_is_missing(self) -> None:
        missing = ("PerformedProcedureStepID", "PerformedStationAETitle", "Modality", STATUS)
        refused = refusal(creation(by_number("A1"), **dict.fromkeys(missing)), strict=True)
        assert set(refused.keywords) == set(missing)

    @pytest.mark.parametrize("keyword", ["Modality", "PerformedStationAETitle", "PerformedProcedureStepStartDate"])
    def test_with_an_empty_type_1_attribute_is_flagged_or_refused_from_a_strict_modality(self, keyword: str) -> None:
        report = creation(by_number("A1"), **{keyword: ""})
        assert accept_creation(report, strict=False) == [keyword]
        assert refusal(report, strict=True).fault is AttributeFault.WITHOUT_VALUE

    def test_with_an_invalid_date_is_flagged_or_refused_from_a_strict_modality(self) -> None:
        report = creation(by_number("A1"), PerformedProcedureStepStartDate="20261345")
        assert accept_creation(report, strict=False) == ["PerformedProcedureStepStartDate"]
        assert refusal(report, strict=True).fault is AttributeFault.INVALID

    def test_with_an_empty_sequence_of_scheduled_steps_is_flagged(self) -> None:
        assert accept_creation(creation(), strict=False) == [SCHEDULED_STEPS]

    def test_without_a_study_instance_uid_is_flagged(self) -> None:
        assert accept_creation(creation(dataset(AccessionNumber="A1")), strict=False) == ["StudyInstanceUID"]

    @pytest.mark.parametrize("status", ["in progress", "IN PROGRESS ", "In Progress"])
    def test_may_have_its_status_in_any_case_and_with_spaces(self, status: str) -> None:
        assert accept_creation(creation(by_number("A1"), **{STATUS: status}), strict=True) == []

    def test_a_refusal_names_attributes_and_no_values(self) -> None:
        refused = refusal(creation(by_number("A1"), **{STATUS: "SMITH"}))
        assert str(refused) == f"{STATUS} has an invalid value"


class TestAnNSet:
    def stored(self) -> Dataset:
        """Return what an N-CREATE has stored."""
        return creation(by_number("A1"), PatientName="SMITH^JANE")

    def test_replaces_its_attributes_and_leaves_the_others(self) -> None:
        combined, ignored = apply_change(self.stored(), final_change(), strict=True)
        assert (status_of(combined), combined.PerformedProcedureStepID, ignored) == ("COMPLETED", "PPS1", [])

    def test_replaces_a_whole_sequence(self) -> None:
        first, _ = apply_change(self.stored(), dataset(PerformedSeriesSequence=[series(images=1)]), strict=True)
        second, _ = apply_change(
            first, dataset(PerformedSeriesSequence=[series(images=2), series(images=3)]), strict=True
        )
        assert (fields_of(second)["series"], fields_of(second)["images"]) == (2, 5)

    def test_without_a_status_leaves_the_status(self) -> None:
        combined, _ = apply_change(self.stored(), dataset(PerformedSeriesSequence=[series()]), strict=True)
        assert status_of(combined) == "IN PROGRESS"

    @pytest.mark.parametrize(("status", "fault"), [("", AttributeFault.WITHOUT_VALUE), ("FOO", AttributeFault.INVALID)])
    def test_with_an_empty_or_unknown_status_is_refused(self, status: str, fault: AttributeFault) -> None:
        with pytest.raises(ReportRefused) as refused:
            apply_change(self.stored(), dataset(**{STATUS: status}), strict=False)
        assert (refused.value.fault, refused.value.keywords) == (fault, (STATUS,))

    @pytest.mark.parametrize("keyword", ["PatientName", "PatientID", "PerformedStationAETitle", "StudyID"])
    def test_of_a_fixed_attribute_is_ignored_or_refused_from_a_strict_modality(self, keyword: str) -> None:
        stored = self.stored()
        before = stored.get(keyword)
        combined, ignored = apply_change(stored, final_change(**{keyword: "OTHER"}), strict=False)
        assert (combined.get(keyword), ignored) == (before, [keyword])
        with pytest.raises(ReportRefused) as refused:
            apply_change(self.stored(), final_change(**{keyword: "OTHER"}), strict=True)
        assert (refused.value.fault, refused.value.keywords) == (AttributeFault.UNKNOWN, (keyword,))

    def test_may_repeat_a_fixed_attribute(self) -> None:
        _, ignored = apply_change(self.stored(), final_change(PatientName="SMITH^JANE"), strict=False)
        assert ignored == []

    def test_from_a_strict_modality_sets_only_what_was_created(self) -> None:
        with pytest.raises(ReportRefused) as refused:
            apply_change(self.stored(), final_change(EntranceDoseInmGy="5"), strict=True)
        assert refused.value.keywords == ("EntranceDoseInmGy",)
        combined, _ = apply_change(self.stored(), final_change(EntranceDoseInmGy="5"), strict=False)
        assert combined.EntranceDoseInmGy == 5

    def test_may_carry_the_uids_of_the_command(self) -> None:
        combined, ignored = apply_change(
            self.stored(), final_change(SOPClassUID="1.2", SOPInstanceUID="1.3"), strict=True
        )
        assert ("SOPClassUID" in combined, ignored) == (False, [])

    def test_leaves_the_stored_data_set_as_it_was(self) -> None:
        stored = self.stored()
        apply_change(stored, final_change(), strict=False)
        assert stored == self.stored()


class TestAFinalReport:
    def test_with_all_attributes_is_accepted(self) -> None:
        assert accept_end(final_change(), strict=True) == []

    @pytest.mark.parametrize(
        ("lacking", "flagged"),
        [
            ({"PerformedSeriesSequence": None}, ["PerformedSeriesSequence"]),
            ({"PerformedSeriesSequence": []}, ["PerformedSeriesSequence"]),
            ({"PerformedProcedureStepEndTime": ""}, ["PerformedProcedureStepEndTime"]),
        ],
    )
    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
    def test_with_missing_attributes_is_flagged_or_refused_from_a_strict_modality(
        self, status: str, lacking: dict[str, Any], flagged: list[str]
    ) -> None:
        assert accept_end(final_change(status, **lacking), strict=False) == flagged
        with pytest.raises(ReportRefused) as refused:
            accept_end(final_change(status, **lacking), strict=True)
        assert refused.value.fault is AttributeFault.WITHOUT_VALUE

    def test_needs_no_end_while_it_is_in_progress(self) -> None:
        assert accept_end(creation(), strict=True) == []

    def test_without_an_end_ends_at_the_time_of_receipt(self) -> None:
        report = with_end(final_change(PerformedProcedureStepEndDate=None, PerformedProcedureStepEndTime="99"), NOW)
        assert fields_of(report)["end_date"] == date(2026, 11, 24)
        assert fields_of(report)["end_time"] == time(9)

    def test_with_an_end_keeps_it(self) -> None:
        assert fields_of(with_end(final_change(), NOW))["end_time"] == time(14, 36, 40)

    def test_gets_no_end_while_it_is_in_progress(self) -> None:
        assert fields_of(with_end(creation(), NOW))["end_date"] is None


class TestReading:
    def test_finds_the_fields(self) -> None:
        reason = dataset(CodeValue="110501", CodingSchemeDesignator="DCM", CodeMeaning="Equipment failure")
        report = creation(
            by_number("A1"),
            PatientID="999 000 0018",
            EntranceDoseInmGy="5.1",
            PerformedSeriesSequence=[series(images=2), series(images=3)],
            PerformedProcedureStepDiscontinuationReasonCodeSequence=[reason],
        )
        fields = fields_of(report)
        assert (fields["series"], fields["images"], fields["dose"]) == (2, 5, "EntranceDoseInmGy: 5.1")
        assert fields["discontinuation_reason"] == "Equipment failure (110501 DCM)"
        assert (fields["start_date"], fields["start_time"]) == (date(2026, 11, 23), time(14, 31, 7))
        assert (fields["patient_id"], fields["operators"]) == ("999 000 0018", "RADIOGRAPHER^ROSE")

    def test_finds_nothing_in_an_empty_report(self) -> None:
        fields = fields_of(Dataset())
        assert not any(value for name, value in fields.items() if name != "data_set")

    @given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
    def test_cuts_each_value_to_the_length_of_its_field(self, text: str) -> None:
        keywords = ("PerformedProcedureStepID", "PerformedStationAETitle", "PerformedStationName", "PatientID")
        fields = fitting(PerformedProcedureStep, **fields_of(dataset(**dict.fromkeys(keywords, text))))
        for name in ("performed_procedure_step_id", "station_ae_title", "station_name", "patient_id"):
            assert len(fields[name]) <= getattr(PerformedProcedureStep._meta.get_field(name), "max_length", 0)

    def test_finds_each_scheduled_step_once(self) -> None:
        report = creation(by_number("A1"), by_number("A2"), by_number("A1"))
        assert [each.accession_number for each in scheduled_steps(report)] == ["A1", "A2"]

    def test_knows_that_a_step_with_only_a_study_uid_names_no_item(self) -> None:
        assert ScheduledStep("1.2.3").names_nothing
        assert not ScheduledStep("1.2.3", scheduled_procedure_step_id="SPS1").names_nothing

    def test_stores_the_report_in_unicode(self) -> None:
        report = creation(by_number("A1"), PatientName="MÜLLER^ZOË")
        report.SpecificCharacterSet = "ISO_IR 100"
        kept = from_json(to_json(report))
        assert (str(kept.PatientName), kept.SpecificCharacterSet) == ("MÜLLER^ZOË", "ISO_IR 192")


class TestDecoding:
    def test_drops_only_the_element_that_is_not_a_number(self) -> None:
        report = dataset(PatientID="1")
        with config.disable_value_validation():
            report.add(DataElement("EntranceDoseInmGy", "DS", "1"))
            report["EntranceDoseInmGy"]._value = b"\xff\xfe"
        found, lost = decode_report(report)
        assert (found.get("PatientID"), lost) == ("1", ["EntranceDoseInmGy"])

    def test_reads_an_n_set_in_the_character_set_of_the_n_create(self) -> None:
        changes = dataset(PerformedProcedureStepStatus="IN PROGRESS")
        _, lost = decode_report(changes, "ISO_IR 100")
        assert (changes.SpecificCharacterSet, lost) == ("ISO_IR 100", [])


class TestPatientIds:
    @pytest.mark.parametrize(
        ("one", "other"),
        [("9990000018", "999 000 0018"), ("9990000018", "999-000-0018"), ("P1", "P1"), ("", "P1"), ("P1", "")],
    )
    def test_may_be_of_the_same_patient(self, one: str, other: str) -> None:
        assert is_same_patient(one, other)

    @pytest.mark.parametrize(("one", "other"), [("9990000018", "9990000026"), ("P1", "P 1"), ("P1", "p1")])
    def test_may_be_of_different_patients(self, one: str, other: str) -> None:
        assert not is_same_patient(one, other)


def test_a_report_to_manage_has_the_keys_of_the_contract() -> None:
    report = PerformedProcedureStep(status="IN PROGRESS").report()
    assert list(report) == load_schema("gateway_reply")["$defs"]["performed"]["required"]


def test_attributes_that_identify_the_step_may_not_be_set() -> None:
    assert {"PatientID", "PatientName", SCHEDULED_STEPS, "Modality"} <= FIXED
    assert not {STATUS, "PerformedSeriesSequence"} & FIXED
