"""The table of keys is complete, valid DICOM and consistent with the item's model."""

from datetime import date, time

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from core.contract import ItemStatus
from core.value_representations import MAX_LENGTHS
from tests.factories import WorklistItemFactory
from worklist.item_fields import FIELD_LENGTHS, NEVER_EMPTY
from worklist.models.items import WorklistItem
from worklist.query.information_model import (
    NOT_ITEM_FIELDS,
    NOT_KEYS,
    ROOT,
    STATUS_WORDS,
    STEP,
    STEP_KEYWORDS,
    STEP_SEQUENCE,
    Attribute,
    Matching,
    WhenUnknown,
    rows,
)

ROWS = (*ROOT, *STEP)
CODES = [row for _, row in rows() if row.children and row.keyword != STEP_SEQUENCE]
REQUIRED = {
    "ScheduledProcedureStepSequence",
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledPerformingPhysicianName",
    "PatientName",
    "PatientID",
}
ZERO, LEFT_OUT, WARNED = WhenUnknown.ZERO_LENGTH, WhenUnknown.LEFT_OUT, WhenUnknown.WARNED
NOT_SHOWN, WHOLE = WhenUnknown.NOT_SHOWN, WhenUnknown.WHOLE_OR_NONE
CODE = {
    "CodeValue": (0x00080100, "SH", "1C", WHOLE),
    "CodingSchemeDesignator": (0x00080102, "SH", "1C", WHOLE),
    "CodingSchemeVersion": (0x00080103, "SH", "3", LEFT_OUT),
    "CodeMeaning": (0x00080104, "LO", "1", WHOLE),
}
#: Table K.6-1, copied by hand from PS3.4: tag, VR, return type; and what a response does without a value.
TABLE = {
    "ScheduledProcedureStepSequence": (0x00400100, "SQ", "1", ZERO),
    "ScheduledStationAETitle": (0x00400001, "AE", "1", NOT_SHOWN),
    "ScheduledProcedureStepStartDate": (0x00400002, "DA", "1", NOT_SHOWN),
    "ScheduledProcedureStepStartTime": (0x00400003, "TM", "1", NOT_SHOWN),
    "Modality": (0x00080060, "CS", "1", NOT_SHOWN),
    "ScheduledPerformingPhysicianName": (0x00400006, "PN", "2", ZERO),
    "PatientName": (0x00100010, "PN", "1", NOT_SHOWN),
    "PatientID": (0x00100020, "LO", "1", NOT_SHOWN),
    "ScheduledProcedureStepDescription": (0x00400007, "LO", "1C", NOT_SHOWN),
    "ScheduledProtocolCodeSequence": (0x00400008, "SQ", "1C", ZERO),
    "ScheduledProcedureStepID": (0x00400009, "SH", "1", NOT_SHOWN),
    "ScheduledStationName": (0x00400010, "SH", "2", ZERO),
    "ScheduledProcedureStepLocation": (0x00400011, "SH", "2", ZERO),
    "PreMedication": (0x00400012, "LO", "2C", ZERO),
    "RequestedContrastAgent": (0x00321070, "LO", "2C", ZERO),
    "ScheduledProcedureStepStatus": (0x00400020, "CS", "3", ZERO),
    "ReferencedDefinedProtocolSequence": (0x0018990C, "SQ", "3", WARNED),
    "ReferencedPerformedProtocolSequence": (0x0018990D, "SQ", "3", WARNED),
    "ScheduledProcedureStepEndDate": (0x00400004, "DA", "3", WARNED),
    "ScheduledProcedureStepEndTime": (0x00400005, "TM", "3", WARNED),
    "CommentsOnTheScheduledProcedureStep": (0x00400400, "LT", "3", WARNED),
    "ScheduledSpecimenSequence": (0x00400500, "SQ", "3", WARNED),
    "RequestedProcedureID": (0x00401001, "SH", "1", NOT_SHOWN),
    "RequestedProcedureDescription": (0x00321060, "LO", "1C", NOT_SHOWN),
    "RequestedProcedureCodeSequence": (0x00321064, "SQ", "1C", ZERO),
    "StudyInstanceUID": (0x0020000D, "UI", "1", NOT_SHOWN),
    "StudyDate": (0x00080020, "DA", "3", WARNED),
    "StudyTime": (0x00080030, "TM", "3", WARNED),
    "ReferencedStudySequence": (0x00081110, "SQ", "2", ZERO),
    "RequestedProcedurePriority": (0x00401003, "SH", "2", ZERO),
    "PatientTransportArrangements": (0x00401004, "LO", "2", ZERO),
    "AccessionNumber": (0x00080050, "SH", "2", ZERO),
    "IssuerOfAccessionNumberSequence": (0x00080051, "SQ", "3", WARNED),
    "RequestingPhysician": (0x00321032, "PN", "2", ZERO),
    "ReferringPhysicianName": (0x00080090, "PN", "2", ZERO),
    "AdmissionID": (0x00380010, "LO", "2", ZERO),
    "IssuerOfAdmissionIDSequence": (0x00380014, "SQ", "3", ZERO),
    "CurrentPatientLocation": (0x00380300, "LO", "2", ZERO),
    "ReferencedPatientSequence": (0x00081120, "SQ", "2", ZERO),
    "IssuerOfPatientID": (0x00100021, "LO", "3", WARNED),
    "IssuerOfPatientIDQualifiersSequence": (0x00100024, "SQ", "3", WARNED),
    "OtherPatientIDsSequence": (0x00101002, "SQ", "3", WARNED),
    "PatientBirthDate": (0x00100030, "DA", "2", ZERO),
    "PatientSex": (0x00100040, "CS", "2", ZERO),
    "PatientWeight": (0x00101030, "DS", "2", ZERO),
    "PatientSize": (0x00101020, "DS", "3", ZERO),
    "ConfidentialityConstraintOnPatientDataDescription": (0x00403001, "LO", "2", ZERO),
    "PatientState": (0x00380500, "LO", "2", ZERO),
    "MedicalAlerts": (0x00102000, "LO", "2", ZERO),
    "Allergies": (0x00102110, "LO", "2", ZERO),
    "SpecialNeeds": (0x00380050, "LO", "2", ZERO),
    "PregnancyStatus": (0x001021C0, "US", "2", ZERO),
    "PertinentDocumentsSequence": (0x00380100, "SQ", "3", WARNED),
    "BarcodeValue": (0x22000005, "LT", "3", WARNED),
    "SpecificCharacterSet": (0x00080005, "CS", "1C", LEFT_OUT),
    "TimezoneOffsetFromUTC": (0x00080201, "SH", "1C", LEFT_OUT),
    # Beyond the table, as Manage sends them:
    "PatientAddress": (0x00101040, "LO", "3", ZERO),
    "PatientComments": (0x00104000, "LT", "3", ZERO),
}


