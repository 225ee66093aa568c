"""A response plan writes, byte for byte, what pydicom writes of the plain response."""

from datetime import date, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import encode

from core.contract import ItemStatus
from dicom.data_set_reading import read_data_set
from dicom.modality_policy import TRANSLITERATED
from tests.dicom.requests import dataset, request
from tests.factories import WorklistItemFactory
from worklist.item_fields import ITEM_FIELDS
from worklist.models import WorklistItem
from worklist.query.information_model import ROOT, STEP, Attribute, MatchingOptions, WhenUnknown
from worklist.query.response import (
    IllegalValue,
    ResponseOptions,
    first_item,
    has_unsupported_key,
    response_for,
)
from worklist.query.response_plan import ResponsePlan, ReturnKeys

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
LONDON = ZoneInfo("Europe/London")
HOLOGIC = ResponseOptions("HOLOGIC1", LONDON)
NAMES = (
    "SMITH^JANE",
    "SMITH^JANE==",
    "MÜLLER^ZOË",
    "ŁUKASZ^ŴYN",
    "LEE^ANN=李^安",
    "=李^安=",
    "ИВАНОВА^АННА",
    "ﾔﾏﾀﾞ^ﾀﾛｳ",
    "X¥^~A‾",
    "SIOBHA\u0301N",
    "LEE^ANN==\u0338A",
    "^",
    "A\\B",
    "A" * 65,
)
TEXTS = ("", "MG", "Screening", " Übersicht ", "Ωmega\\2", "李", "x\x07", "a" * 70, "B A", "70.50", "1.2.3", "-7 ")
CHARACTER_SETS: tuple[Any, ...] = (
    "",
    "ISO_IR 6",
    "ISO_IR 100",
    "ISO_IR 192",
    "ISO_IR 144",
    "ISO_IR 13",
    "ISO_IR 999",
    "GB18030",
    "ISO 2022 IR 87",
    ["", "ISO 2022 IR 87"],
    ["ISO 2022 IR 6", "ISO 2022 IR 100"],
    ["", "ISO 2022 IR 100", "ISO 2022 IR 144"],
    ["ISO_IR 192", "ISO 2022 IR 100"],
)
#: Character sets that can be configured for a modality; an empty one is the request's.
CONFIGURED = ("", TRANSLITERATED, "ISO_IR 100", "ISO_IR 101", "ISO_IR 192")


def values_of_a_field(field: Any) -> st.SearchStrategy[Any]:
    """Draw values that are mostly legal, and often missing or strange: the database may hold what an older version let
    in."""
    by_type: dict[str, st.SearchStrategy[Any]] = {
        "PN": st.sampled_from(NAMES),
        "DA": st.dates(date(1900, 1, 1)),
        "TM": st.times(),
    }
    texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=20))
    if field.name == "status":
        return st.sampled_from([status.value for status in ItemStatus])
    return by_type.get(field.vr, texts)


@st.composite
def items(draw: st.DrawFn) -> WorklistItem:
    """Draw an item some of whose fields are unusual."""
    unusual = draw(st.lists(st.sampled_from(ITEM_FIELDS), max_size=4, unique=True))
    codes = draw(st.sampled_from([{}, {"procedure_code": "C", "procedure_coding_scheme": "L"}]))
    meaning = {"procedure_code_meaning": "Screening", "protocol_code_meaning": draw(st.sampled_from(["", "Views"]))}
    values = {field.name: draw(values_of_a_field(field)) for field in unusual}
    item: WorklistItem = WorklistItemFactory.build(
        **{"patient_name": draw(st.sampled_from(NAMES)), **codes, **meaning, **values}
    )
    return item


VALUES = ("", "", "", "*", "SCHEDULED", "A")


