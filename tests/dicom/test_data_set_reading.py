"""A data set is read wholly or refused: nothing in it gets lost."""

from io import BytesIO
from struct import pack

import pytest
from hypothesis import given
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.dsutils import decode, encode

from dicom.data_set_reading import MAX_DEPTH, read_data_set
from dicom.failures import UnreadableDataSet
from dicom.unreadable import UNREADABLE
from tests.dicom.encoded_elements import (
    QUERY,
    QUERY_STEP,
    SEQUENCE_END,
    SYNTAXES,
    UNDEFINED,
    broken,
    element,
    header,
    item,
    sequence,
)
from tests.dicom.malformed import seeds
from tests.dicom.raw import EXPLICIT, IMPLICIT, Element

ID, NAME, STEPS, STUDIES, MODALITY = 0x00100020, 0x00100010, 0x00400100, 0x00081110, 0x00080060


def refusal(data: bytes, syntax: str, *, is_strict: bool = False) -> str:
    """Return what a refused data set is refused with."""
    with pytest.raises(UnreadableDataSet) as refused:
        read_data_set(data, syntax, is_strict=is_strict)
    assert len(str(refused.value)) <= 64
    return str(refused.value)


def name(syntax: str, value: bytes = b"SMITH*") -> bytes:
    return element(NAME, "PN", value, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=["implicit", "explicit"])
class TestIsReadAsByPydicom:
    def test_whatever_is_well_formed(self, syntax: str) -> None:
        is_implicit = syntax == IMPLICIT
        for raw in seeds(ExplicitVRLittleEndian if syntax == EXPLICIT else ImplicitVRLittleEndian):
            ours, theirs = read_data_set(raw, syntax), decode(BytesIO(raw), is_implicit, is_little_endian=True)
            for each in (ours, theirs):
                each.decode()
            assert ours == theirs
            assert encode(ours, is_implicit, is_little_endian=True) == raw

    def test_nothing(self, syntax: str) -> None:
        assert len(read_data_set(b"", syntax)) == 0


@pytest.mark.parametrize("syntax", SYNTAXES, ids=["implicit", "explicit"])
class TestIsTaken:
    @pytest.mark.parametrize("undefined", [False, True])
    def test_a_sequence_of_defined_and_of_undefined_length(self, syntax: str, undefined: bool) -> None:
        raw = sequence(STEPS, item(name(syntax), undefined=undefined), syntax=syntax, undefined=undefined)
        (step,) = read_data_set(raw, syntax).ScheduledProcedureStepSequence
        assert step.PatientName == "SMITH*"

    def test_a_delimiter_at_the_end_of_a_defined_length(self, syntax: str) -> None:
        content = item(name(syntax)) + header(SEQUENCE_END, "", 0, syntax)
        (step,) = read_data_set(element(STEPS, "SQ", content, syntax), syntax).ScheduledProcedureStepSequence
        assert step.PatientName == "SMITH*"

    @pytest.mark.parametrize("value", [b"SMITH", b"SMITH\0\0\0\0\0\0\0\0\0\0", b"SMITH" * 40, b"1\0002", b" "])
    def test_an_odd_long_padded_or_strange_value(self, syntax: str, value: bytes) -> None:
        raw = name(syntax, value) + element(ID, "LO", b"1", syntax)
        assert read_data_set(raw, syntax).PatientID == "1"

    def test_private_and_unknown_elements_and_group_lengths_that_lie(self, syntax: str) -> None:
        raw = b"".join(
            element(tag, vr, value, syntax)
            for tag, vr, value in (
                (0x00080000, "UL", b"\xff\xff\xff\x7f"),
                (0x00090010, "LO", b"MAKER"),
                (0x00091001, "OB", bytes(100)),
                (0x00091002, "OB", bytes(range(256))),
                (0x00100009, "UN", b"?"),
                (ID, "LO", b"1"),
            )
        )
        assert read_data_set(raw, syntax).PatientID == "1"

    def test_a_private_sequence(self, syntax: str) -> None:
        """Its items are elements like others, and not a sign that its value has swallowed some."""
        content = item(name(IMPLICIT) + element(ID, "LO", b"1", IMPLICIT))
        raw = element(0x00091010, "UN", content, syntax) + name(syntax)
        read = read_data_set(raw, syntax)
        assert read.PatientName == "SMITH*"
        assert read[0x00091010].value[0].PatientID == "1"

    def test_the_other_transfer_syntax(self, syntax: str) -> None:
        """Whole and in order: modalities that mix the two up are known, and nothing is lost."""
        for raw in seeds(ImplicitVRLittleEndian) + seeds(ExplicitVRLittleEndian):
            assert encode(read_data_set(raw, syntax), raw[4:6].isalpha() is False, is_little_endian=True) == raw


