"""Prove that a copy can be shown: decode it as Manage does, and compare it with the picture from which it was made.

Manage reads a copy by pydicom with Pillow as the only codec. Where it cannot decode one, it keeps the row and answers
the next attempt 201, so no answer of Manage's proves that there is a picture.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from images.copies.attributes import UIDS
from images.copies.original import Original

#: How much the copy may differ, as root mean square: this part of the picture's own contrast (its standard deviation),
#: or this many of 255 grey values. One that is inverted, turned or of another image differs by more than its contrast.
OF_CONTRAST, GREY_VALUES = 0.2, 2


def is_proven(copy: Path, original: Original, pixels: NDArray[np.uint8]) -> bool:
    """Return whether the file has the original's UIDs, and shows `pixels` when decoded by Pillow alone.

    Whatever pydicom or Pillow raises about the copy is raised.
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
