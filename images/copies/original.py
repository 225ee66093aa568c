"""Read a received image: the header elements that a copy needs, and one frame as stored values.

The bytes come from outside. What they declare is checked against limits before a codec sees them, so that a few bytes
that declare a huge image cost nothing; the limits of the worker process (`worker.py`) are the safety net.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import unpack
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import get_frame
from pydicom.pixels.utils import pixel_array

from images.codestreams import has_end
from images.copies import CannotCopy

#: What decodes each transfer syntax, as a plugin of pydicom. What needs no codec has none.
DECODERS = {
    uid.ImplicitVRLittleEndian: "",
    uid.ExplicitVRLittleEndian: "",
    uid.ExplicitVRBigEndian: "",
    uid.JPEGBaseline8Bit: "pillow",
    uid.JPEGLossless: "gdcm",
    uid.JPEGLosslessSV1: "gdcm",
    uid.JPEGLSLossless: "gdcm",
    uid.JPEGLSNearLossless: "gdcm",
    uid.JPEG2000Lossless: "pillow",
    uid.JPEG2000: "pillow",
    uid.RLELossless: "pydicom",
}
#: The largest frame that is decoded, in bytes uncompressed. The largest mammograms have about 60 MB.
MAX_FRAME_BYTES = 128 << 20
#: Longer elements are read only when they are used, and not with the header.
LONG_ELEMENT = 1 << 20
#: What describes the pixels and how to show them (PS3.3 C.7.6.3, C.11.1, C.11.2 and C.7.6.16).
PIXEL_KEYWORDS = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PlanarConfiguration",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "WindowCenter",
    "WindowWidth",
    "VOILUTFunction",
    "RescaleIntercept",
    "RescaleSlope",
    "ModalityLUTSequence",
    "VOILUTSequence",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)
#: The functional groups that hold elements of these names.
FUNCTIONAL_GROUPS = ("FrameVOILUTSequence", "PixelValueTransformationSequence", "FrameAnatomySequence")
COLOURS = {"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
#: The markers SOF of JPEG (ISO 10918-1 table B.1) and of JPEG-LS (ISO 14495-1).
START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}


@dataclass(frozen=True)
class Original:
    """The header of an image, and one frame: unsigned numbers, which index the possible stored values.

    `descriptions` are the data sets that may describe the frame, the most specific first. A picture in colour has
    become one of grey values.
    """

    header: Dataset
    descriptions: tuple[Dataset, ...]
    frame: NDArray[Any]
    bits: int
    is_signed: bool

    def find(self, keyword: str) -> Any:
        """Return the value of an element of the frame or of the image; None without one."""
        return next((value for each in self.descriptions if (value := each.get(keyword)) not in (None, "")), None)


@contextmanager
def blaming_the_image(sentence: str) -> Iterator[None]:
    """Turn whatever a library raises into CannotCopy with this sentence: its own text may quote the image.

    A lack of memory and a failing disk are not the image's fault; what Pillow raises as OSError has no errno.
    """
    try:
        yield
    except (CannotCopy, MemoryError):
        raise
    except OSError as error:
        if error.errno is not None:
            raise
        raise CannotCopy(sentence) from None
    except Exception:  # noqa: BLE001 pydicom and the codecs raise all kinds of exceptions for damaged bytes
        raise CannotCopy(sentence) from None


def read_original(path: Path, keywords: tuple[str, ...]) -> Original:
    """Read the frame of an image, the middle one of several, with the elements named, and those that describe pixels.

    Raise CannotCopy for what cannot be decoded or is larger than the limit, and OSError if the file cannot be read.
    """
    with path.open("rb") as file:
        with blaming_the_image("the header of the image cannot be read"):
            header = dcmread(
                file, defer_size=LONG_ELEMENT, stop_before_pixels=True, specific_tags=[*keywords, *PIXEL_KEYWORDS]
            )
            syntax = header.file_meta.TransferSyntaxUID
            frames = int(header.get("NumberOfFrames") or 1)
            index = max(frames - 1, 0) // 2
            descriptions = _descriptions(header, index)
            _check_declared(header)
        if syntax not in DECODERS:
            raise CannotCopy("its transfer syntax is not one that this gateway decodes")
        with blaming_the_image("the pixel data of the image are damaged"):
            if syntax.is_encapsulated and syntax != uid.RLELossless:
                _check_codestream(_codestream(file, header, index, frames), header)
        with blaming_the_image("the pixel data of the image cannot be decoded"):
            stored = pixel_array(file, index=index, decoding_plugin=DECODERS[syntax], correct_unused_bits=False)
            return _original(header, descriptions, stored)


def _descriptions(header: Dataset, index: int) -> tuple[Dataset, ...]:
    """Return where a frame of an enhanced image is described (PS3.3 C.7.6.16.2), and last the image's top level."""
    groups = [
        *(header.get("PerFrameFunctionalGroupsSequence") or [])[index : index + 1],
        *(header.get("SharedFunctionalGroupsSequence") or [])[:1],
    ]
    sequences = (each.get(keyword) for each in groups for keyword in FUNCTIONAL_GROUPS)
    return (*(sequence[0] for sequence in sequences if sequence), header)


