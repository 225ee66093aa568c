"""Responses hold the requested attributes and no more, in a character set that the modality reads."""

from datetime import date, time
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from tests.dicom.requests import dataset, illegal, keywords, request
from tests.factories import WorklistItemFactory
from worklist.query.information_model import ROOT, STEP, WhenUnknown
from worklist.query.response import (
    IllegalValue,
    ResponseOptions,
    has_unsupported_key,
    response_for,
    wants_whole_item,
)

WARNED, LEFT_OUT = WhenUnknown.WARNED, WhenUnknown.LEFT_OUT
CODE = {"procedure_code": "MGSCR", "procedure_coding_scheme": "L", "procedure_code_meaning": "Screening"}
PROTOCOL = {"protocol_code": "4V", "protocol_coding_scheme": "L", "protocol_code_meaning": "Four views"}
LEE = "LEE^ANN=李^安"
#: The attributes of an item without notes.
SHOWN_OF_THE_ROOT = {row.keyword for row in ROOT if row.when_unknown not in (WARNED, LEFT_OUT)}
SHOWN_OF_THE_STEP = {row.keyword for row in STEP if row.when_unknown not in (WARNED, LEFT_OUT)}
SUPPORTED = {
    table: {row.keyword: None for row in table if row.when_unknown is not WARNED or row.sources}
    for table in (ROOT, STEP)
}


def respond(identifier: Dataset, **values: Any) -> Dataset:
    """Return the response to the modality HOLOGIC1 for an item with these values."""
    item = WorklistItemFactory.build(**values)
    return response_for(item, identifier, ResponseOptions("HOLOGIC1", ZoneInfo("Europe/London")))


def on_the_wire(response: Dataset) -> bytes:
    """Encode a response as it is sent (Implicit VR Little Endian)."""
    encoded = encode(response, is_implicit_vr=True, is_little_endian=True)
    assert encoded
    return encoded


def received(response: Dataset) -> Dataset:
    """Encode a response and decode it as its receiver does."""
    return decode(BytesIO(on_the_wire(response)), is_implicit_vr=True, is_little_endian=True)


