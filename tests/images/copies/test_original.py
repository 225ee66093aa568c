"""Damaged and hostile images: each is refused with a sentence that quotes nothing, or copied."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from images.copies import CannotCopy
from images.copies.attributes import KEYWORDS
from images.copies.original import declared_size, read_original
from images.copies.worker import Workers
from images.phantoms import Phantom, image_of
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES, encoded
from tests.images.copies.originals import converted, image_with, with_codestream, written

NOW = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
COMPRESSED = {JPEGLosslessSV1: "jpeg-lossless", JPEGLSLossless: "jpeg-ls", JPEG2000Lossless: "jpeg2000"}
#: The tag of Pixel Data, little and big endian.
PIXEL_DATA = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    workers = Workers(seconds=20)
    yield workers
    workers.close()


def phantom(syntax: str = "explicit") -> Any:
    image = image_of(Phantom("L CC", 120, 101), at=NOW)
    image.PatientName, image.PatientID = "SECRET^NAME", "SECRET"
    return encoded(image, TRANSFER_SYNTAXES[syntax])


class TestACodestream:
    @pytest.mark.parametrize("syntax", COMPRESSED.values())
    def test_declares_its_size(self, syntax: str) -> None:
        assert declared_size(get_frame(phantom(syntax).PixelData, 0, number_of_frames=1)) == (120, 101)

    def test_of_baseline_jpeg_declares_its_size_behind_other_segments(self) -> None:
        jpeg = io.BytesIO()
        Image.new("L", (300, 20)).save(jpeg, "JPEG", comment=b"\xff\xc0 is no marker here")
        assert declared_size(jpeg.getvalue()) == (20, 300)

    def test_in_a_jp2_file_declares_its_size(self) -> None:
        jp2 = io.BytesIO()
        Image.new("L", (300, 20)).save(jp2, "JPEG2000")
        assert declared_size(jp2.getvalue()) == (20, 300)

    @given(
        st.binary(max_size=60), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\x4f\xff\x51" + b"\0" * 20])
    )
    def test_that_is_none_declares_nothing_or_anything(self, rest: bytes, start: bytes) -> None:
        declared_size(start + rest + b"\0" * 40)

    @pytest.mark.parametrize("syntax", COMPRESSED)
    @pytest.mark.parametrize("part", [0.01, 0.5, 0.99])
    def test_that_is_cut_off_is_refused(self, tmp_path: Path, syntax: Any, part: float) -> None:
        image = phantom(COMPRESSED[syntax])
        codestream = get_frame(image.PixelData, 0, number_of_frames=1)
        with_codestream(image, codestream[: int(len(codestream) * part)], syntax)
        with pytest.raises(CannotCopy, match=r"cut off|damaged|another size|cannot be decoded"):
            read_original(written(image, tmp_path / "image.dcm"), KEYWORDS)

    def test_of_several_fragments_is_read(self, tmp_path: Path) -> None:
        image = phantom("jpeg-lossless")
        whole = read_original(written(image, tmp_path / "whole.dcm"), KEYWORDS).frame
        codestream = get_frame(image.PixelData, 0, number_of_frames=1)
        image.PixelData = encapsulate([codestream], fragments_per_frame=3)
        assert np.array_equal(read_original(written(image, tmp_path / "parts.dcm"), KEYWORDS).frame, whole)


class TestStoredValues:
    @pytest.mark.usefixtures("findscu")
    @pytest.mark.parametrize(("bits", "kind"), [(8, "u"), (10, "u"), (12, "u"), (16, "u"), (12, "i"), (16, "i")])
    @pytest.mark.parametrize("program", ["dcmcjpeg +e1", "dcmcjpls", "dcmconv +tb", "gdcm jpeg2000", "gdcm jpeg-ls"])
    def test_are_the_same_in_each_transfer_syntax(self, tmp_path: Path, bits: int, kind: str, program: str) -> None:
        least, most = (0, 1 << bits) if kind == "u" else (-1 << (bits - 1), 1 << (bits - 1))
        frame = np.linspace(least, most - 1, 61 * 53).astype(f"{kind}{1 if bits == 8 else 2}").reshape(61, 53)
        image = image_with(frame, bits, Modality="MG")  # without one, gdcm ends the process
        plain = written(image, tmp_path / "plain.dcm")
        name, *options = program.split()
        if name == "gdcm":
            other = written(encoded(image, TRANSFER_SYNTAXES[options[0]]), tmp_path / "other.dcm")
        else:
            other = converted(plain, name, *options)
        expected, read = (read_original(file, KEYWORDS) for file in (plain, other))
        assert np.array_equal(expected.frame, read.frame)
        assert (read.bits, read.is_signed) == (bits, kind == "i")
        assert np.array_equal(expected.frame.astype(int), frame.astype(int) & (1 << bits) - 1)


class TestWhatIsDeclared:
    @pytest.mark.parametrize(
        ("elements", "reason"),
        [
            ({"Rows": 65535, "Columns": 65535}, "declares a frame of more than 128 MiB"),
            ({"Rows": 0}, "declares no pixels"),
            ({"Rows": 10_000, "Columns": 3000}, "cannot be decoded"),
            ({"BitsAllocated": 32, "BitsStored": 32}, "neither 8 nor up to 16 bits"),
            ({"BitsAllocated": 1, "BitsStored": 1}, "neither 8 nor up to 16 bits"),
            ({"BitsStored": 0}, "neither 8 nor up to 16 bits"),
            ({"BitsStored": 17}, "neither 8 nor up to 16 bits"),
            ({"PhotometricInterpretation": "PALETTE COLOR"}, "neither grey values nor colours"),
            ({"SamplesPerPixel": 4}, "neither grey values nor colours"),
            ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "neither grey values nor colours"),
            ({"NumberOfFrames": 10_000}, "cannot be decoded"),
        ],
    )
    def test_is_held_against_what_can_be_copied(self, tmp_path: Path, elements: Any, reason: str) -> None:
        image = image_with(np.zeros((5, 5), np.uint16), **elements)
        with pytest.raises(CannotCopy, match=reason):
            read_original(written(image, tmp_path / "image.dcm"), KEYWORDS)

    def test_is_not_decoded_in_another_transfer_syntax(self, tmp_path: Path) -> None:
        image = image_with(np.zeros((5, 5), np.uint16))
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        with pytest.raises(CannotCopy, match="transfer syntax"):
            read_original(written(image, tmp_path / "image.dcm"), KEYWORDS)

    def test_without_pixels_is_refused(self, tmp_path: Path) -> None:
        image = image_with(np.zeros((5, 5), np.uint16))
        del image.PixelData
        with pytest.raises(CannotCopy):
            read_original(written(image, tmp_path / "image.dcm"), KEYWORDS)


class TestADamagedImage:
    @pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
    @hypothesis_settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_is_copied_or_refused_and_never_quoted(
        self, tmp_path: Path, workers: Workers, syntax: str, data: st.DataObject
    ) -> None:
        file = tmp_path / "whole.dcm"
        whole = file.read_bytes() if file.exists() else written(phantom(syntax), file).read_bytes()
        damaged = bytearray(whole)
        header = st.integers(132, whole.rindex(PIXEL_DATA[syntax == "big-endian"]) + 100)
        for place in data.draw(st.lists(header | st.integers(132, len(whole) - 1), max_size=4)):
            damaged[place] = data.draw(st.integers(0, 255))
        end = data.draw(st.just(len(whole)) | st.integers(0, len(whole)))
        original = tmp_path / "damaged.dcm"
        original.write_bytes(damaged[:end])
        outcome = ""
        try:
            workers.copy(original, tmp_path / "copy.dcm", 50, 15)
        except CannotCopy as refusal:
            outcome = str(refusal)
        else:
            assert dcmread(tmp_path / "copy.dcm").pixel_array.size
            assert b"NAME" not in (tmp_path / "copy.dcm").read_bytes()
        assert "SECRET" not in outcome
