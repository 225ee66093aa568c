"""Make a copy: read the original, turn it into a picture, encode it, and prove it."""

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from images.copies import CannotCopy, unfinished
from images.copies.attributes import KEYWORDS, with_attributes
from images.copies.encoding import jpeg_2000
from images.copies.original import Original, blaming_the_image, read_original
from images.copies.pixels import picture
from images.copies.proof import is_proven


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
            content = with_attributes(image, pixels, jpeg_2000(pixels, less))
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
        with os.fdopen(descriptor, "wb") as written:
            written.write(content)
            written.flush()
            os.fsync(written.fileno())
        with blaming_the_image("its copy cannot be read as Manage would"):
            if is_proven(file, image, pixels):
                return
    raise CannotCopy("its copy does not match it")