class TestWhatIsReturned:
    def test_the_requested_attributes_and_no_more(self) -> None:
        response = respond(request(dataset(Modality=""), AccessionNumber="A1"), accession_number="A1")
        assert keywords(response) == {"AccessionNumber", "ScheduledProcedureStepSequence"}
        assert keywords(response.ScheduledProcedureStepSequence[0]) == {"Modality"}
        assert response.AccessionNumber == "A1"

    @pytest.mark.parametrize("identifier", [request(dataset()), request(ScheduledProcedureStepSequence=[])])
    def test_an_empty_step_sequence_requests_the_whole_step(self, identifier: Dataset) -> None:
        identifier.AccessionNumber = ""
        response = respond(identifier)
        step = response.ScheduledProcedureStepSequence[0]
        assert keywords(response) == {"AccessionNumber", "ScheduledProcedureStepSequence"}
        assert keywords(step) == SHOWN_OF_THE_STEP
        assert all(step[row.keyword].value for row in STEP if row.return_type == "1")

    def test_a_group_length_does_not_fill_a_step(self) -> None:
        step = dataset()
        step.add_new(0x00400000, "UL", 0)
        response = respond(request(step, AccessionNumber=""))
        assert "Modality" in response.ScheduledProcedureStepSequence[0]

    def test_without_a_step_sequence_none_is_returned(self) -> None:
        assert keywords(respond(request(PatientID="1", PatientName=""))) == {"PatientID", "PatientName"}

    def test_everything_of_type_1_has_a_value(self) -> None:
        root = {row.keyword: "" for row in ROOT if row.return_type == "1"}
        step = {row.keyword: "" for row in STEP if row.return_type == "1"}
        response = respond(request(dataset(**step), **root), station_ae_title="")
        assert all(response[keyword].value for keyword in root)
        assert all(response.ScheduledProcedureStepSequence[0][keyword].value for keyword in step)

    def test_everything_of_type_2_is_present_even_if_empty(self) -> None:
        root = {row.keyword: None for row in ROOT if row.return_type == "2"}
        step = {row.keyword: None for row in STEP if row.return_type in ("2", "2C")}
        response = received(respond(request(dataset(**step), **root)))
        assert keywords(response) == {*root, "ScheduledProcedureStepSequence"}
        assert keywords(response.ScheduledProcedureStepSequence[0]) == set(step)

    def test_attributes_that_the_gateway_never_knows_are_left_out(self) -> None:
        identifier = request(PatientName="", Occupation="", EthnicGroup="", BarcodeValue="")
        identifier.add_new(0x00091001, "LO", "")
        assert keywords(respond(identifier)) == {"PatientName"}

    def test_dates_have_eight_digits_and_times_six(self) -> None:
        keys = dataset(ScheduledProcedureStepStartDate="", ScheduledProcedureStepStartTime="")
        response = respond(request(keys, PatientBirthDate=""), scheduled_time=time(9, 5, 0, 500000))
        step = response.ScheduledProcedureStepSequence[0]
        assert (step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime) == ("20261123", "090500")
        assert response.PatientBirthDate == "19700321"

    def test_midnight_is_a_time(self) -> None:
        response = respond(request(dataset(ScheduledProcedureStepStartTime="")), scheduled_time=time(0, 0))
        assert response.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime == "000000"

    @pytest.mark.parametrize(("status", "word"), [("IN PROGRESS", "STARTED"), ("COMPLETED", "COMPLETED")])
    def test_in_progress_is_returned_as_started(self, status: str, word: str) -> None:
        response = respond(request(dataset(ScheduledProcedureStepStatus="")), status=status)
        assert response.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus == word

    @pytest.mark.parametrize("status", ["ARRIVED", "READY"])
    @pytest.mark.parametrize("key", ["", "*", "SCHEDULED", "SCHED*", "READY", "ARR*"])
    def test_an_arrival_is_returned_in_a_word_that_its_key_matches(self, status: str, key: str) -> None:
        response = respond(request(dataset(ScheduledProcedureStepStatus=key)), status=status)
        word = "SCHEDULED" if key.startswith("SCHED") else status
        assert response.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStatus == word

    def test_the_weight_is_returned_as_it_came(self) -> None:
        assert b"70.50" in on_the_wire(respond(request(PatientWeight=""), patient_weight="70.50"))

    def test_a_key_with_a_value_is_a_return_key(self) -> None:
        assert respond(request(PatientName="SMI*", PatientID=""), patient_name="SMITH^JANE").PatientName == "SMITH^JANE"


class TestTheStation:
    def test_of_an_item_without_one_is_the_requestors_ae_title(self) -> None:
        response = respond(request(dataset(ScheduledStationAETitle="")), station_ae_title="")
        assert response.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "HOLOGIC1"

    def test_of_an_item_with_one_is_that_one(self) -> None:
        response = respond(request(dataset(ScheduledStationAETitle="")), station_ae_title="MAMMO1")
        assert response.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "MAMMO1"


