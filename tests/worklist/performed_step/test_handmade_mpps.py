"""MPPS with a modality that uses none of the gateway's libraries.

No program in Debian sends MPPS as a modality: DCMTK, which test_find_with_dcmtk.py uses for the worklist, sends
N-CREATE only to printers, and CTN and Odil have no program for it. So raw_mpps.py writes the bytes by hand, and in one
test DCMTK's dump2dcm writes them.
"""

import subprocess
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from tests.dicom.raw import AFFECTED_UID, ERROR_COMMENT, ERROR_ID, EXPLICIT, IMPLICIT, Answer, Element, changed
from tests.dicom.raw_mpps import CHARACTER_SET, NHS_NUMBER, PPS_STATUS, ended, reporting, started
from tests.dicom.requests import PATIENCE, Unit
from tests.factories import WorklistItemFactory
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem

pytestmark = pytest.mark.once

UID = "2.25.123"  # of an even number of characters
LATIN_1 = Element(CHARACTER_SET, "CS", "ISO_IR 100")


@pytest.fixture
def item(unit: Unit) -> WorklistItem:
    """Create an item of the patient in the reports."""
    item: WorklistItem = WorklistItemFactory.create(
        accession_number="ACC1", patient_id=NHS_NUMBER, study_instance_uid="2.25.77"
    )
    return item


def status_of(item: WorklistItem) -> str:
    item.refresh_from_db()
    return item.status


def stored_step() -> PerformedProcedureStep:
    return PerformedProcedureStep.objects.get()


def series_descriptions() -> list[str]:
    """Return the Series Descriptions of the stored step."""
    return [each.SeriesDescription for each in Dataset.from_json(stored_step().data_set).PerformedSeriesSequence]


@pytest.mark.parametrize("transfer_syntax", [IMPLICIT, EXPLICIT])
class TestAWholeStep:
    def test_begins_and_is_completed(self, unit: Unit, item: WorklistItem, transfer_syntax: str) -> None:
        with reporting(unit.port, transfer_syntax) as modality:
            created = modality.create(UID, started("ACC1"))
            assert (created.status, created.text(AFFECTED_UID)) == (0x0000, UID)
            assert status_of(item) == "IN PROGRESS"
            assert modality.set(UID, ended()).status == 0x0000
        assert status_of(item) == "COMPLETED"
        assert (stored_step().series, stored_step().images, stored_step().calling_ae_title) == (1, 1, "MAMMO1")
        assert not MppsException.objects.exists()

    def test_is_stored_in_unicode(self, unit: Unit, item: WorklistItem, transfer_syntax: str) -> None:
        with reporting(unit.port, transfer_syntax) as modality:
            assert modality.create(UID, [LATIN_1, *started("ACC1")]).status == 0x0000
            assert modality.set(UID, [LATIN_1, *ended(description=b"\xdcbersicht")]).status == 0x0000
        assert series_descriptions() == ["Übersicht"]

    def test_is_read_in_the_character_set_of_its_n_create_if_the_n_set_has_none(
        self, unit: Unit, item: WorklistItem, transfer_syntax: str
    ) -> None:
        with reporting(unit.port, transfer_syntax) as modality:
            assert modality.create(UID, [LATIN_1, *started("ACC1")]).status == 0x0000
            assert modality.set(UID, ended(description=b"\xdcbersicht")).status == 0x0000
        assert series_descriptions() == ["Übersicht"]

    def test_that_is_discontinued_takes_the_item_off_the_list(
        self, unit: Unit, item: WorklistItem, transfer_syntax: str
    ) -> None:
        with reporting(unit.port, transfer_syntax) as modality:
            modality.create(UID, started("ACC1"))
            assert modality.set(UID, ended("DISCONTINUED")).status == 0x0000
        assert status_of(item) == "DISCONTINUED"