@st.composite
def keys(draw: st.DrawFn, table: Any) -> dict[str, Any]:
    """Draw keys of a table: most without a value, and sequences in every form."""
    chosen = draw(st.lists(st.sampled_from(table), max_size=12, unique=True))
    made: dict[str, Any] = {}
    for row in chosen:
        if row.vr == "SQ":
            made[row.keyword] = draw(
                st.sampled_from([[], [dataset()], [dataset(CodeValue="")], [dataset(CodeMeaning="", CodeValue="1")]])
            )
        else:
            made[row.keyword] = 4 if row.vr == "US" else draw(st.sampled_from(VALUES)) if row.vr != "DS" else ""
    return made


@st.composite
def identifiers(draw: st.DrawFn) -> Dataset:
    """Draw a query: proper, improper, or for nothing that the gateway knows."""
    without = [row for row in ROOT if row.keyword not in ("ScheduledProcedureStepSequence", "SpecificCharacterSet")]
    steps = draw(st.sampled_from([(), (dataset(),), None]))
    if steps is None:
        steps = (dataset(**draw(keys(STEP))),)
    made = request(*steps, **draw(keys(without)))
    for keyword, value in (("QueryRetrieveLevel", "SCHEDULED"), ("Occupation", "")):
        if draw(st.integers(0, 9)) == 0:
            setattr(made, keyword, value)
    character_set = draw(st.sampled_from((None, *CHARACTER_SETS)))
    if character_set is not None:
        made.SpecificCharacterSet = character_set
    return made


def plainly(item: WorklistItem, asked: Dataset, syntax: Any, options: ResponseOptions) -> tuple[bytes, bool]:
    """Answer with pydicom's data sets."""
    for identifier in (asked, Dataset()):
        response = response_for(item, identifier, options)
        if len(response):
            break
    encoded = encode(response, syntax.is_implicit_VR, is_little_endian=True) or b""
    return encoded, has_unsupported_key(asked) or lacks_requested_attribute(asked, response)


def lacks_requested_attribute(asked: Dataset, response: Dataset) -> bool:
    """Tell whether a response lacks a requested attribute that others may have, so that its status is FF01."""
    return any(_lacks(row, asked, response) for row in ROOT)


def _lacks(row: Attribute, asked: Dataset, response: Dataset) -> bool:
    if row.keyword not in asked:
        return False
    if row.children and response.get(row.keyword):
        return any(_lacks(child, first_item(asked, row), response[row.keyword][0]) for child in row.children)
    return row.when_unknown is WhenUnknown.WARNED and row.keyword not in response


def with_other_values(asked: Dataset) -> Dataset:
    """Ask for the same with other values, as when an operator types another number."""
    other = Dataset()
    for element in asked:
        value = element.value
        if element.VR == "SQ":
            value = [with_other_values(item) for item in value]
        elif element.tag not in ReturnKeys.BY_VALUE and value not in ("", None, "*"):
            value = 5 if element.VR == "US" else "OTHER"
        other.add_new(element.tag, element.VR, value)
    return other


class TestReturnKeys:
    @given(shown=items(), asked=identifiers(), syntax=st.sampled_from(SYNTAXES))
    def test_of_a_query_for_other_values_are_the_same_and_so_are_its_responses(
        self, shown: WorklistItem, asked: Dataset, syntax: Any
    ) -> None:
        other = with_other_values(asked)
        assert ReturnKeys(other) == ReturnKeys(asked)
        plan = ResponsePlan(asked, syntax, HOLOGIC)
        try:
            expected = plainly(shown, other, syntax, HOLOGIC)
        except IllegalValue:
            return
        assert plan.response([getattr(shown, field) for field in plan.fields]) == expected

    @pytest.mark.parametrize(
        ("asked", "other"),
        [
            (request(PatientName=""), request(PatientID="")),
            (request(PatientName=""), request(PatientName="A")),
            (request(PatientName="A"), request(PatientName="*")),
            (request(AccessionNumber=""), request(dataset(Modality=""), AccessionNumber="")),
            (
                request(dataset(ScheduledProcedureStepStatus="READY")),
                request(dataset(ScheduledProcedureStepStatus="A")),
            ),
            (
                request(PatientName="", SpecificCharacterSet="ISO 2022 IR 87"),
                request(PatientName="", SpecificCharacterSet=["", "ISO 2022 IR 87"]),
            ),
        ],
        ids=["key", "a value", "universal", "step", "status", "character set"],
    )
    def test_are_others_if_anything_else_differs(self, asked: Dataset, other: Dataset) -> None:
        assert ReturnKeys(asked) != ReturnKeys(other)