class TestDescriptionsAndCodes:
    def test_a_description_is_returned_at_the_root_and_in_the_step(self) -> None:
        keys = request(dataset(ScheduledProcedureStepDescription=""), RequestedProcedureDescription="")
        response = respond(keys, study_description="Screening")
        assert response.RequestedProcedureDescription == "Screening"
        assert response.ScheduledProcedureStepSequence[0].ScheduledProcedureStepDescription == "Screening"

    @pytest.mark.parametrize(
        ("values", "of_the_procedure", "of_the_step"),
        [({}, "MG", "MG"), (CODE, "Screening", "MG"), (PROTOCOL, "MG", "Four views")],
    )
    def test_without_a_description_the_code_meaning_or_modality_is_returned(
        self, values: dict[str, str], of_the_procedure: str, of_the_step: str
    ) -> None:
        keys = request(dataset(ScheduledProcedureStepDescription=""), RequestedProcedureDescription="")
        response = respond(keys, study_description="", **values)
        assert response.RequestedProcedureDescription == of_the_procedure
        assert response.ScheduledProcedureStepSequence[0].ScheduledProcedureStepDescription == of_the_step

    @pytest.mark.parametrize("values", [{}, {"procedure_code": "MGSCR"}, {**CODE, "procedure_code_meaning": ""}])
    @pytest.mark.parametrize("asked", [[], [dataset()], [dataset(CodeValue="")]])
    def test_an_incomplete_code_is_a_zero_length_sequence(self, values: dict[str, str], asked: list[Dataset]) -> None:
        response = received(respond(request(RequestedProcedureCodeSequence=asked), **values))
        assert len(response.RequestedProcedureCodeSequence) == 0

    @pytest.mark.parametrize("asked", [[], [dataset()]])
    def test_an_empty_code_sequence_requests_the_whole_code(self, asked: list[Dataset]) -> None:
        (code,) = respond(request(RequestedProcedureCodeSequence=asked), **CODE).RequestedProcedureCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("MGSCR", "L", "Screening")

    def test_only_the_requested_attributes_of_a_code_are_returned(self) -> None:
        asked = dataset(CodeValue="", CodeMeaning="")
        (code,) = respond(request(RequestedProcedureCodeSequence=[asked]), **CODE).RequestedProcedureCodeSequence
        assert keywords(code) == {"CodeValue", "CodeMeaning"}

    def test_a_code_is_left_out_if_only_its_version_is_requested(self) -> None:
        asked = request(RequestedProcedureCodeSequence=[dataset(CodingSchemeVersion="")])
        assert len(respond(asked, **CODE).RequestedProcedureCodeSequence) == 0

    def test_the_protocol_code_is_in_the_step(self) -> None:
        response = respond(request(dataset(ScheduledProtocolCodeSequence=[])), **PROTOCOL)
        (code,) = response.ScheduledProcedureStepSequence[0].ScheduledProtocolCodeSequence
        assert (code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning) == ("4V", "L", "Four views")


class TestTheTimezoneOffset:
    @pytest.mark.parametrize(
        ("day", "offset"),
        [("2026-03-10", "+0000"), ("2026-03-28", "+0000"), ("2026-03-29", "+0100"), ("2026-07-10", "+0100")],
    )
    @pytest.mark.parametrize("asked", ["", "+0000"])
    def test_is_the_clinics_offset_on_that_day(self, day: str, offset: str, asked: str) -> None:
        identifier = request(TimezoneOffsetFromUTC=asked, PatientName="")
        response = respond(identifier, scheduled_date=date.fromisoformat(day))
        assert response.TimezoneOffsetFromUTC == offset

    def test_is_returned_only_on_request(self) -> None:
        assert "TimezoneOffsetFromUTC" not in respond(request())

    def test_shifts_no_time(self) -> None:
        keys = request(dataset(ScheduledProcedureStepStartTime=""), TimezoneOffsetFromUTC="+0300")
        response = respond(keys, scheduled_time=time(14, 30))
        assert response.ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime == "143000"


