"""Make a copy: read the original, turn it into a picture, encode it, and prove that Manage can show it."""

import os
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread

from images.copies import CannotCopy, unfinished
from images.copies.attributes import KEYWORDS, UIDS, part_10_file
from images.copies.original import Original, blaming_the_image, read_original
from images.copies.pixels import picture

#: How much a copy may differ, as root mean square: this part of the picture's own contrast (its standard deviation), or
#: this many of 255 grey values. One that is inverted, turned or of another image differs by more than its contrast.
OF_CONTRAST, GREY_VALUES = 0.2, 2


def make_copy(original: Path, copy: Path, longest_side: int, ratio: int) -> None:
    """Write the copy of an image, at most `longest_side` pixels long and about `ratio` times smaller by compression.

    `copy` appears only once the copy is proven and on disk; until then it has another name beside it (`unfinished`).
    Raise CannotCopy if no copy can be made of the image, and OSError if a file cannot be read or written.
    """
    image = read_original(original, KEYWORDS)
    with blaming_the_image("its grey values cannot be made into a picture"):
        pixels = picture(image, longest_side)
    temporary = unfinished(copy, os.getpid())
    try:
        _write_proven(temporary, image, pixels, ratio)
        temporary.replace(copy)
    finally:
        temporary.unlink(missing_ok=True)


def _write_proven(file: Path, image: Original, pixels: NDArray[np.uint8], ratio: int) -> None:
    """Write a copy, with less compression where the ratio does not leave enough, as in noise or tiny pictures."""
    for less in (ratio, ratio / 2, ratio / 4, 0):
        with blaming_the_image("its copy cannot be encoded"):
            content = part_10_file(image, pixels, jpeg_2000(pixels, less))
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        with blaming_the_image("its copy cannot be read as Manage would"):
            if is_proven(file, image, pixels):
                return
    raise CannotCopy("its copy does not match it")


def jpeg_2000(pixels: NDArray[Any], ratio: float) -> bytes:
    """Encode lossily (ISO 15444-1) in about 1/ratio of the picture's bytes; a ratio of 0 keeps as much as it can.

    The codestream is bare, without the boxes of a JP2 file, as DICOM demands (PS3.5 A.4.4).
    """
    file = BytesIO()
    Image.fromarray(pixels).save(
        file, "JPEG2000", irreversible=True, no_jp2=True, quality_mode="rates", quality_layers=[ratio]
    )
    return file.getvalue()


def is_proven(copy: Path, original: Original, pixels: NDArray[np.uint8]) -> bool:
    """Tell whether a copy has the original's UIDs, and shows `pixels` when decoded as Manage does.

    Manage reads a copy by pydicom with Pillow as the only codec. Where that fails, it keeps the row and answers the
    next attempt 201, so no answer of Manage's proves that there is a picture. Whatever pydicom or Pillow raises about
    the copy is raised.
    """
    decoded = dcmread(copy)
    if any(decoded.get(each) != original.header.get(each) for each in UIDS):
        return False
    decoded.pixel_array_options(decoding_plugin="pillow")
    shown = decoded.pixel_array
    if shown.shape != pixels.shape or shown.dtype != np.uint8:
        return False
    difference = shown.astype(float) - pixels
    return bool(np.sqrt(np.mean(difference**2)) <= max(GREY_VALUES, OF_CONTRAST * pixels.std()))