class TestInExplicitVr:
    def test_a_known_attribute_may_be_un(self) -> None:
        assert read_data_set(element(ID, "UN", b"1", EXPLICIT), EXPLICIT).PatientID == "1"

    @pytest.mark.parametrize("undefined", [False, True])
    def test_a_sequence_of_vr_un_is_implicit(self, undefined: bool) -> None:
        content = item(name(IMPLICIT), undefined=undefined)
        end = header(SEQUENCE_END, "", 0, "") if undefined else b""
        raw = header(STEPS, "UN", UNDEFINED if undefined else len(content), EXPLICIT) + content + end
        (step,) = read_data_set(raw, EXPLICIT).ScheduledProcedureStepSequence
        assert step.PatientName == "SMITH*"

    def test_a_known_attribute_may_have_another_vr(self) -> None:
        assert read_data_set(element(ID, "SH", b"1", EXPLICIT), EXPLICIT).PatientID == "1"

    @pytest.mark.parametrize("vr", [b"--", b"RE", b"  ", b"\0\0", b"sq", b"FE"])
    def test_an_unknown_vr_is_refused(self, vr: bytes) -> None:
        strange = bytes.fromhex("1000B021") + vr + bytes.fromhex("0400") + b"G000"
        steps = sequence(STEPS, item(element(MODALITY, "CS", b"MG", EXPLICIT)), syntax=EXPLICIT)
        assert refusal(name(EXPLICIT) + strange + steps, EXPLICIT) == "(0010,21B0) has an unknown VR"
        assert refusal(strange + steps, EXPLICIT)

    def test_bytes_that_are_not_zero_behind_a_long_vr_are_refused(self) -> None:
        raw = element(ID, "UN", b"1", EXPLICIT)
        assert refusal(raw[:6] + b"\4\0" + raw[8:], EXPLICIT) == "(0010,0020) has no zeros behind its VR"

    def test_an_undefined_length_of_anything_but_a_sequence_is_refused(self) -> None:
        raw = header(0x00091001, "OB", UNDEFINED, EXPLICIT) + item(b"") + header(SEQUENCE_END, "", 0, "")
        assert refusal(raw, EXPLICIT) == "(0009,1001) has an undefined length"