class TestImproperRequests:
    @pytest.mark.parametrize(
        "identifier",
        [
            request(PatientID="9990000001"),
            request(dataset(Modality="MG", ScheduledProcedureStepStartDate="20260310"), PatientName="SMITH*"),
            request(QueryRetrieveLevel="SCHEDULED"),
            request(QueryRetrieveLevel="", PatientName=""),
            request(PatientName="*"),
            request(PatientID="9990000001", Modality=""),
            request(PatientID="9990000001", SpecificCharacterSet=""),
            request(RequestedProcedureCodeSequence=[dataset(CodeValue="MGSCR")]),
            request(),
        ],
    )
    def test_get_the_whole_item(self, identifier: Dataset) -> None:
        assert wants_whole_item(identifier)
        response = respond(identifier, **CODE)
        assert keywords(response) - {"TimezoneOffsetFromUTC"} == SHOWN_OF_THE_ROOT
        assert keywords(response.ScheduledProcedureStepSequence[0]) == SHOWN_OF_THE_STEP
        assert len(response.RequestedProcedureCodeSequence) == 1

    def test_a_private_element_is_not_a_return_key(self) -> None:
        identifier = request(PatientID="9990000001")
        identifier.add_new(0x00091001, "LO", "")
        assert wants_whole_item(identifier)

    @pytest.mark.parametrize(
        "identifier",
        [
            request(PatientID="9990000001", PatientName=""),
            request(PatientID="9990000001", PatientName=" "),
            request(dataset(Modality="MG", ScheduledProcedureStepID="")),
            request(dataset(), PatientID="9990000001"),
            request(ScheduledProcedureStepSequence=[], PatientID="9990000001"),
            request(PatientID="9990000001", RequestedProcedureCodeSequence=[]),
            request(PatientID="9990000001", RequestedProcedureCodeSequence=[dataset(CodeValue="")]),
        ],
    )
    def test_one_return_key_anywhere_makes_a_request_proper(self, identifier: Dataset) -> None:
        assert not wants_whole_item(identifier)


class TestUnsupportedKeys:
    @pytest.mark.parametrize(
        "identifier",
        [
            request(**SUPPORTED[ROOT]),
            request(dataset(**SUPPORTED[STEP])),
            request(dataset(Modality="MG"), PatientName="SMITH*", PatientBirthDate="19700101-"),
            request(AdmissionID="*"),
            request(ReferencedStudySequence=[]),
            request(ReferencedStudySequence=[dataset(ReferencedSOPInstanceUID="")]),
            request(RequestedProcedureCodeSequence=[dataset(CodeValue="", CodeMeaning="")]),
            request(dataset(ScheduledProtocolCodeSequence=[dataset(CodeValue="")])),
            request(QueryRetrieveLevel="SCHEDULED"),
            request(SpecificCharacterSet="ISO_IR 192", TimezoneOffsetFromUTC="+0000"),
        ],
    )
    def test_supported_keys_give_no_warning(self, identifier: Dataset) -> None:
        assert not has_unsupported_key(identifier)

    def test_ignored_elements_give_no_warning(self) -> None:
        step = dataset(Modality="MG")
        step.add_new(0x00400000, "UL", 8)
        identifier = request(step, Modality="MG", ScheduledProcedureStepStartDate="20260310")
        identifier.CommentsOnTheScheduledProcedureStep = "misplaced"
        identifier.ScheduledProtocolCodeSequence = [dataset(CodeValue="misplaced")]
        identifier.add_new(0x00091001, "LO", "private")
        assert not has_unsupported_key(identifier)

    @pytest.mark.parametrize(
        "identifier",
        [
            request(AdmissionID="123"),
            request(PatientWeight="70"),
            request(PatientAddress="Leeds"),
            request(RequestedProcedureDescription="Screening"),
            request(OtherPatientIDs=""),
            request(IssuerOfPatientID="NHS"),
            request(dataset(ScheduledStationName="A2")),
            request(dataset(CommentsOnTheScheduledProcedureStep="bring the pictures")),
            request(dataset(ScheduledProcedureStepEndDate="")),
            request(dataset(ReferencedDefinedProtocolSequence=[])),
            request(StudyDate=""),
            request(BarcodeValue=""),
            request(dataset(AccessionNumber="1")),
            request(dataset(ScheduledProtocolCodeSequence=[dataset(CodeValue="4V")])),
            request(RequestedProcedureCodeSequence=[dataset(CodeValue="MGSCR")]),
            request(ReferencedStudySequence=[dataset(ReferencedSOPInstanceUID="1.2.3")]),
        ],
    )
    def test_a_value_that_is_not_matched_or_an_unknown_key_gives_a_warning(self, identifier: Dataset) -> None:
        assert has_unsupported_key(identifier)


