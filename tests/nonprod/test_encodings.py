"""Encoding loses nothing, in any transfer syntax that units send."""

from datetime import datetime
from io import BytesIO

import pytest
from pydicom import dcmread

from images.phantoms import Phantom, image_of
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES, encoded


@pytest.mark.parametrize("name", TRANSFER_SYNTAXES)
def test_the_same_pixels_come_out(name: str) -> None:
    image = image_of(Phantom("R MLO", 201, 155), at=datetime(2026, 11, 28, 14, 30))
    written = BytesIO()
    encoded(image, TRANSFER_SYNTAXES[name]).save_as(written, enforce_file_format=True)
    read = dcmread(BytesIO(written.getvalue()))
    assert read.file_meta.TransferSyntaxUID == TRANSFER_SYNTAXES[name]
    assert (read.pixel_array == image.pixel_array).all()
    assert read.SOPInstanceUID == image.SOPInstanceUID
