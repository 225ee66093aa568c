from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from images.copies.attributes import KEYWORDS, part_10_file
from images.copies.making import is_proven, jpeg_2000
from images.copies.original import Original, read_original
from images.copies.pixels import picture
from images.phantoms import Phantom
from tests.images.copies.originals import image_with, written


@pytest.fixture
def original(tmp_path: Path) -> Original:
    frame = Phantom("L CC", 300, 300).pixels()
    return read_original(
        written(image_with(frame, WindowCenter=900, WindowWidth=1000), tmp_path / "image.dcm"), KEYWORDS
    )


def is_good(original: Original, shown: NDArray[Any], folder: Path, ratio: float = 15) -> bool:
    """Tell whether a copy that shows `shown` is proven to be one of the original."""
    copy = folder / "copy.dcm"
    copy.write_bytes(part_10_file(original, shown, jpeg_2000(shown, ratio)))
    return is_proven(copy, original, picture(original, 400))


class TestTheProof:
    def test_holds_for_the_picture(self, original: Original, tmp_path: Path) -> None:
        assert is_good(original, picture(original, 400), tmp_path)

    @pytest.mark.parametrize(
        "change",
        [
            lambda pixels: 255 - pixels,
            lambda pixels: pixels[:, ::-1],
            lambda pixels: pixels[::-1],
            lambda pixels: pixels.T,
            lambda pixels: np.roll(pixels, 60, axis=1),
            lambda pixels: pixels // 2,
            np.zeros_like,
            lambda pixels: pixels[:-1],
        ],
        ids=["inverted", "mirrored", "upside down", "turned", "moved", "dark", "black", "cut off"],
    )
    def test_fails_for_another_picture(self, original: Original, tmp_path: Path, change: Any) -> None:
        assert not is_good(original, np.ascontiguousarray(change(picture(original, 400))), tmp_path)

    def test_fails_for_noise_that_is_compressed_too_much(self, tmp_path: Path) -> None:
        noise = np.random.default_rng(1).integers(0, 4096, (300, 300)).astype(np.uint16)
        original = read_original(written(image_with(noise), tmp_path / "image.dcm"), KEYWORDS)
        assert not is_good(original, picture(original, 400), tmp_path, 15)
        assert is_good(original, picture(original, 400), tmp_path, 0)

    def test_holds_for_one_value_everywhere(self, tmp_path: Path) -> None:
        flat = image_with(np.full((300, 300), 7, np.uint16))
        original = read_original(written(flat, tmp_path / "image.dcm"), KEYWORDS)
        assert is_good(original, picture(original, 400), tmp_path)

    def test_fails_for_another_image(self, original: Original, tmp_path: Path) -> None:
        copy = tmp_path / "copy.dcm"
        pixels = picture(original, 400)
        copy.write_bytes(part_10_file(original, pixels, jpeg_2000(pixels, 15)))
        original.header.SOPInstanceUID = "1.2.3.4"
        assert not is_proven(copy, original, pixels)

    def test_is_not_given_by_another_codec(self, original: Original, tmp_path: Path) -> None:
        copy = tmp_path / "copy.dcm"
        pixels = picture(original, 400)
        copy.write_bytes(part_10_file(original, pixels, b"\xff\xd8 is no JPEG 2000"))
        with pytest.raises(Exception, match="pillow"):
            is_proven(copy, original, pixels)