class TestCharacterSets:
    @pytest.mark.parametrize("asked", [None, "", "ISO_IR 6", "ISO_IR 100", "ISO_IR 192", "ISO_IR 999"])
    def test_none_is_named_if_all_is_ascii(self, asked: str | None) -> None:
        response = respond(request(SpecificCharacterSet=asked, PatientName=""))
        assert "SpecificCharacterSet" not in response

    @pytest.mark.parametrize(
        ("asked", "name", "answered", "raw"),
        [
            ("ISO_IR 100", "MÜLLER", "ISO_IR 100", b"\x4d\xdc\x4c\x4c\x45\x52"),
            ("ISO_IR 192", LEE, "ISO_IR 192", LEE.encode()),
            ("ISO_IR 144", "ИВАНОВА", "ISO_IR 144", "ИВАНОВА".encode("iso8859-5")),
            ("ISO_IR 13", "ﾔﾏﾀﾞ", "ISO_IR 13", "ﾔﾏﾀﾞ".encode("shift_jis")),
            ("GB18030", "王^小东", "GB18030", "王^小东".encode("gb18030")),
        ],
    )
    def test_the_requested_one_is_used(self, asked: str, name: str, answered: str, raw: bytes) -> None:
        response = respond(request(SpecificCharacterSet=asked, PatientName=""), patient_name=name)
        assert response.SpecificCharacterSet == answered
        assert raw in on_the_wire(response)

    @pytest.mark.parametrize(
        "asked",
        [
            ["ISO 2022 IR 6", "ISO 2022 IR 100"],
            ["", "ISO 2022 IR 100"],
            ["ISO 2022 IR 100", "ISO 2022 IR 144"],
            ["ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 87"],
        ],
    )
    def test_code_extensions_are_used(self, asked: list[str]) -> None:
        identifier = request(SpecificCharacterSet=asked, PatientName="", RequestedProcedureDescription="")
        names = {"patient_name": "MÜLLER^ZOË", "study_description": "Föhr"}
        answer = received(respond(identifier, **names))
        assert answer.SpecificCharacterSet == asked
        assert (str(answer.PatientName), answer.RequestedProcedureDescription) == ("MÜLLER^ZOË", "Föhr")

    def test_with_code_extensions_every_component_has_its_own_escape_sequence(self) -> None:
        asked = ["ISO 2022 IR 6", "ISO 2022 IR 100"]
        response = respond(request(SpecificCharacterSet=asked, PatientName=""), patient_name="MÜLLER^ZOË")
        assert b"\x1b-AM\xdcLLER^\x1b-AZO\xcb" in on_the_wire(response)

    def test_texts_in_the_step_and_its_codes_count(self) -> None:
        step = dataset(ScheduledPerformingPhysicianName="", ScheduledProtocolCodeSequence=[])
        identifier = request(step, SpecificCharacterSet=["ISO 2022 IR 6", "ISO 2022 IR 100"])
        meaning = {**PROTOCOL, "protocol_code_meaning": "Föhr"}
        answer = received(respond(identifier, performing_physician_name="ZOË", **meaning))
        (step,) = answer.ScheduledProcedureStepSequence
        assert str(step.ScheduledPerformingPhysicianName) == "ZOË"
        assert step.ScheduledProtocolCodeSequence[0].CodeMeaning == "Föhr"

    @pytest.mark.parametrize(
        ("asked", "name"),
        [
            ("ISO_IR 100", LEE),
            ("ISO_IR 100", "ŁUKASZ"),
            ("ISO_IR 100", "SŴYN"),
            ("ISO_IR 144", "MÜLLER"),
            (["ISO 2022 IR 6", "ISO 2022 IR 100"], LEE),
            (["ISO 2022 IR 100", "ISO 2022 IR 144"], "ŁUKASZ"),
            ("ISO_IR 13", "山田"),
        ],
    )
    def test_unicode_is_used_if_the_requested_one_lacks_a_character(self, asked: Any, name: str) -> None:
        answer = received(respond(request(SpecificCharacterSet=asked, PatientName=""), patient_name=name))
        assert answer.SpecificCharacterSet == "ISO_IR 192"
        assert str(answer.PatientName) == name

    @pytest.mark.parametrize(("name", "answered"), [("MÜLLER", "ISO_IR 100"), ("ŁUKASZ", "ISO_IR 192")])
    @pytest.mark.parametrize(
        "asked",
        [None, "", "ISO_IR 6", ["", ""], "ISO 2022 IR 6", "ISO_IR 999", "latin1", ["ISO_IR 192", "ISO 2022 IR 100"]],
    )
    def test_without_a_known_one_latin_1_is_used_or_else_unicode(self, asked: Any, name: str, answered: str) -> None:
        identifier = request(SpecificCharacterSet=asked, PatientName="")
        answer = received(respond(identifier, patient_name=name))
        assert (answer.SpecificCharacterSet, str(answer.PatientName)) == (answered, name)

    def test_attributes_that_are_not_requested_do_not_count(self) -> None:
        assert keywords(respond(request(PatientID=""), patient_name="MÜLLER")) == {"PatientID"}