@pytest.mark.parametrize("syntax", SYNTAXES, ids=["implicit", "explicit"])
class TestIsRefused:
    def test_an_element_that_is_longer_than_what_is_left(self, syntax: str) -> None:
        raw = header(ID, "LO", 12, syntax) + b"9990000001"
        assert refusal(raw, syntax) == "(0010,0020) is longer than what is left"

    @pytest.mark.parametrize("more", [b"\0", b"\0" * 7, b"\0" * 8, b"\x10"])
    def test_what_follows_the_last_element(self, syntax: str, more: bytes) -> None:
        assert refusal(element(ID, "LO", b"1 ", syntax) + more, syntax)

    @pytest.mark.parametrize("tags", [(ID, ID), (ID, NAME)], ids=["doubled", "out of order"])
    def test_an_element_in_the_wrong_place(self, syntax: str, tags: tuple[int, int]) -> None:
        raw = b"".join(element(tag, "LO", b"1 ", syntax) for tag in tags)
        assert refusal(raw, syntax).endswith("is doubled, or not in the order of the tags")

    @pytest.mark.parametrize(
        "tag", [0x00000002, 0x00020010, 0x00041130, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD, 0xFFFF0001]
    )
    def test_an_element_of_a_group_that_does_not_belong(self, syntax: str, tag: int) -> None:
        assert "is no element of a data set" in refusal(element(tag, "UL", b"", syntax), syntax)

    @pytest.mark.parametrize("undefined", [False, True])
    def test_a_sequence_that_is_cut_off_anywhere(self, syntax: str, undefined: bool) -> None:
        raw = sequence(STEPS, item(name(syntax), undefined=undefined), syntax=syntax, undefined=undefined)
        for length in range(1, len(raw)):
            assert refusal(raw[:length], syntax)

    def test_an_item_that_is_longer_than_its_sequence(self, syntax: str) -> None:
        content = header(0xFFFEE000, "", 100, "") + name(syntax)
        assert refusal(element(STEPS, "SQ", content, syntax) + bytes(100), syntax)

    def test_something_else_than_an_item_in_a_sequence(self, syntax: str) -> None:
        assert "something else than an item" in refusal(element(STEPS, "SQ", name(syntax), syntax), syntax)

    def test_what_follows_a_delimiter_in_a_defined_length(self, syntax: str) -> None:
        content = header(SEQUENCE_END, "", 0, "") + item(name(syntax))
        assert refusal(element(STEPS, "SQ", content, syntax), syntax)

    def test_a_delimiter_with_a_length(self, syntax: str) -> None:
        raw = header(STEPS, "SQ", UNDEFINED, syntax) + item(name(syntax)) + header(SEQUENCE_END, "", 2, "")
        assert refusal(raw, syntax)

    @pytest.mark.parametrize("undefined", [False, True])
    def test_nesting_that_is_too_deep(self, syntax: str, undefined: bool) -> None:
        def nested(depth: int) -> bytes:
            raw = element(ID, "LO", b"1", syntax)
            for _ in range(depth):
                raw = sequence(STUDIES, item(raw, undefined=undefined), syntax=syntax, undefined=undefined)
            return raw

        assert len(read_data_set(nested(MAX_DEPTH), syntax)) == 1
        assert refusal(nested(MAX_DEPTH + 1), syntax) == "(0008,1110) is nested too deep"
        assert refusal(nested(2000), syntax) == "(0008,1110) is nested too deep"

    @pytest.mark.parametrize(
        "swallowing", [Element(0x00091001, "OB"), Element(0x00080090, "PN"), Element(0x00080008, "UN")]
    )
    @pytest.mark.parametrize("behind", [NAME, STEPS])
    def test_a_value_that_has_swallowed_the_elements_behind_it(
        self, syntax: str, swallowing: Element, behind: int
    ) -> None:
        if behind == NAME:
            swallowed, rest = name(syntax), sequence(STEPS, item(name(syntax)), syntax=syntax)
        else:
            swallowed, rest = sequence(STEPS, item(b""), syntax=syntax)[:-8], b""
        raw = element(swallowing.tag, swallowing.vr, swallowed, syntax) + rest
        assert refusal(raw, syntax).endswith("holds other elements")

    @pytest.mark.parametrize("fault", [b"--\0\0", b"LO\xff\xff", b"\xff\xff\xff\x7f"], ids=["VR", "length", "both"])
    def test_a_value_that_has_swallowed_an_element_with_a_fault_of_its_own(self, syntax: str, fault: bytes) -> None:
        swallowed = name(syntax)[:4] + fault + b"SMITH*"
        assert refusal(element(0x00080090, "PN", swallowed, syntax), syntax) == "(0008,0090) holds other elements"

    def test_the_steps_within_another_sequence_that_has_swallowed_them(self, syntax: str) -> None:
        steps = sequence(STEPS, item(name(syntax)), syntax=syntax)
        raw = sequence(STUDIES, item(element(ID, "LO", b"1 ", syntax) + steps), syntax=syntax)
        assert refusal(raw, syntax, is_strict=True) == "(0040,0100) is within another sequence"


@pytest.mark.parametrize("syntax", SYNTAXES, ids=["implicit", "explicit"])
@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        (0x00291001, "OB", '<Exposure Side="R" kV="29"/>'.encode("utf-16-le")),
        (0x00191001, "US", pack("<4H", 16, 16, 240, 240)),
        (0x00283006, "OW", pack("<256H", *range(256))),
        (0x00280009, "AT", pack("<4H", 0x18, 0x1063, 0x18, 0x1065)),
    ],
    ids=["UTF-16", "a region", "a look-up table", "tags"],
)
class TestAValueThatLooksLikeTags:
    def test_of_a_report_is_read(self, syntax: str, tag: int, vr: str, value: bytes) -> None:
        assert tag in read_data_set(element(tag, vr, value, syntax), syntax)

    def test_of_a_query_is_refused(self, syntax: str, tag: int, vr: str, value: bytes) -> None:
        assert refusal(element(tag, vr, value, syntax), syntax, is_strict=True).endswith("holds other elements")


class TestAnUnknownTag:
    def test_is_no_line_of_the_log(self, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder) -> None:
        read_data_set(element(0x0018B000, "LO", b"?", IMPLICIT), IMPLICIT).decode()
        assert (caplog.messages, list(recwarn)) == ([], [])


class TestABrokenQuery:
    @given(broken=broken(QUERY))
    def test_is_refused_or_has_every_key_that_narrowed_it(self, broken: tuple[bytes, str]) -> None:
        try:
            read = read_data_set(*broken, is_strict=True)
            read.decode()
        except (UnreadableDataSet, *UNREADABLE):
            return
        (step,) = read.ScheduledProcedureStepSequence
        for has, keys in ((read, QUERY), (step, QUERY_STEP)):
            assert all(has[key.tag].value for key in keys if key.value)
