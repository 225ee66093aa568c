"""Make the picture that Manage shows of an image: as Manage does, with pydicom, numpy and Pillow alone."""

import io

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.pixels.utils import pixel_array


def picture_of(file: bytes) -> bytes:
    """Return the JPEG of a Part 10 file; raise an exception of any type if Manage could not decode it.

    MONOCHROME1 is turned round, and the values are stretched from the least to the greatest.
    """
    dataset = dcmread(io.BytesIO(file))
    plugin = "pillow" if dataset.file_meta.TransferSyntaxUID.is_compressed else ""
    pixels = pixel_array(dataset, decoding_plugin=plugin).astype(np.float64)
    if pixels.ndim != 2:
        raise ValueError("not one grey frame")
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = pixels.max() - pixels
    pixels -= pixels.min()
    if pixels.max():
        pixels *= 255 / pixels.max()
    made = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(made, "JPEG", quality=90)
    return made.getvalue()
