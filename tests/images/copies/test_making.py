"""The whole way: an image in any transfer syntax in, a file that Manage can show out."""

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
)

from images.copies import CannotCopy
from images.copies.making import make_copy
from images.phantoms import ORIENTATIONS, Phantom, image_of
from nonprod.manage_pictures import picture_of
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES, encoded
from tests.images.copies.originals import as_jpeg_2000, converted, image_with, with_codestream, written

NOW = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)
ROWS, COLUMNS = 611, 509


def copied(original: Path, ratio: int = 15) -> Path:
    copy = original.with_suffix(".copy.dcm")
    make_copy(original, copy, 400, ratio)
    return copy


def shown(copy: Path) -> NDArray[np.float64]:
    """What Manage shows of a copy, from 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(picture_of(copy.read_bytes())))).astype(float)


def expected(phantom: Phantom) -> NDArray[np.float64]:
    """What a radiographer sees of a phantom: window applied, white letters on black, in full size."""
    plain = Phantom(phantom.view, phantom.rows, phantom.columns).pixels().astype(float)
    return np.clip((plain - 400) / 1000, 0, 1) * 255


def assert_shows(picture: NDArray[np.float64], phantom: Phantom) -> None:
    """Compare with the phantom: the letters where they are, white on black, and the tissue as bright as windowed."""
    rows, columns = picture.shape
    full = expected(phantom)
    at = np.ix_(np.arange(rows) * full.shape[0] // rows, np.arange(columns) * full.shape[1] // columns)
    assert np.corrcoef(picture.ravel(), full[at].ravel())[0, 1] > 0.95
    assert picture.mean() == pytest.approx(full.mean(), abs=5)
    top, left, mask = phantom.letters()
    letters = np.zeros(full.shape, bool)
    letters[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
    box = np.zeros(full.shape, bool)
    box[top : top + mask.shape[0], left : left + mask.shape[1]] = True
    assert picture[letters[at]].mean() > 200
    assert picture[(box & ~letters)[at]].mean() < 60


class TestACopy:
    @pytest.mark.parametrize("syntax", TRANSFER_SYNTAXES)
    @pytest.mark.parametrize("interpretation", ["MONOCHROME1", "MONOCHROME2"])
    def test_of_each_transfer_syntax_shows_the_phantom(self, tmp_path: Path, syntax: str, interpretation: str) -> None:
        phantom = Phantom("L MLO", ROWS, COLUMNS, interpretation)
        image = encoded(image_of(phantom, at=NOW), TRANSFER_SYNTAXES[syntax])
        copy = copied(written(image, tmp_path / "image.dcm"))
        assert_shows(shown(copy), phantom)
        assert dcmread(copy).PhotometricInterpretation == interpretation

    @pytest.mark.usefixtures("findscu")
    @pytest.mark.parametrize(
        "command",
        [
            ["dcmcjpeg", "+e1"],  # JPEG Lossless SV1, Hologic's default
            ["dcmcjpeg", "+el"],  # JPEG Lossless
            ["dcmcjpls"],
            ["dcmcjpls", "+en"],  # JPEG-LS near-lossless
            ["dcmconv", "+ti"],
            ["dcmconv", "+tb"],
            ["dcmcrle"],
        ],
        ids=" ".join,
    )
    def test_of_what_dcmtk_encodes_shows_the_phantom(self, tmp_path: Path, command: list[str]) -> None:
        phantom = Phantom("R MLO", ROWS, COLUMNS)
        original = converted(written(image_of(phantom, at=NOW), tmp_path / "image.dcm"), *command)
        assert_shows(shown(copied(original)), phantom)

    def test_of_what_pillow_encodes_shows_the_phantom(self, tmp_path: Path) -> None:
        phantom = Phantom("R CC", ROWS, COLUMNS)
        original = written(as_jpeg_2000(image_of(phantom, at=NOW)), tmp_path / "image.dcm")
        assert_shows(shown(copied(original)), phantom)

    @pytest.mark.parametrize("view", ORIENTATIONS)
    def test_of_each_view_shows_its_letters(self, tmp_path: Path, view: str) -> None:
        phantom = Phantom(view, ROWS, COLUMNS)
        copy = copied(written(image_of(phantom, at=NOW), tmp_path / "image.dcm"))
        assert_shows(shown(copy), phantom)
        assert f"{dcmread(copy).ImageLaterality} {dcmread(copy).ViewPosition}" == view

    def test_is_the_same_whatever_the_transfer_syntax(self, tmp_path: Path) -> None:
        image = image_of(Phantom("L CC", ROWS, COLUMNS), at=NOW)
        copies = {
            copied(written(encoded(image, syntax), tmp_path / f"{name}.dcm")).read_bytes()
            for name, syntax in TRANSFER_SYNTAXES.items()
        }
        assert len(copies) == 1

    def test_has_about_the_ratio_asked_for(self, tmp_path: Path) -> None:
        copy = dcmread(copied(written(image_of(Phantom(), at=NOW), tmp_path / "image.dcm")))
        assert (copy.Rows, copy.Columns) == (400, 334)
        assert 13 <= copy.LossyImageCompressionRatio <= 17

    @pytest.mark.parametrize("shape", [(1, 1), (3, 3), (1, 400), (400, 1), (2999, 2), (401, 399)])
    @pytest.mark.parametrize("kind", ["flat", "noise", "ramp"])
    def test_of_odd_sizes_and_of_noise_is_compressed_less_if_it_must_be(
        self, tmp_path: Path, shape: tuple[int, int], kind: str
    ) -> None:
        frame = {
            "flat": np.full(shape, 200),
            "noise": np.random.default_rng(1).integers(0, 4096, shape),
            "ramp": np.arange(shape[0] * shape[1]).reshape(shape) % 4096,
        }[kind].astype(np.uint16)
        image = image_with(frame, WindowCenter=2048, WindowWidth=4096)
        assert shown(copied(written(image, tmp_path / "image.dcm"))).size > 0

    def test_of_several_frames_shows_the_middle_one(self, tmp_path: Path) -> None:
        frames = np.zeros((5, 40, 30), np.uint16)
        for number in range(5):
            frames[number, : number * 8] = 4095
        image = image_with(
            frames,
            SOPClassUID=BreastTomosynthesisImageStorage,
            NumberOfFrames=5,
            WindowCenter=2048,
            WindowWidth=4096,
        )
        copy = copied(written(image, tmp_path / "image.dcm"))
        assert dcmread(copy).pixel_array.shape == (40, 30)
        assert (shown(copy) > 128).mean(axis=1).round().sum() == 16

    def test_of_an_enhanced_image_uses_the_window_of_its_frame(self, tmp_path: Path) -> None:
        frames = np.tile(np.linspace(0, 4095, 32).astype(np.uint16), (3, 20, 1))
        image = image_with(frames, NumberOfFrames=3)
        image.SharedFunctionalGroupsSequence = [_group(RescaleSlope=2, RescaleIntercept=0)]
        image.PerFrameFunctionalGroupsSequence = [
            _group(WindowCenter=centre, WindowWidth=2) for centre in (500, 4096, 8000)
        ]
        picture = shown(copied(written(image, tmp_path / "image.dcm")))
        assert (picture[:, :16].mean(), picture[:, 16:].mean()) == pytest.approx((0, 255), abs=10)

    def test_of_a_colour_picture_is_grey(self, tmp_path: Path) -> None:
        colours = np.zeros((60, 90, 3), np.uint8)
        colours[:, :30, 0], colours[:, 30:60, 1], colours[:, 60:, 2] = 255, 255, 255
        image = image_with(
            colours,
            8,
            SOPClassUID=SecondaryCaptureImageStorage,
            SamplesPerPixel=3,
            PlanarConfiguration=0,
            PhotometricInterpretation="RGB",
        )
        red, green, blue = np.split(dcmread(copied(written(image, tmp_path / "image.dcm"))).pixel_array, 3, axis=1)
        assert (red.mean(), green.mean(), blue.mean()) == pytest.approx((76, 149, 29), abs=6)
        jpeg = io.BytesIO()
        Image.fromarray(colours).save(jpeg, "JPEG", quality=95)
        with_codestream(image, jpeg.getvalue(), JPEGBaseline8Bit).PhotometricInterpretation = "YBR_FULL_422"
        red, green, blue = np.split(dcmread(copied(written(image, tmp_path / "jpeg.dcm"))).pixel_array, 3, axis=1)
        assert (red.mean(), green.mean(), blue.mean()) == pytest.approx((76, 149, 29), abs=10)


def _group(**elements: Any) -> Any:
    """Return a functional group with a window or with a rescaling."""
    item, group = Dataset(), Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    keyword = "FrameVOILUTSequence" if "WindowCenter" in elements else "PixelValueTransformationSequence"
    setattr(group, keyword, [item])
    return group


class TestAFailure:
    def test_leaves_nothing_behind(self, tmp_path: Path) -> None:
        original = tmp_path / "image.dcm"
        original.write_bytes(b"\0" * 200)
        with pytest.raises(CannotCopy):
            copied(original)
        assert list(tmp_path.iterdir()) == [original]

    def test_of_a_missing_file_is_not_the_image_s(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            copied(tmp_path / "missing.dcm")

    def test_of_a_folder_that_is_missing_is_not_the_image_s(self, tmp_path: Path) -> None:
        original = written(image_with(np.zeros((5, 5), np.uint16)), tmp_path / "image.dcm")
        with pytest.raises(FileNotFoundError):
            make_copy(original, tmp_path / "missing" / "copy.dcm", 400, 15)

    def test_does_not_replace_a_copy_that_is_there(self, tmp_path: Path) -> None:
        original = written(image_with(np.zeros((5, 5), np.uint16)), tmp_path / "image.dcm")
        copy = copied(original)
        before = copy.read_bytes()
        original.write_bytes(original.read_bytes()[:-40])
        with pytest.raises(CannotCopy):
            copied(original)
        assert copy.read_bytes() == before
