import io
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from images.phantoms import Phantom, image_of
from nonprod.manage_pictures import picture_of
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES, encoded
from tests.images.copies.originals import as_jpeg_2000, image_with, written

NOW = datetime(2026, 4, 1, 9, 30, tzinfo=UTC)


class TestThePictureThatManageShows:
    @pytest.mark.parametrize(("interpretation", "left"), [("MONOCHROME1", 255), ("MONOCHROME2", 0)])
    def test_is_stretched_from_the_least_to_the_greatest_value(
        self, tmp_path: Path, interpretation: str, left: int
    ) -> None:
        frame = np.tile(np.linspace(100, 300, 64).astype(np.uint16), (8, 1))
        image = as_jpeg_2000(image_with(frame, PhotometricInterpretation=interpretation))
        picture = np.asarray(Image.open(io.BytesIO(picture_of(written(image, tmp_path / "image.dcm").read_bytes()))))
        assert picture.shape == (8, 64)
        assert (int(picture[0, 0]), int(picture[0, -1])) == pytest.approx((left, 255 - left), abs=4)

    def test_of_one_value_everywhere_is_a_picture(self, tmp_path: Path) -> None:
        image = image_with(np.full((8, 8), 5, np.uint16))
        assert picture_of(written(image, tmp_path / "image.dcm").read_bytes()).startswith(b"\xff\xd8")

    @pytest.mark.parametrize("syntax", ["jpeg-lossless", "jpeg-ls"])
    def test_is_none_of_what_pillow_cannot_decode(self, tmp_path: Path, syntax: str) -> None:
        image = encoded(image_of(Phantom("L CC", 120, 100), at=NOW), TRANSFER_SYNTAXES[syntax])
        with pytest.raises(ValueError, match="No plugin named"):
            picture_of(written(image, tmp_path / "image.dcm").read_bytes())

    def test_is_none_of_several_frames(self, tmp_path: Path) -> None:
        image = image_with(np.zeros((3, 8, 8), np.uint16), NumberOfFrames=3)
        with pytest.raises(ValueError, match="not one grey frame"):
            picture_of(written(image, tmp_path / "image.dcm").read_bytes())
