"""List what pydicom raises for bytes it cannot read. Pure."""

import struct

from pydicom.errors import BytesLengthException, InvalidDicomError

#: What pydicom raises when bytes are not a data set, or not a value of their VR.
UNREADABLE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
