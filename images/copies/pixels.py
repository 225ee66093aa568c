"""Turn stored values into the picture to be shown: modality LUT, VOI LUT or window, and a smaller size.

Pixels have at most 16 bits, so all grey-scale transformations are done once for each possible stored value, in a table,
and not for each of millions of pixels. The picture is MONOCHROME1 or 2 as the image is: nothing is inverted here.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from images.copies.original import Original

Floats = NDArray[np.floating[Any]]
#: Without a window, this part of the pixels may be shown as black, and as many as white.
CLIPPED = 0.005
#: Rows that are counted at once.
STRIP = 256


def picture(original: Original, longest_side: int) -> NDArray[np.uint8]:
    """Return the frame as grey values of 8 bits, averaged to this longest side in pixels. It is never enlarged."""
    rows, columns = original.frame.shape
    scale = min(1, longest_side / max(rows, columns))
    grey = averaged(
        original.frame, display_values(original), max(1, round(rows * scale)), max(1, round(columns * scale))
    )
    return np.rint(grey * 255).astype(np.uint8)


def display_values(original: Original) -> NDArray[np.float32]:
    """Return a table that maps each stored value, as an index, to what is shown of it, from 0 to 1.

    A VOI LUT (PS3.3 C.11.2) takes precedence over a window; of several the first is used. Without either, all values of
    the image are spread from 0 to 1, except padding (PS3.3 C.7.5.1.1.2) and a few at both ends.
    """
    if not original.descriptions:
        return np.linspace(0, 1, 1 << original.bits, dtype=np.float32)
    stored = np.arange(1 << original.bits)
    if original.is_signed:
        stored[1 << (original.bits - 1) :] -= 1 << original.bits
    values = _modality_values(original, stored)
    if lut := _first_item(original, "VOILUTSequence"):
        shown = looked_up(values, lut)
    elif window := _window(original):
        shown = windowed(values, *window)
    else:
        shown = _spread(original, stored, values)
    return np.clip(shown, 0, 1).astype(np.float32)


def _modality_values(original: Original, stored: NDArray[Any]) -> Floats:
    """Apply the modality LUT or the rescaling (PS3.3 C.11.1)."""
    if lut := _first_item(original, "ModalityLUTSequence"):
        return looked_up(stored, lut) * ((1 << _descriptor(lut)[2]) - 1)
    slope, intercept = original.find("RescaleSlope"), original.find("RescaleIntercept")
    return stored * float(1 if slope is None else slope) + float(intercept or 0)


def _first_item(original: Original, keyword: str) -> Dataset | None:
    sequence = original.find(keyword)
    return sequence[0] if sequence else None


def _descriptor(lut: Dataset) -> tuple[int, int, int]:
    """Return the number of entries, the first value mapped and the bits of an entry (PS3.3 C.11.1.1)."""
    entries, first, bits = (int(each) & 0xFFFF for each in lut.LUTDescriptor)
    return entries or 1 << 16, first, min(max(bits, 8), 16)


def looked_up(values: NDArray[Any], lut: Dataset) -> Floats:
    """Look values up in the item of a LUT sequence; the result is from 0 to 1. Outside, the nearest entry counts."""
    count, first, bits = _descriptor(lut)
    data, is_little_endian = lut.LUTData, lut.original_encoding[1] is not False
    entries = np.frombuffer(data, "<u2" if is_little_endian else ">u2") if isinstance(data, bytes) else np.array(data)
    entries = np.atleast_1d(entries)[:count] & 0xFFFF
    if first > 0x7FFF and values.min() < 0:
        first -= 1 << 16  # US or SS, as the values that are looked up are
    shown: Floats = entries[np.clip(np.rint(values) - first, 0, len(entries) - 1).astype(int)] / ((1 << bits) - 1)
    return shown


def _window(original: Original) -> tuple[float, float, str] | None:
    """Return centre, width and function of the first window; None if there is none, or it is invalid."""
    try:
        centre, width = (float(np.atleast_1d(original.find(each))[0]) for each in ("WindowCenter", "WindowWidth"))
    except (TypeError, ValueError):
        return None
    function = str(original.find("VOILUTFunction") or "LINEAR").upper()
    smallest = math.nextafter(0, 1) if function in {"LINEAR_EXACT", "SIGMOID"} else 1
    return (centre, width, function) if math.isfinite(centre) and smallest <= width < math.inf else None


def windowed(values: Floats, centre: float, width: float, function: str) -> Floats:
    """Apply a window; the result is from 0 to 1, or beyond where it is to be clipped (PS3.3 C.11.2.1.2 and .3)."""
    if function == "SIGMOID":
        with np.errstate(over="ignore"):  # far from the centre it is 0
            shown: Floats = 1 / (1 + np.exp(-4 * (values - centre) / width))
        return shown
    if function == "LINEAR_EXACT":
        return (values - centre) / width + 0.5
    if width == 1:
        return (values > centre - 0.5).astype(float)
    return (values - (centre - 0.5)) / (width - 1) + 0.5


def _spread(original: Original, stored: NDArray[Any], values: Floats) -> Floats:
    """Spread the values that the image has, without its padding, from 0 to 1."""
    counts = np.zeros(len(values), np.int64)
    for start in range(0, len(original.frame), STRIP):
        counts += np.bincount(original.frame[start : start + STRIP].ravel(), minlength=len(values))
    padding = original.find("PixelPaddingValue")
    if padding is not None:
        limit = original.find("PixelPaddingRangeLimit")
        # Both may have been read with the wrong sign, so only their bits count.
        ends = sorted(stored[int(each) & (len(stored) - 1)] for each in (padding, padding if limit is None else limit))
        counts_without = np.where((stored >= ends[0]) & (stored <= ends[1]), 0, counts)
        counts = counts_without if counts_without.any() else counts
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    low, high = values[order][np.searchsorted(reached, [CLIPPED * reached[-1], (1 - CLIPPED) * reached[-1]])]
    if low == high:
        present = values[counts > 0]
        low, high = present.min(), present.max()
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)


def averaged(frame: NDArray[Any], table: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    """Return the frame made smaller, with values from the table: each pixel is the average of the area it covers."""
    narrow = np.empty((rows, frame.shape[1]), np.float32)
    for row, (start, weights) in enumerate(_coverage(frame.shape[0], rows)):
        narrow[row] = weights @ table[frame[start : start + len(weights)]]
    result = np.empty((rows, columns), np.float32)
    for column, (start, weights) in enumerate(_coverage(frame.shape[1], columns)):
        result[:, column] = narrow[:, start : start + len(weights)] @ weights
    return result


def _coverage(source: int, target: int) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield for each of `target` pixels the first of the `source` pixels that it covers, and their weights."""
    for number in range(target):
        begin, end = number * source, (number + 1) * source  # in parts of a source pixel, `target` to a pixel
        edges = np.arange(begin // target, -(-end // target) + 1) * target
        yield begin // target, (np.diff(np.clip(edges, begin, end)) / source).astype(np.float32)
