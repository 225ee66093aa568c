"""Encode an image in any of the transfer syntaxes that mammography units send."""

from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

#: By the names that commands take.
TRANSFER_SYNTAXES = {
    "explicit": ExplicitVRLittleEndian,
    "implicit": ImplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "jpeg-lossless": JPEGLosslessSV1,
    "jpeg-ls": JPEGLSLossless,
    "jpeg2000": JPEG2000Lossless,
}


def encoded(image: Dataset, transfer_syntax: UID) -> Dataset:
    """Return a copy of an Explicit VR Little Endian image of 16 bits in another transfer syntax, without loss."""
    made = deepcopy(image)
    if transfer_syntax.is_compressed:
        made.PixelData = _compressed(image, transfer_syntax)
        made["PixelData"].is_undefined_length = True
    elif transfer_syntax == ExplicitVRBigEndian:
        swapped = bytearray(image.PixelData)
        swapped[::2], swapped[1::2] = swapped[1::2], swapped[::2]
        made.PixelData = bytes(swapped)
    made["PixelData"].VR = "OB" if transfer_syntax.is_compressed else "OW"
    made.file_meta.TransferSyntaxUID = transfer_syntax
    return made


def _compressed(image: Dataset, transfer_syntax: UID) -> bytes:
    """Return the encapsulated pixel data (PS3.5 section A.4)."""
    import gdcm  # noqa: PLC0415 - large, and needed for compression only

    with TemporaryDirectory(prefix="phantom-") as folder:
        source, target = Path(folder) / "source.dcm", Path(folder) / "target.dcm"
        image.save_as(source, enforce_file_format=True)
        reader = gdcm.ImageReader()
        reader.SetFileName(str(source))
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(transfer_syntax))))
        if not reader.Read():
            raise ValueError("gdcm cannot read the image")
        change.SetInput(reader.GetImage())
        if not change.Change():
            raise ValueError(f"gdcm cannot write {transfer_syntax.name}")
        writer = gdcm.ImageWriter()
        writer.SetFile(reader.GetFile())
        writer.SetFileName(str(target))
        writer.SetImage(change.GetOutput())
        if not writer.Write():
            raise ValueError(f"gdcm cannot write {transfer_syntax.name}")
        return bytes(dcmread(target).PixelData)
