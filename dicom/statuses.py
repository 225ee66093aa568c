"""The statuses that this SCP answers with (PS3.4 tables K.4-1 and F.7.2-2, PS3.7 annex C)."""

from collections.abc import Sequence

from dicom.service import Response

# C-FIND ------------------------------------------------------------------------------------------------------------

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_WITH_UNSUPPORTED_KEYS = 0xFF01
CANCELLED = 0xFE00
OUT_OF_RESOURCES = 0xA700
IDENTIFIER_DOES_NOT_MATCH = 0xA900
INCOMPLETE_IDENTIFIER = 0xC000  # "unable to process"; C001 to C003 are our own numbers
DATABASE_UNAVAILABLE = 0xC001
INTERNAL_ERROR = 0xC002
NOT_PERMITTED = 0xC003
UNREADABLE_IDENTIFIER = 0xC310  # that of pynetdicom, which engineers know


# C-STORE, which also has SUCCESS, OUT_OF_RESOURCES, NOT_AUTHORIZED and PROCESSING_FAILURE (PS3.4 table B.2-1) -------

DATA_SET_DOES_NOT_MATCH = 0xA900
CANNOT_UNDERSTAND = 0xC000


# N-CREATE and N-SET, which also have SUCCESS ----------------------------------------------------------

NO_SUCH_ATTRIBUTE = 0x0105
INVALID_ATTRIBUTE_VALUE = 0x0106
PROCESSING_FAILURE = 0x0110
DUPLICATE_INSTANCE = 0x0111
NO_SUCH_INSTANCE = 0x0112
INVALID_INSTANCE = 0x0117
NO_SUCH_CLASS = 0x0118
MISSING_ATTRIBUTE = 0x0120
MISSING_ATTRIBUTE_VALUE = 0x0121
NOT_AUTHORIZED = 0x0124
UNRECOGNIZED_OPERATION = 0x0211

#: Error ID of a PROCESSING_FAILURE: the step is completed or discontinued (PS3.4 table F.7.2-2).
MAY_NO_LONGER_BE_UPDATED = 0xA710


def failure(
    status: int,
    comment: str,
    offending: int | None = None,
    attributes: Sequence[int] = (),
    error_id: int | None = None,
) -> Response:
    """Build a failure response. The comment is cut to 64 characters (LO) and must not quote a patient's value.

    `offending` and `attributes` are the tags that are wrong.
    """
    return Response(status, None, comment[:64], offending, tuple(attributes), error_id)
