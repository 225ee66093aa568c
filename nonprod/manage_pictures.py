"""Make the picture that Manage would show of a DICOM file: a JPEG, by pydicom with Pillow as the only codec."""

from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from pydicom import dcmread


class NoPicture(Exception):
    """Manage could make no picture of the file, and would answer 500."""


def picture_of(file: Path | BinaryIO) -> bytes:
    """Return the JPEG: MONOCHROME1 turned round, then stretched from the least to the greatest value.

    As in Manage, one value everywhere gives a picture, too. NoPicture is raised for what Manage cannot decode, and for
    what is not one grey frame.
    """
    try:
        image = dcmread(file)
        image.pixel_array_options(decoding_plugin="pillow")  # gdcm, which the gateway has, would decode more
        pixels = image.pixel_array.astype(np.float64)
    except Exception as error:
        raise NoPicture("pydicom and Pillow cannot decode it") from error
    if pixels.ndim != 2:
        raise NoPicture("it is not one grey frame")
    if image.PhotometricInterpretation == "MONOCHROME1":
        pixels = pixels.max() - pixels
    least, greatest = pixels.min(), pixels.max()
    grey = (pixels - least) / (greatest - least) * 255 if greatest > least else np.zeros_like(pixels)
    jpeg = BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(jpeg, "JPEG")
    return jpeg.getvalue()
