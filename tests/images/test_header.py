"""The header of a data set: what is read, what is refused, and what cannot be mistaken for it."""

import random
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from io import BytesIO
from pathlib import Path

import pytest
from django.utils import timezone
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
)

from dicom.failures import UnreadableDataSet
from images.header import Header, read_header
from images.phantoms import Phantom
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES, encoded
from tests.images.receiving import data_set_of, image

TINY = Phantom(rows=101, columns=100)

Read = Callable[..., Header]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that reads the header of a data set, of bytes or of an image."""

    def read_one(made: Dataset | bytes, syntax: str = "") -> Header:
        file = tmp_path / "file"
        file.write_bytes(b"before" + (made if isinstance(made, bytes) else data_set_of(made)))
        return read_header(file, len(b"before"), syntax or made.file_meta.TransferSyntaxUID)  # type: ignore[union-attr]

    return read_one


@pytest.fixture(params=list(TRANSFER_SYNTAXES.values()), ids=list(TRANSFER_SYNTAXES))
def tiny(request: pytest.FixtureRequest) -> Dataset:
    """A tiny image in each transfer syntax."""
    return encoded(image(TINY), request.param)


class TestAHeader:
    def test_is_read_in_each_transfer_syntax(self, read: Read, tiny: Dataset) -> None:
        header = read(tiny)
        assert (header.sop_class_uid, header.sop_instance_uid) == (tiny.SOPClassUID, tiny.SOPInstanceUID)
        assert (header.study_instance_uid, header.series_instance_uid) == (
            tiny.StudyInstanceUID,
            tiny.SeriesInstanceUID,
        )
        assert (header.image_laterality, header.view_position) == ("L", "CC")
        assert header.identity.study_instance_uid == tiny.StudyInstanceUID
        assert header.identity.accession_numbers == ("ACC1",)
        assert header.identity.patient_id == "9990000001"
        assert header.identity.study_date == date(2026, 3, 10)

    @pytest.mark.parametrize(
        ("acquired", "content", "taken_at"),
        [
            (("20260310", "093012.5"), ("20260310", "0931"), datetime(2026, 3, 10, 9, 30, 12, 500_000)),
            (("20260310", ""), ("20260310", "0931"), datetime(2026, 3, 10, 9, 31)),
            (("", ""), ("2026031", "0931"), None),
            (("20260310", ""), ("", "0931"), None),
        ],
    )
    def test_says_when_the_image_was_taken(
        self, read: Read, acquired: tuple[str, str], content: tuple[str, str], taken_at: datetime | None
    ) -> None:
        made = image(TINY)
        made.AcquisitionDate, made.AcquisitionTime = acquired
        made.ContentDate, made.ContentTime = content
        assert read(made).identity.taken_at == (taken_at and timezone.make_aware(taken_at))

    @pytest.mark.parametrize(
        ("acquired", "offset", "taken_at"),
        [
            ("20260701093012", "", "2026-07-01T09:30:12+01:00"),
            ("20260701093012", "-0200", "2026-07-01T09:30:12-02:00"),
            ("202607010930+0000", "-0200", "2026-07-01T09:30+00:00"),
            ("20260701", "+0000", "2026-07-01T09:31+00:00"),
        ],
    )
    def test_says_it_by_the_offset_of_the_machine_from_utc(
        self, read: Read, acquired: str, offset: str, taken_at: str
    ) -> None:
        made = image(TINY, AcquisitionDateTime=acquired, AcquisitionDate="20260701", AcquisitionTime="0931")
        made.TimezoneOffsetFromUTC = offset
        assert read(made).identity.taken_at == datetime.fromisoformat(taken_at)

    def test_has_the_accession_numbers_of_the_requests_behind_its_own(self, read: Read) -> None:
        made = image(TINY)
        first, second = Dataset(), Dataset()
        first.AccessionNumber, second.AccessionNumber = "ACC2", "ACC1"
        made.RequestAttributesSequence = [first, second]
        assert read(made).identity.accession_numbers == ("ACC1", "ACC2")
        made.AccessionNumber = ""
        assert read(made).identity.accession_numbers == ("ACC2", "ACC1")

    def test_keeps_few_of_very_many_accession_numbers_and_enough_of_a_long_one_to_tell_it_from_ours(
        self, read: Read
    ) -> None:
        made = image(TINY)
        made.RequestAttributesSequence = [Dataset() for _ in range(100)]
        for number, requested in enumerate(made.RequestAttributesSequence):
            requested.add_new("AccessionNumber", "UT", f"{number:02}" * 100)
        numbers = read(made).identity.accession_numbers
        assert (len(numbers), numbers[0], {len(number) for number in numbers[1:]}) == (16, "ACC1", {64})

    @pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
    def test_has_them_from_items_of_undefined_length(self, read: Read, syntax: UID) -> None:
        made = image(TINY)
        item = Dataset()
        item.AccessionNumber = "ACC2"
        item.is_undefined_length_sequence_item = True
        made.RequestAttributesSequence = [item]
        made["RequestAttributesSequence"].is_undefined_length = True
        assert read(encoded(made, syntax)).identity.accession_numbers == ("ACC1", "ACC2")

    @pytest.mark.parametrize("undefined", [True, False])
    def test_is_not_taken_from_within_a_sequence_or_a_private_element(self, read: Read, undefined: bool) -> None:
        made = image(TINY)
        decoy = image(Phantom(rows=102, columns=100), PatientID="9990000002")
        decoy.is_undefined_length_sequence_item = undefined
        for tag in (0x00080012, 0x00881140):
            made.add_new(tag, "SQ", [decoy])
            made[tag].is_undefined_length = undefined
        made.private_block(0x0029, "A MAKER", create=True).add_new(1, "SQ", [decoy])
        header = read(made)
        assert header.sop_instance_uid == made.SOPInstanceUID
        assert header.identity.patient_id == "9990000001"

    def test_shows_no_patient_in_its_representation(self, read: Read) -> None:
        assert "9990000001" not in repr(read(image(TINY)))


class TestADataSet:
    def test_that_is_cut_off_anywhere_is_refused(self, read: Read, tiny: Dataset) -> None:
        whole = data_set_of(tiny)
        for length in {*range(0, 2500, 3), *range(2500, len(whole), 997), *range(len(whole) - 12, len(whole))}:
            with pytest.raises(UnreadableDataSet):
                read(whole[:length], tiny.file_meta.TransferSyntaxUID)

    def test_that_is_damaged_anywhere_raises_nothing_else(self, read: Read, tiny: Dataset) -> None:
        whole = data_set_of(tiny)
        chance = random.Random(16)
        for _ in range(300):
            damaged = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                damaged[chance.randrange(2500)] = chance.choice((0, 255, chance.randrange(256)))
            with suppress(UnreadableDataSet):
                read(bytes(damaged), tiny.file_meta.TransferSyntaxUID)

    @pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
    @pytest.mark.parametrize("value", ["", "1.2.a", "5"])
    def test_needs_the_uids_of_its_study_and_series(self, read: Read, keyword: str, value: str) -> None:
        made = image(TINY)
        made[keyword]._value = value
        with pytest.raises(UnreadableDataSet, match="is missing, or no UID"):
            read(made)

    @pytest.mark.parametrize(
        ("keyword", "value"),
        [("Rows", 102), ("Columns", 99), ("BitsAllocated", 8), ("SamplesPerPixel", 3), ("NumberOfFrames", 2)],
    )
    def test_whose_pixels_are_of_another_length_is_refused(self, read: Read, keyword: str, value: int) -> None:
        with pytest.raises(UnreadableDataSet, match="Pixel data are cut off"):
            read(image(TINY, **{keyword: value}))

    @pytest.mark.parametrize("keyword", ["Rows", "Columns", "BitsAllocated", "SamplesPerPixel"])
    def test_that_does_not_say_how_many_pixels_it_has_is_refused(self, read: Read, keyword: str) -> None:
        made = image(TINY)
        made["PixelData"].VR = "OW"
        del made[keyword]
        with pytest.raises(UnreadableDataSet, match="is missing"):
            read(made)

    def test_without_pixel_data_is_refused(self, read: Read) -> None:
        made = image(TINY)
        del made.PixelData
        with pytest.raises(UnreadableDataSet, match="no pixel data"):
            read(made)

    def test_with_an_element_twice_is_refused(self, read: Read) -> None:
        whole = data_set_of(image(TINY))
        instance = whole.index(b"\x08\0\x18\0UI")
        end = instance + 8 + int.from_bytes(whole[instance + 6 : instance + 8], "little")
        with pytest.raises(UnreadableDataSet, match=r"\(0008,0018\) is out of order, doubled"):
            read(whole[:end] + whole[instance:end] + whole[end:], ExplicitVRLittleEndian)

    def test_may_have_padding_behind_its_pixels(self, read: Read) -> None:
        made = image(TINY)
        made.add_new(0xFFFCFFFC, "OB", bytes(100))
        assert read(made).view_position == "CC"

    def test_of_too_many_elements_is_refused(self, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("images.header.MAX_HEADERS", 20)
        with pytest.raises(UnreadableDataSet, match="too many elements"):
            read(image(TINY))

    def test_that_is_nested_too_deeply_is_refused(self, read: Read) -> None:
        made = image(TINY)
        inner = Dataset()
        for _ in range(20):
            outer = Dataset()
            inner.is_undefined_length_sequence_item = True
            outer.ReferencedSeriesSequence = [inner]
            outer["ReferencedSeriesSequence"].is_undefined_length = True
            inner = outer
        made.update(inner)
        with pytest.raises(UnreadableDataSet, match="nested too deeply"):
            read(made)


class TestEncapsulatedPixels:
    @pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEG2000Lossless])
    def test_that_are_cut_off_within_their_code_stream_are_refused(self, read: Read, syntax: UID) -> None:
        made = encoded(image(TINY), syntax)
        (frame,) = generate_frames(made.PixelData, number_of_frames=1)
        made.PixelData = encapsulate([frame[: len(frame) // 2]])
        with pytest.raises(UnreadableDataSet, match="cut off within the last frame"):
            read(made)

    def test_need_a_fragment_for_each_frame(self, read: Read) -> None:
        made = encoded(image(TINY), JPEGLosslessSV1)
        made.NumberOfFrames = 2
        with pytest.raises(UnreadableDataSet, match="fewer fragments than frames"):
            read(made)

    def test_may_have_several_fragments_a_frame(self, read: Read) -> None:
        made = encoded(image(TINY), JPEGLosslessSV1)
        (frame,) = generate_frames(made.PixelData, number_of_frames=1)
        made.PixelData = encapsulate([frame], fragments_per_frame=3, has_bot=False)
        assert read(made).view_position == "CC"

    def test_may_have_the_boxes_of_a_jp2_file_around_them(self, read: Read) -> None:
        jp2 = BytesIO()
        Image.new("L", (100, 101)).save(jp2, "JPEG2000")
        made = encoded(image(TINY), JPEG2000Lossless)
        made.PixelData = encapsulate([jp2.getvalue()])
        assert read(made).view_position == "CC"

    def test_that_are_not_encapsulated_are_refused(self, read: Read) -> None:
        with pytest.raises(UnreadableDataSet, match="not encapsulated"):
            read(data_set_of(image(TINY)), JPEGLosslessSV1)

    def test_that_are_native_pixels_in_fragments_are_refused(self, read: Read) -> None:
        made = encoded(image(TINY), JPEGLosslessSV1)
        made.PixelData = encapsulate([image(TINY).PixelData])
        with pytest.raises(UnreadableDataSet, match="do not begin as"):
            read(made)

    def test_in_a_native_syntax_are_refused(self, read: Read) -> None:
        with pytest.raises(UnreadableDataSet):
            read(data_set_of(encoded(image(TINY), JPEGLosslessSV1)), ExplicitVRLittleEndian)
