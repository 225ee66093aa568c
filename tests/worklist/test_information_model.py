"""The table of keys: complete, known to DICOM, and at one with the model."""

from datetime import date, time

import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword

from core.gateway_actions import WORKLIST_STATUSES
from tests.factories import WorklistItemFactory
from worklist.information_model import (
    OTHER_STEP_KEYWORDS,
    REQUESTED_PROCEDURE_CODE,
    ROOT,
    SCHEDULED_PROTOCOL_CODE,
    STATUS_WORDS,
    STEP,
    Attribute,
    CodeSequence,
    Matching,
)
from worklist.models.items import LENGTHS, NEVER_EMPTY, WorklistItem

ROWS = (*ROOT, *STEP)
CODES = (REQUESTED_PROCEDURE_CODE, SCHEDULED_PROTOCOL_CODE)
#: PS3.5 table 6.2-1, in characters. For a PN the three component groups and the two `=` between them.
MAX_LENGTHS = {"AE": 16, "CS": 16, "DS": 16, "LO": 64, "LT": 10240, "PN": 194, "SH": 16, "UI": 64}
REQUIRED = {
    "ScheduledStationAETitle",
    "ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepStartTime",
    "Modality",
    "ScheduledPerformingPhysicianName",
    "PatientName",
    "PatientID",
}
#: By keyword, as table K.6-1 has them.
TAGS = {
    "ScheduledStationAETitle": 0x00400001,
    "ScheduledProcedureStepStartDate": 0x00400002,
    "ScheduledProcedureStepStartTime": 0x00400003,
    "Modality": 0x00080060,
    "ScheduledPerformingPhysicianName": 0x00400006,
    "ScheduledProcedureStepID": 0x00400009,
    "ScheduledProcedureStepStatus": 0x00400020,
    "PatientName": 0x00100010,
    "PatientID": 0x00100020,
    "AccessionNumber": 0x00080050,
    "RequestedProcedureID": 0x00401001,
    "StudyInstanceUID": 0x0020000D,
}


class TestTheTable:
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.keyword)
    def test_every_keyword_is_known_to_dicom(self, row: Attribute) -> None:
        assert tag_for_keyword(row.keyword) == row.tag
        assert dictionary_VR(row.tag) == row.vr

    def test_no_keyword_stands_in_it_twice(self) -> None:
        keywords = [row.keyword for row in ROWS] + [code.keyword for code in CODES]
        assert len(keywords) == len(set(keywords))

    def test_the_required_matching_keys_are_those_of_table_k_6_1(self) -> None:
        assert {row.keyword for row in ROWS if row.required} == REQUIRED

    def test_every_required_key_is_matched(self) -> None:
        assert all(row.matching is not Matching.NONE for row in ROWS if row.required)

    def test_the_tags_are_those_of_table_k_6_1(self) -> None:
        assert {row.keyword: row.tag for row in ROWS if row.keyword in TAGS} == TAGS

    def test_what_else_belongs_to_the_step_is_known_to_dicom(self) -> None:
        assert all(tag_for_keyword(keyword) for keyword in OTHER_STEP_KEYWORDS)

    def test_an_unknown_keyword_has_no_tag(self) -> None:
        assert Attribute("NoSuchKeyword", "3").tag == 0


class TestTheTableAndTheModel:
    @pytest.mark.parametrize("row", ROWS, ids=lambda row: row.keyword)
    def test_every_field_is_the_models(self, row: Attribute) -> None:
        for name in (row.field, *row.stand_ins):
            assert not name or WorklistItem._meta.get_field(name)

    @pytest.mark.parametrize("code", CODES, ids=lambda code: code.keyword)
    def test_every_field_of_a_code_is_the_models(self, code: CodeSequence) -> None:
        lengths = [LENGTHS[name] for name in (code.code_field, code.scheme_field, code.meaning_field)]
        assert lengths == [16, 16, 64]

    @pytest.mark.parametrize("row", [row for row in ROWS if row.field in LENGTHS], ids=lambda row: row.keyword)
    def test_no_field_is_longer_than_the_vr_allows(self, row: Attribute) -> None:
        assert LENGTHS[row.field] <= MAX_LENGTHS[row.vr]

    def test_what_must_never_be_empty_is_never_empty_in_the_database(self) -> None:
        """But for the station, which is returned as the asker, and dates and times, which cannot be."""
        item = WorklistItemFactory.build()
        type_1 = {row.field for row in ROWS if row.return_type == "1"} - {"station_ae_title"}
        texts = {name for name in type_1 if not isinstance(getattr(item, name), date | time)}
        assert texts <= set(NEVER_EMPTY)

    def test_what_may_not_be_empty_together_with_its_code_has_a_stand_in_that_is_never_empty(self) -> None:
        rows = [row for row in ROWS if row.return_type == "1C"]
        assert rows
        assert all(row.stand_ins[-1] in NEVER_EMPTY for row in rows)

    def test_every_status_has_its_words(self) -> None:
        assert set(STATUS_WORDS) == set(WORKLIST_STATUSES)
        assert STATUS_WORDS["IN PROGRESS"] == ("STARTED", "IN PROGRESS")
