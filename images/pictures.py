"""Show the copy of an image as people see it: as PNG, stretched from its least to its greatest value."""

from io import BytesIO
from pathlib import Path


class NoPicture(Exception):
    """The copy is missing, or cannot be decoded."""


def png_of(copy: Path) -> bytes:
    """Decode a copy for Manage; raise NoPicture if that is impossible."""
    import numpy as np  # noqa: PLC0415 - large, and only those who look at a picture need it
    from PIL import Image  # noqa: PLC0415
    from pydicom import dcmread  # noqa: PLC0415

    from dicom.unreadable import UNREADABLE  # noqa: PLC0415

    try:
        data_set = dcmread(copy)
        pixels = data_set.pixel_array.astype(np.float64)
    except (RuntimeError, *UNREADABLE) as error:
        raise NoPicture(type(error).__name__) from None
    least, greatest = float(pixels.min()), float(pixels.max())
    grey = (pixels - least) * (255.0 / ((greatest - least) or 1.0))
    if data_set.get("PhotometricInterpretation") == "MONOCHROME1":
        grey = 255.0 - grey
    png = BytesIO()
    Image.fromarray(grey.round().astype(np.uint8)).save(png, "PNG")
    return png.getvalue()
