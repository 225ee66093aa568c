"""Decode and encode data sets with pydicom, in Implicit or Explicit VR Little Endian. Pure."""

from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import ImplicitVRLittleEndian


def decoded(data: bytes, transfer_syntax: str) -> Dataset:
    """Return a data set whose values are read when they are asked for; raise one of UNREADABLE."""
    return read_dataset(BytesIO(data), is_implicit_VR=transfer_syntax == ImplicitVRLittleEndian, is_little_endian=True)


def encoded(data_set: Dataset, transfer_syntax: str) -> bytes:
    """Return the bytes of a data set."""
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = transfer_syntax == ImplicitVRLittleEndian, True
    write_dataset(file, data_set)
    return file.getvalue()
