from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue
from pydicom.uid import JPEG2000

from images.copies import CannotCopy
from images.copies.attributes import DESCRIPTIVE, UIDS
from images.copies.making import make_copy
from images.phantoms import Phantom, image_of
from tests.images.copies.originals import image_with, written

NOW = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
#: What describes the copy itself.
OF_THE_COPY = {
    "SpecificCharacterSet",
    "ImageType",
    "DerivationDescription",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "PresentationLUTShape",
    "PixelData",
}


def copy_of(image: Dataset, folder: Path) -> Dataset:
    make_copy(written(image, folder / "image.dcm"), folder / "copy.dcm", 400, 15)
    return dcmread(folder / "copy.dcm")


def small(**elements: Any) -> Dataset:
    return image_with(np.arange(600, dtype=np.uint16).reshape(20, 30), **elements)


class TestACopy:
    def test_has_what_manage_reads_and_nothing_else(self, tmp_path: Path) -> None:
        image = image_of(Phantom("L CC", 120, 100), at=NOW)
        image.PatientID = "9434765919"
        image.PatientName, image.PatientBirthDate, image.PatientAddress = "SECRET^NAME", "19500101", "1 SECRET STREET"
        image.OtherPatientIDs, image.PatientComments, image.ImageComments = "SECRET", "SECRET", "SECRET"
        image.OperatorsName = image.ReferringPhysicianName = image.PerformingPhysicianName = "SECRET^NAME"
        image.InstitutionName = image.StationName = image.AccessionNumber = "SECRET"
        image.add_new(0x00090010, "LO", "SECRET")
        image.add_new(0x00091001, "LO", "SECRET")
        image.add_new(0x60003000, "OW", b"SECRET")
        image.RequestAttributesSequence = [Dataset()]
        copy = copy_of(image, tmp_path)
        assert {element.keyword for element in copy} == {*UIDS, *DESCRIPTIVE} | OF_THE_COPY
        for keyword in (*UIDS, *DESCRIPTIVE):
            assert copy[keyword].value == image[keyword].value
        assert b"SECRET" not in (tmp_path / "copy.dcm").read_bytes()

    def test_is_a_part_10_file(self, tmp_path: Path) -> None:
        copy = copy_of(small(), tmp_path)
        assert copy.preamble == b"\0" * 128
        assert copy.file_meta.TransferSyntaxUID == JPEG2000
        assert copy.file_meta.MediaStorageSOPInstanceUID == copy.SOPInstanceUID == "1.2.3"
        assert copy.file_meta.MediaStorageSOPClassUID == copy.SOPClassUID

    def test_lacks_what_the_image_lacks(self, tmp_path: Path) -> None:
        assert {element.keyword for element in copy_of(small(), tmp_path)} == {*UIDS} | OF_THE_COPY

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (["ORIGINAL", "PRIMARY"], ["DERIVED", "SECONDARY"]),
            (["ORIGINAL", "PRIMARY", "", "LEFT"], ["DERIVED", "SECONDARY", "", "LEFT"]),
            (["DERIVED", "PRIMARY", "TOMO_2D", "RIGHT"], ["DERIVED", "SECONDARY", "TOMO_2D", "RIGHT"]),
            ("ORIGINAL", ["DERIVED", "SECONDARY"]),
            (None, ["DERIVED", "SECONDARY"]),
        ],
    )
    def test_is_derived_and_secondary(self, tmp_path: Path, before: Any, after: list[str]) -> None:
        assert copy_of(small(ImageType=before), tmp_path).ImageType == after

    def test_says_how_much_it_is_compressed(self, tmp_path: Path) -> None:
        copy = copy_of(image_of(Phantom("L CC", 800, 700), at=NOW), tmp_path)
        assert (copy.LossyImageCompression, copy.LossyImageCompressionMethod) == ("01", "ISO_15444_1")
        size = copy.Rows * copy.Columns
        assert copy.LossyImageCompressionRatio == pytest.approx(size / len(copy.PixelData), rel=0.02)

    def test_says_how_the_image_was_compressed_before(self, tmp_path: Path) -> None:
        image = small(
            LossyImageCompression="01", LossyImageCompressionRatio=[4.5, 2], LossyImageCompressionMethod=["A", "B"]
        )
        copy = copy_of(image, tmp_path)
        assert copy.LossyImageCompressionMethod == ["A", "B", "ISO_15444_1"]
        assert copy.LossyImageCompressionRatio[:2] == [4.5, 2]

    def test_says_nothing_of_a_compression_that_was_none(self, tmp_path: Path) -> None:
        image = small(LossyImageCompression="00", LossyImageCompressionRatio=1, LossyImageCompressionMethod="NONE")
        assert copy_of(image, tmp_path).LossyImageCompressionMethod == "ISO_15444_1"

    def test_reads_each_character_set_and_is_written_in_unicode(self, tmp_path: Path) -> None:
        image = small(SpecificCharacterSet="ISO_IR 144", StudyDescription="Маммография")
        copy = copy_of(image, tmp_path)
        assert (copy.SpecificCharacterSet, copy.StudyDescription) == ("ISO_IR 192", "Маммография")

    def test_has_no_spaces_around_the_patient_id(self, tmp_path: Path) -> None:
        assert copy_of(small(PatientID="  9434765919 "), tmp_path).PatientID == "9434765919"

    def test_leaves_out_what_dicom_does_not_allow(self, tmp_path: Path) -> None:
        image = small(Modality="MG", StudyDescription="much")
        image["StudyDescription"]._value = "x" * 65
        image.add_new(0x00200011, "LO", "first")  # Series Number, where a number belongs
        image.add_new(0x00080020, "LO", "yesterday")  # Study Date
        image.PatientID = ["9434765919", "9434765870"]
        copy = copy_of(image, tmp_path)
        assert copy.Modality == "MG"
        assert not {"StudyDescription", "SeriesNumber", "StudyDate", "PatientID"} & set(copy.dir())

    def test_keeps_uids_that_break_the_rules(self, tmp_path: Path) -> None:
        image = small()
        image["SeriesInstanceUID"]._value = "1.02.003"
        assert copy_of(image, tmp_path).SeriesInstanceUID == "1.02.003"

    @pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
    def test_is_not_made_without_its_uids(self, tmp_path: Path, keyword: str) -> None:
        with pytest.raises(CannotCopy, match=keyword):
            copy_of(small(**{keyword: None}), tmp_path)

    def test_has_the_laterality_of_its_frame(self, tmp_path: Path) -> None:
        anatomy, group = Dataset(), Dataset()
        anatomy.FrameLaterality = "L"
        group.FrameAnatomySequence = [anatomy]
        copy = copy_of(small(SharedFunctionalGroupsSequence=[group]), tmp_path)
        assert copy.ImageLaterality == "L"
        assert not isinstance(copy.ImageLaterality, MultiValue)

    @pytest.mark.parametrize(("code", "position"), [("R-10242", "CC"), ("399368009", "MLO"), ("R-10230", None)])
    def test_has_the_view_position_of_the_view_s_code(self, tmp_path: Path, code: str, position: str | None) -> None:
        view = Dataset()
        view.CodeValue = code
        assert copy_of(small(ViewCodeSequence=[view]), tmp_path).get("ViewPosition") == position

    def test_has_the_attributes_that_the_decision_names(self) -> None:
        decision = " ".join(Path("docs/adr/0016-copies-for-manage.md").read_text().split())
        named = ", ".join(f"`{keyword}`" for keyword in DESCRIPTIVE)
        assert named in decision