class TestRefusals:
    def test_a_duplicate_n_create_is_refused_with_0111(self, unit: Unit, item: WorklistItem) -> None:
        with reporting(unit.port) as modality:
            assert modality.create(UID, started("ACC1")).status == 0x0000
            again = modality.create(UID, started("ACC1"))
        assert (again.status, again.text(AFFECTED_UID)) == (0x0111, UID)
        assert stored_step().status == status_of(item) == "IN PROGRESS"

    @pytest.mark.parametrize("late", [ended(), ended("DISCONTINUED"), [Element(PPS_STATUS, "CS", "IN PROGRESS")]])
    def test_an_n_set_after_the_end_is_refused_with_0110(
        self, unit: Unit, item: WorklistItem, late: list[Element]
    ) -> None:
        with reporting(unit.port) as modality:
            modality.create(UID, started("ACC1"))
            modality.set(UID, ended())
            refused = modality.set(UID, late)
        assert_is_final(refused)
        assert stored_step().status == status_of(item) == "COMPLETED"

    def test_an_n_set_of_an_unknown_step_is_refused_with_0112(self, unit: Unit, item: WorklistItem) -> None:
        with reporting(unit.port) as modality:
            assert modality.set(UID, ended()).status == 0x0112

    def test_an_n_create_with_a_final_status_is_refused_with_0106(self, unit: Unit, item: WorklistItem) -> None:
        with reporting(unit.port) as modality:
            report = changed(started("ACC1"), Element(PPS_STATUS, "CS", "COMPLETED"))
            assert modality.create(UID, report).status == 0x0106
        assert not PerformedProcedureStep.objects.exists()
        assert status_of(item) == "SCHEDULED"

    def test_bytes_that_are_no_data_set_end_neither_the_association_nor_the_step(
        self, unit: Unit, item: WorklistItem
    ) -> None:
        with reporting(unit.port) as modality:
            assert modality.create(UID, b"\x08\x00\x05\x00\xff\xff").status != 0x0000
            assert modality.create(UID, started("ACC1")).status == 0x0000
        assert status_of(item) == "IN PROGRESS"

    @pytest.mark.parametrize("vr", ["--", "RE", "  "])
    def test_a_report_of_which_a_part_could_get_lost_is_refused_with_0110(
        self, unit: Unit, item: WorklistItem, vr: str
    ) -> None:
        strange = Element(0x001021B0, vr, "G000")
        with reporting(unit.port, EXPLICIT) as modality:
            refused = modality.create(UID, [*started("ACC1"), strange])
            assert (refused.status, refused.text(ERROR_COMMENT)) == (0x0110, "(0010,21B0) has an unknown VR")
            assert modality.create(UID, started("ACC1")).status == 0x0000
            refused = modality.set(UID, [*ended(), strange])
            assert (refused.status, refused.text(ERROR_COMMENT)) == (0x0110, "(0010,21B0) has an unknown VR")
        assert stored_step().status == status_of(item) == "IN PROGRESS"


def assert_is_final(answer: Answer) -> None:
    """Check for the status and the comment of PS3.4 table F.7.2-2."""
    assert (answer.status, answer.number(ERROR_ID)) == (0x0110, 0xA710)
    assert answer.text(ERROR_COMMENT) == "Performed Procedure Step Object may no longer be updated"


class TestUids:
    """A UID with an odd number of characters is padded with one NUL byte (PS3.5 section 9.1)."""

    @pytest.mark.parametrize("end", [b"", b"\0", b"\0\0\0", b" "])
    def test_padding_is_not_part_of_the_sop_instance_uid(self, unit: Unit, item: WorklistItem, end: bytes) -> None:
        with reporting(unit.port) as modality:
            assert modality.create(b"2.25.12" + end, started("ACC1")).status == 0x0000
            assert modality.create(b"2.25.12", started("ACC1")).status == 0x0111
            assert modality.set(b"2.25.12\0", ended()).status == 0x0000
        assert stored_step().sop_instance_uid == "2.25.12"
        assert status_of(item) == "COMPLETED"

    @pytest.mark.parametrize("study_uid", ["2.25.77", "2.25.77\0", "2.25.77 "])
    def test_padding_is_not_part_of_a_uid_in_the_data_set(self, unit: Unit, item: WorklistItem, study_uid: str) -> None:
        with reporting(unit.port) as modality:
            assert modality.create(UID, started("", study_uid=study_uid)).status == 0x0000
        assert status_of(item) == "IN PROGRESS"


class TestBytesFromDcmtk:
    def test_are_understood(self, unit: Unit, item: WorklistItem, findscu: None, tmp_path: Path) -> None:
        created = by_dump2dcm(tmp_path, CREATION)
        final = by_dump2dcm(tmp_path, FINAL_CHANGE)
        with reporting(unit.port) as modality:
            assert modality.create(UID, created).status == 0x0000
            assert status_of(item) == "IN PROGRESS"
            assert modality.set(UID, final).status == 0x0000
        assert status_of(item) == "COMPLETED"
        assert series_descriptions() == ["Übersicht"]


#: In the format of dcmdump.
CREATION = """
(0008,0005) CS [ISO_IR 192]
(0008,0060) CS [MG]
(0010,0020) LO [9990000018]
(0040,0241) AE [MAMMO1]
(0040,0244) DA [20261123]
(0040,0245) TM [143005]
(0040,0252) CS [IN PROGRESS]
(0040,0253) SH [PPS1]
(0040,0270) SQ
(fffe,e000) -
(0008,0050) SH [ACC1]
(0020,000d) UI [2.25.77]
(fffe,e00d) -
(fffe,e0dd) -
(0040,0340) SQ
(fffe,e0dd) -
"""
FINAL_CHANGE = """
(0008,0005) CS [ISO_IR 192]
(0040,0250) DA [20261123]
(0040,0251) TM [144210]
(0040,0252) CS [COMPLETED]
(0040,0340) SQ
(fffe,e000) -
(0008,103e) LO [Übersicht]
(0018,1030) LO [SCREENING]
(0020,000e) UI [2.25.8001]
(fffe,e00d) -
(fffe,e0dd) -
"""


def by_dump2dcm(folder: Path, dump: str) -> bytes:
    """Return a dump as a data set in Implicit VR Little Endian, with sequences of undefined length, no header."""
    text, made = folder / "dump", folder / "data_set"
    text.write_text(dump, encoding="utf-8")
    command = ["dump2dcm", "--write-dataset", "--write-xfer-implicit", "--length-undefined", str(text), str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE)
    return made.read_bytes()