def _check_declared(header: Dataset) -> None:
    samples, allocated = int(header.get("SamplesPerPixel", 1)), int(header.BitsAllocated)
    if allocated not in (8, 16) or not 1 <= int(header.BitsStored) <= allocated:
        raise CannotCopy("its pixels have neither 8 nor up to 16 bits")
    if samples != 1 and (samples != 3 or header.PhotometricInterpretation not in COLOURS or allocated != 8):
        raise CannotCopy("its pixels are neither grey values nor colours of 8 bits")
    if samples == 1 and header.PhotometricInterpretation not in {"MONOCHROME1", "MONOCHROME2"}:
        raise CannotCopy("its pixels are neither grey values nor colours of 8 bits")
    if not header.Rows or not header.Columns:
        raise CannotCopy("it declares no pixels")
    if header.Rows * header.Columns * samples * allocated // 8 > MAX_FRAME_BYTES:
        raise CannotCopy(f"it declares a frame of more than {MAX_FRAME_BYTES >> 20} MiB")


def _codestream(file: BinaryIO, header: Dataset, index: int, frames: int) -> bytes:
    """Return the compressed bytes of a frame; `file` is where `dcmread` left it, before the pixel data's tag."""
    file.seek(12, 1)  # encapsulated pixel data are always explicit VR, OB, with a length of 32 bits (PS3.5 A.4)
    offsets = header.get("ExtendedOffsetTable"), header.get("ExtendedOffsetTableLengths")
    extended = (offsets[0], offsets[1]) if all(offsets) else None
    return get_frame(file, index, number_of_frames=frames, extended_offsets=extended)


def _check_codestream(codestream: bytes, header: Dataset) -> None:
    """Refuse a codestream that is cut off, or that declares another size than the header.

    Codecs allocate what the codestream declares, and some fill what is missing with grey. A picture of which a part is
    made up must not look to a clinician as if the view were complete.
    """
    if not has_end(codestream):
        raise CannotCopy("its compressed pixel data are cut off")
    if declared_size(codestream) != (header.Rows, header.Columns):
        raise CannotCopy("its compressed pixel data declare another size than its header")


def declared_size(codestream: bytes) -> tuple[int, int] | None:
    """Return the rows and columns that a codestream of JPEG, JPEG-LS or JPEG 2000 declares, or None."""
    # JPEG 2000: SIZ follows SOC at once (ISO 15444-1 A.5.1); some units put the boxes of a JP2 file before them.
    if (start := codestream[:1024].find(b"\xff\x4f\xff\x51")) >= 0:
        right, bottom, left, top = unpack(">4I", codestream[start + 8 : start + 24])
        return bottom - top, right - left
    at = 2
    while codestream[:2] == b"\xff\xd8" and at + 9 <= len(codestream) and codestream[at] == 0xFF:
        if codestream[at + 1] in START_OF_FRAME:
            rows, columns = unpack(">2H", codestream[at + 5 : at + 9])
            return rows, columns
        # 0xFF before a marker fills up; every segment before SOF has a length.
        at += 1 if codestream[at + 1] == 0xFF else 2 + int.from_bytes(codestream[at + 2 : at + 4], "big")
    return None


def _original(header: Dataset, descriptions: tuple[Dataset, ...], stored: NDArray[Any]) -> Original:
    """Keep only the stored bits of each value: the others may hold overlays or anything else (PS3.5 section 8.1.1)."""
    if stored.ndim == 3:
        weights = np.array([299, 587, 114], np.uint32)  # of ITU-R BT.601, as in YBR_FULL (PS3.3 C.7.6.3.1.2)
        rows = (row @ weights // 1000 for row in stored)
        grey = np.stack([row.astype(np.uint8) for row in rows])
        return Original(header, (), grey, 8, is_signed=False)
    bits = int(header.BitsStored)
    stored = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    unsigned = stored.view(f"u{stored.dtype.itemsize}")
    unused_below = max(int(header.get("HighBit", bits - 1)) + 1 - bits, 0)
    if unused_below:
        unsigned >>= unused_below
    unsigned &= (1 << bits) - 1
    return Original(header, descriptions, unsigned, bits, bool(header.get("PixelRepresentation", 0)))