class TestAPlan:
    @given(
        shown=st.lists(items(), min_size=1, max_size=3),
        asked=identifiers(),
        syntax=st.sampled_from(SYNTAXES),
        character_set=st.sampled_from(CONFIGURED),
        issuer=st.sampled_from(("", "NHS")),
    )
    def test_answers_as_the_plain_response(
        self, shown: list[WorklistItem], asked: Dataset, syntax: Any, character_set: str, issuer: str
    ) -> None:
        options = ResponseOptions("HOLOGIC1", LONDON, character_set, MatchingOptions(issuer_of_patient_id=issuer))
        plan = ResponsePlan(asked, syntax, options)
        for item in shown:
            values = [getattr(item, field) for field in plan.fields]
            try:
                expected = plainly(item, asked, syntax, options)
            except IllegalValue as error:
                with pytest.raises(IllegalValue, match=f"^{error.keyword}$"):
                    plan.response(values)
            else:
                assert plan.response(values) == expected

    @pytest.mark.parametrize("syntax", SYNTAXES, ids=["implicit", "explicit"])
    def test_needs_only_the_fields_that_are_asked_for(self, syntax: Any) -> None:
        plan = ResponsePlan(request(dataset(Modality=""), PatientName=""), syntax, HOLOGIC)
        encoded, warns = plan.response([{"modality": "MG", "patient_name": "X"}.get(field) for field in plan.fields])
        assert set(plan.fields) == {"modality", "patient_name"}
        assert (read_data_set(encoded, syntax).PatientName, warns) == ("X", False)

    def test_keeps_no_illegal_value_for_the_next_row(self) -> None:
        plan = ResponsePlan(request(StudyInstanceUID=""), SYNTAXES[0], HOLOGIC)
        for uid in ("letters", "letters"):
            with pytest.raises(IllegalValue, match="StudyInstanceUID"):
                plan.response([uid])
        assert plan.response(["1.2"])[0].endswith(b"1.2\0")

    def test_writes_a_weight_without_the_blanks_around_it(self) -> None:
        asked, item = request(PatientWeight="", PatientName=""), WorklistItemFactory.build(patient_weight=" 70.5  ")
        plan = ResponsePlan(asked, SYNTAXES[0], HOLOGIC)
        answered = plan.response([getattr(item, field) for field in plan.fields])
        assert answered == plainly(item, asked, SYNTAXES[0], HOLOGIC)
        assert answered[0].endswith(b"\x04\0\0\x0070.5")

    def test_of_many_different_values_keeps_few(self) -> None:
        plan = ResponsePlan(request(PatientName=""), SYNTAXES[0], HOLOGIC)
        names = [f"SMITH^{number:04}" for number in range(1000)]
        assert [plan.response([name])[0][8:].decode() for name in names] == names


def test_the_two_midnights_of_a_change_of_clocks_have_their_own_offset() -> None:
    plan = ResponsePlan(request(TimezoneOffsetFromUTC="", PatientName=""), SYNTAXES[0], HOLOGIC)
    moments = {"patient_name": "X", "scheduled_time": time(0)}
    for day, offset in ((date(2026, 3, 29), b"+0000"), (date(2026, 3, 30), b"+0100")):
        values = [{**moments, "scheduled_date": day}[field] for field in plan.fields]
        assert offset in plan.response(values)[0]
