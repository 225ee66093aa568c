"""Write data sets with pydicom, in Implicit or Explicit VR Little Endian. Pure."""

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ImplicitVRLittleEndian


def write_data_set(data_set: Dataset, transfer_syntax: str) -> bytes:
    """Return the bytes of a data set."""
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = transfer_syntax == ImplicitVRLittleEndian, True
    write_dataset(file, data_set)
    return file.getvalue()
