"""The checks CS1 to CS10 of character sets in C-FIND (PS3.5 6.1.2, PS3.4 K.4.1.1.3.2), over the network."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom.models import Modality
from tests.dicom.requests import Unit, dataset, find, request
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory

pytestmark = pytest.mark.once

LATIN_1 = ["ISO 2022 IR 6", "ISO 2022 IR 100"]
NAMES = {
    "A001": "SMITH^JANE",
    "A002": "SMITH^MARY^ANN",
    "A003": "Smith^Zoe",
    "A004": "O'BRIEN^SIOBHÁN",
    "A005": "MÜLLER",
    "A006": "ŁUKASZ^ŴYN",
    "A014": "LEE^ANN=李^安",
    "A016": "SMITHSON",
}


@pytest.fixture
def unit(unit: Unit) -> Unit:
    """A modality, and patients with many kinds of names on its list."""
    for number, name in NAMES.items():
        WorklistItemFactory.create(accession_number=number, patient_name=name)
    return unit


@pytest.fixture
def overridden(unit: Unit) -> Iterator[int]:
    """The port of a server that reads the modalities again for each request."""
    with serving() as running:
        yield port_of(running)


def name_of(unit: Unit, number: str, asked: Any = None) -> Dataset:
    """Return the one row of an accession number, with the patient's name."""
    (row,) = unit.ask(request(SpecificCharacterSet=asked, AccessionNumber=number, PatientName="")).rows
    return row


def found(unit: Unit, key: str, asked: Any = None) -> list[str]:
    """Return the accession numbers that a name key finds."""
    return sorted(unit.ask(request(SpecificCharacterSet=asked, PatientName=key, AccessionNumber="")).accession_numbers)


class TestRequestsWithoutCharacterSet:
    @pytest.mark.parametrize("asked", [None, "", "ISO_IR 6"], ids=["cs1 absent", "cs7 zero length", "cs1 its default"])
    def test_cs1_and_cs7_ascii_is_sent_as_ascii(self, unit: Unit, asked: str | None) -> None:
        row = name_of(unit, "A001", asked)
        assert row.PatientName.original_string == b"SMITH^JANE"
        assert "SpecificCharacterSet" not in row

    @pytest.mark.parametrize("asked", [None, ""], ids=["absent", "zero length"])
    @pytest.mark.parametrize(("number", "answered"), [("A005", "ISO_IR 100"), ("A006", "ISO_IR 192")])
    def test_cs7_other_text_is_sent_as_latin_1_or_unicode(
        self, unit: Unit, asked: str | None, number: str, answered: str
    ) -> None:
        row = name_of(unit, number, asked)
        assert (row.SpecificCharacterSet, str(row.PatientName)) == (answered, NAMES[number])


