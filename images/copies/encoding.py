"""Encode a picture in JPEG 2000 (ISO 15444-1), lossy, by Pillow and OpenJPEG."""

from io import BytesIO
from typing import Any

from numpy.typing import NDArray
from PIL import Image


def jpeg_2000(pixels: NDArray[Any], ratio: float) -> bytes:
    """Return a codestream of about 1/ratio of the picture's bytes; a ratio of 0 keeps as much as it can.

    The codestream is bare, without the boxes of a JP2 file, as DICOM demands (PS3.5 A.4.4).
    """
    file = BytesIO()
    Image.fromarray(pixels).save(
        file, "JPEG2000", irreversible=True, no_jp2=True, quality_mode="rates", quality_layers=[ratio]
    )
    return file.getvalue()
