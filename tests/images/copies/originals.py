"""Write images for the tests of copies: any pixels, with any description, in any transfer syntax."""

import io
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
)


def image_with(pixels: NDArray[Any], bits: int = 12, **elements: Any) -> Dataset:
    """Return an image of the pixels; `elements` are added, and replace those of the same keyword."""
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.4", "1.2.5"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    is_colour = elements.get("SamplesPerPixel", 1) == 3
    image.Rows, image.Columns = pixels.shape[:2] if is_colour else pixels.shape[-2:]
    image.BitsAllocated, image.BitsStored, image.HighBit = pixels.itemsize * 8, bits, bits - 1
    image.PixelRepresentation = int(pixels.dtype.kind == "i")
    image.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    image["PixelData"].VR = "OW"
    for keyword, value in elements.items():
        setattr(image, keyword, value)
    return image


def written(image: Dataset, file: Path) -> Path:
    """Write an image as a Part 10 file."""
    image.save_as(file, enforce_file_format=True)
    return file


def with_codestream(image: Dataset, codestream: bytes, transfer_syntax: UID) -> Dataset:
    """Replace the pixels of an image by a codestream, without asking whether it is theirs."""
    image.PixelData = encapsulate([codestream])
    image["PixelData"].VR = "OB"
    image.file_meta.TransferSyntaxUID = transfer_syntax
    return image


def as_jpeg_2000(image: Dataset) -> Dataset:
    """Encode an image of unsigned 16 bits in JPEG 2000 without loss, by Pillow."""
    pixels = np.frombuffer(image.PixelData, "<u2").reshape(image.Rows, image.Columns)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG2000", irreversible=False, no_jp2=True)
    return with_codestream(image, file.getvalue(), JPEG2000Lossless)


def converted(file: Path, *command: str) -> Path:
    """Let a program of DCMTK convert a file, and return the new one."""
    target = file.with_suffix(".converted.dcm")
    subprocess.run([*command, str(file), str(target)], check=True, capture_output=True)
    return target