class TestIllegalValues:
    @pytest.mark.parametrize(
        ("field", "value", "keyword"),
        [
            ("patient_name", "SMITH\x07", "PatientName"),
            ("patient_name", "SMITH\\JANE", "PatientName"),
            ("study_instance_uid", "one.two", "StudyInstanceUID"),
            ("patient_weight", "heavy", "PatientWeight"),
            ("modality", "mg", "Modality"),
            ("patient_sex", "f", "PatientSex"),
            ("station_ae_title", "RÖNTGEN", "ScheduledStationAETitle"),
        ],
    )
    def test_raise_illegal_value(self, field: str, value: str, keyword: str) -> None:
        with pytest.raises(IllegalValue, match=keyword):
            respond(request(), **{field: value})

    def test_in_a_code_raise_illegal_value(self) -> None:
        with pytest.raises(IllegalValue, match="CodeMeaning"):
            respond(request(), **{**CODE, "procedure_code_meaning": "one\ntwo"})

    def test_are_ignored_if_they_are_not_requested(self) -> None:
        assert respond(request(PatientID=""), patient_id="1", patient_weight="heavy").PatientID == "1"

    def test_the_requestors_ae_title_may_be_anything(self) -> None:
        item = WorklistItemFactory.build(station_ae_title="")
        response = response_for(item, request(), ResponseOptions("RÖNTGEN", ZoneInfo("Europe/London")))
        assert response.ScheduledProcedureStepSequence[0].ScheduledStationAETitle == "RÖNTGEN"


class TestEveryValue:
    def test_of_a_whole_item_is_legal_in_its_vr(self) -> None:
        response = respond(request(), patient_name=LEE, patient_weight="70.5", **CODE, **PROTOCOL)
        assert illegal(response) == []


class TestDecodedResponses:
    @pytest.mark.parametrize(
        ("terms", "name"),
        [
            (["", "ISO 2022 IR 87"], "LEE^ANN=李^安"),
            (["", "ISO 2022 IR 58"], "LEE^ANN=李^安"),
            (["ISO_IR 13"], "X¥^~A‾"),
            (["ISO 2022 IR 6", "ISO 2022 IR 100"], "MÜLLER^ZOË"),
            (["ISO_IR 144"], "ИВАНОВА^АННА"),
            (["ISO 2022 IR 87"], "=李^安"),  # pydicom cannot encode an empty group in it
        ],
    )
    def test_hold_every_name_unchanged_in_any_requested_character_set(self, terms: list[str], name: str) -> None:
        asked = Dataset()
        asked.SpecificCharacterSet = terms if len(terms) > 1 else terms[0]
        asked.PatientName = None
        encoded = on_the_wire(respond(asked, patient_name=name))
        read = decode(BytesIO(encoded), is_implicit_vr=True, is_little_endian=True)
        assert str(read.PatientName) == name