class TestTheTable:
    def test_the_table_is_table_k_6_1(self) -> None:
        ours = {row.keyword: (row.tag, row.vr, row.return_type, row.when_unknown) for row in ROWS}
        assert ours == TABLE

    @pytest.mark.parametrize("code", CODES, ids=lambda code: code.keyword)
    def test_a_code_follows_the_macro(self, code: Attribute) -> None:
        ours = {row.keyword: (row.tag, row.vr, row.return_type, row.when_unknown) for row in code.children}
        assert ours == CODE

    @pytest.mark.parametrize("row", [row for _, row in rows()], ids=lambda row: row.keyword)
    def test_every_keyword_is_known_to_dicom(self, row: Attribute) -> None:
        assert tag_for_keyword(row.keyword) == row.tag
        assert dictionary_VR(row.tag) == row.vr

    def test_no_keyword_is_in_the_table_twice(self) -> None:
        keywords = [row.keyword for row in ROWS]
        assert len(keywords) == len(set(keywords))

    def test_the_required_matching_keys_are_those_of_table_k_6_1(self) -> None:
        assert {row.keyword for row in ROWS if row.required} == REQUIRED

    def test_every_required_key_is_matched(self) -> None:
        assert all(row.matching is not Matching.NONE for row in ROWS if row.required)

    def test_an_item_is_left_out_without_a_value_of_type_1(self) -> None:
        of_type_1 = [row for row in ROWS if row.return_type == "1" and row.vr != "SQ"]
        assert {row.when_unknown for row in of_type_1} == {NOT_SHOWN}

    def test_an_attribute_of_type_2_is_zero_length_without_a_value(self) -> None:
        assert {row.when_unknown for row in ROWS if row.return_type in ("2", "2C")} == {ZERO}

    def test_some_attributes_are_not_keys(self) -> None:
        assert {"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC"} == NOT_KEYS

    def test_no_keyword_of_the_step_is_also_at_the_root(self) -> None:
        assert {"Modality", "ScheduledProtocolCodeSequence", "ScheduledProcedureStepEndDate"} <= STEP_KEYWORDS
        assert not STEP_KEYWORDS & {row.keyword for row in ROOT}

    def test_rows_are_yielded_from_top_to_bottom(self) -> None:
        walked = [(depth, row.keyword) for depth, row in rows()]
        place = walked.index((0, STEP_SEQUENCE))
        assert walked[place + 1] == (1, "ScheduledStationAETitle")
        assert (2, "CodeMeaning") in walked[place:]

    def test_an_unknown_keyword_has_no_tag(self) -> None:
        assert Attribute("NoSuchKeyword", "3").tag == 0


class TestTheTableAndTheModel:
    @pytest.mark.parametrize("row", [row for _, row in rows()], ids=lambda row: row.keyword)
    def test_every_source_is_a_field_of_the_model_or_a_known_exception(self, row: Attribute) -> None:
        for name in (*row.sources, *row.alternative_fields):
            assert name in NOT_ITEM_FIELDS or WorklistItem._meta.get_field(name)

    @pytest.mark.parametrize(
        "row", [row for _, row in rows() if row.field in FIELD_LENGTHS], ids=lambda row: row.keyword
    )
    def test_no_field_is_longer_than_the_vr_allows(self, row: Attribute) -> None:
        assert FIELD_LENGTHS[row.field] <= MAX_LENGTHS[row.vr]

    def test_the_database_refuses_an_empty_value_of_type_1(self) -> None:
        """Except the station, which is returned as the requestor, and dates and times, which are never empty."""
        item = WorklistItemFactory.build()
        type_1 = {row.field for row in ROWS if row.return_type == "1" and row.field} - {"station_ae_title"}
        texts = {name for name in type_1 if not isinstance(getattr(item, name), date | time)}
        assert texts <= set(NEVER_EMPTY)

    def test_a_description_has_a_substitute_that_is_never_empty(self) -> None:
        described = [row for row in ROWS if row.return_type == "1C" and row.vr == "LO"]
        assert len(described) == 2
        assert all(row.substitutes[-1] in NEVER_EMPTY for row in described)

    def test_every_status_has_its_values(self) -> None:
        assert set(STATUS_WORDS) == set(ItemStatus)
        assert STATUS_WORDS["IN PROGRESS"] == ("STARTED", "IN PROGRESS")
