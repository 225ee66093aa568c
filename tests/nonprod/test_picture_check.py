"""The check of pictures tells right ones from wrong ones."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dicom.scu import VIEWS
from images.phantoms import WHITE, Phantom
from nonprod.picture_check import problems_of

ROWS, COLUMNS = 1147, 957


def jpeg(levels: NDArray[np.float64]) -> bytes:
    """Return a picture of 400 pixels, as Manage shows."""
    made = BytesIO()
    image = Image.fromarray(np.clip(levels, 0, 255).astype(np.uint8))
    image.resize((334, 400), Image.Resampling.BOX).save(made, "JPEG", quality=90)
    return made.getvalue()


def windowed(phantom: Phantom) -> NDArray[np.float64]:
    """Return grey levels of 255: 400 is black and 1400 is white."""
    return (phantom.pixels().astype(np.float64) - 400) / 1000 * 255


@pytest.mark.parametrize("view", VIEWS)
def test_a_right_picture_has_no_problem(view: str) -> None:
    phantom = Phantom(view, ROWS, COLUMNS)
    assert problems_of(jpeg(windowed(phantom)), phantom) == []


def test_a_monochrome1_phantom_looks_the_same() -> None:
    phantom = Phantom("L CC", ROWS, COLUMNS)
    assert problems_of(jpeg(windowed(phantom)), Phantom("L CC", ROWS, COLUMNS, "MONOCHROME1")) == []


def test_wrong_pictures_are_told_by_what_is_wrong() -> None:
    phantom = Phantom("L MLO", ROWS, COLUMNS)
    right = windowed(phantom)
    assert "tissue" in problems_of(jpeg(255 - right), phantom)[0]  # inverted
    assert "tissue" in problems_of(jpeg(phantom.pixels() / WHITE * 255), phantom)[0]  # without the window
    assert "letters" in problems_of(jpeg(right[:, ::-1]), phantom)[-1]  # mirrored
    assert "letters" in problems_of(jpeg(right[::-1]), phantom)[-1]  # upside down
    assert "letters L MLO" in problems_of(jpeg(windowed(Phantom("L CC", ROWS, COLUMNS))), phantom)[-1]
    assert "pixels" in problems_of(jpeg_of_another_shape(), phantom)[0]


def jpeg_of_another_shape() -> bytes:
    made = BytesIO()
    Image.new("L", (400, 334)).save(made, "JPEG")
    return made.getvalue()