class TestTheRequestsCharacterSet:
    def test_cs2_latin_1_is_answered_in_latin_1(self, unit: Unit) -> None:
        row = name_of(unit, "A005", "ISO_IR 100")
        assert row.SpecificCharacterSet == "ISO_IR 100"
        assert row.PatientName.original_string == bytes.fromhex("4D DC 4C 4C 45 52")

    def test_cs3_unicode_is_answered_in_unicode(self, unit: Unit) -> None:
        row = name_of(unit, "A014", "ISO_IR 192")
        assert row.SpecificCharacterSet == "ISO_IR 192"
        assert row.PatientName.original_string.rstrip(b" ") == NAMES["A014"].encode()

    @pytest.mark.parametrize("asked", ["ISO_IR 100", "ISO_IR 144", "ISO_IR 13", LATIN_1], ids=str)
    def test_cs4_unicode_is_sent_if_the_requested_one_lacks_a_character(self, unit: Unit, asked: Any) -> None:
        row = name_of(unit, "A014", asked)
        assert (row.SpecificCharacterSet, str(row.PatientName)) == ("ISO_IR 192", NAMES["A014"])

    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=["implicit", "explicit"])
    @pytest.mark.parametrize(
        ("asked", "name"),
        [
            ("ISO_IR 144", "ИВАНОВА^АННА"),
            ("ISO_IR 109", "ĠORĠ^ĦAL"),
            (LATIN_1, "MÜLLER^ZOË"),
            ("ISO_IR 13", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
            (["", "ISO 2022 IR 100", "ISO 2022 IR 144"], "MÜLLER^АННА"),
            ("GB18030", "LEE^ANN=李^安"),
        ],
        ids=str,
    )
    def test_each_name_is_read_back_unchanged(self, unit: Unit, asked: Any, name: str, syntax: Any) -> None:
        WorklistItemFactory.create(accession_number="X", patient_name=name)
        with unit.associated([syntax]) as association:
            answer = find(association, request(SpecificCharacterSet=asked, AccessionNumber="X", PatientName=""))
        (row,) = answer.rows
        assert (row.SpecificCharacterSet or "", str(row.PatientName)) == (asked, name)

    def test_a_decomposed_name_is_sent_composed(self, unit: Unit) -> None:
        WorklistItemFactory.create(accession_number="X", patient_name="SIOBHA\u0301N")
        assert name_of(unit, "X", "ISO_IR 100").PatientName.original_string.rstrip() == "SIOBHÁN".encode("latin-1")


class TestKeys:
    @pytest.mark.parametrize("asked", [LATIN_1, "ISO_IR 100", "ISO_IR 192"], ids=str)
    def test_cs5_a_key_is_read_in_the_requests_character_set(self, unit: Unit, asked: Any) -> None:
        assert found(unit, "MÜLLER*", asked) == ["A005"]
        assert found(unit, "müller", asked) == ["A005"]

    @pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
    def test_cs6_an_unknown_character_set_is_read_as_ascii(self, unit: Unit) -> None:
        answer = unit.ask(request(SpecificCharacterSet="ISO_IR 999", PatientName="SMITH*", AccessionNumber=""))
        assert sorted(answer.accession_numbers) == ["A001", "A002", "A003", "A016"]
        assert answer.statuses[-1] == 0x0000

    def test_cs7_a_zero_length_character_set_counts_as_absent(self, unit: Unit) -> None:
        assert found(unit, "SMITH*", "") == found(unit, "SMITH*") == ["A001", "A002", "A003", "A016"]

    @pytest.mark.parametrize(("key", "numbers"), [("O'BRIEN^SIOBH?N", ["A004"]), ("O'BRIEN^SIOBH??N", [])])
    def test_cs9_a_question_mark_is_one_character_and_not_one_byte(
        self, unit: Unit, key: str, numbers: list[str]
    ) -> None:
        assert found(unit, key, "ISO_IR 192") == numbers

    @pytest.mark.parametrize("key", ["O'BRIEN^SIOBHA\u0301N", "o'brien^siobha\u0301n", "*BHA\u0301N"])
    def test_cs10_a_decomposed_key_finds_a_composed_letter(self, unit: Unit, key: str) -> None:
        assert found(unit, key, "ISO_IR 192") == ["A004"]

    @pytest.mark.parametrize("key", ["=李^安", "*=李*", "LEE^ANN", "=李^?"])
    def test_a_key_of_several_groups_finds_by_each(self, unit: Unit, key: str) -> None:
        assert found(unit, key, "ISO_IR 192") == ["A014"]


class TestTheModalitysCharacterSet:
    """CS8: the configured character set of a modality overrides the request's."""

    @pytest.mark.parametrize("asked", [None, "ISO_IR 192", "ISO_IR 100"])
    @pytest.mark.parametrize(
        ("number", "spelled"),
        [("A001", "SMITH^JANE"), ("A004", "O'BRIEN^SIOBHAN"), ("A006", "LUKASZ^WYN"), ("A014", "LEE^ANN")],
    )
    def test_cs8_a_modality_with_ascii_only_is_sent_transliterated_names(
        self, unit: Unit, overridden: int, asked: str | None, number: str, spelled: str
    ) -> None:
        Modality.objects.create(ae_title="MAMMO1", character_set="ascii-transliterate")
        row = name_of(Unit(overridden), number, asked)
        assert (str(row.PatientName), "SpecificCharacterSet" in row) == (spelled, False)

    @pytest.mark.parametrize(("number", "sent"), [("A005", "MÜLLER"), ("A006", "LUKASZ^WYN"), ("A014", "LEE^ANN")])
    def test_a_modality_with_latin_1_is_sent_what_latin_1_has(
        self, unit: Unit, overridden: int, number: str, sent: str
    ) -> None:
        Modality.objects.create(ae_title="MAMMO1", character_set="ISO_IR 100")
        row = name_of(Unit(overridden), number, "ISO_IR 192")
        assert str(row.PatientName) == sent
        assert row.get("SpecificCharacterSet", "ISO_IR 100") == "ISO_IR 100"

    def test_all_texts_of_a_response_are_transliterated(self, unit: Unit, overridden: int) -> None:
        Modality.objects.create(ae_title="MAMMO1", character_set="ascii-transliterate")
        WorklistItemFactory.create(accession_number="X", study_description="Größe", station_name="Ł" * 16)
        step = dataset(ScheduledStationName="", ScheduledProcedureStepDescription="")
        (row,) = Unit(overridden).ask(request(step, AccessionNumber="X", RequestedProcedureDescription="")).rows
        (shown,) = row.ScheduledProcedureStepSequence
        assert (row.RequestedProcedureDescription, shown.ScheduledStationName) == ("Grosse", "L" * 16)
        assert shown.ScheduledProcedureStepDescription == "Grosse"
