"""Owns the statuses that this SCP answers with (PS3.4 table K.4-1, PS3.7 annex C)."""

from pydicom.dataset import Dataset

SUCCESS = 0x0000
PENDING = 0xFF00
PENDING_WITH_UNSUPPORTED_KEYS = 0xFF01
CANCELLED = 0xFE00
OUT_OF_RESOURCES = 0xA700
IDENTIFIER_DOES_NOT_MATCH = 0xA900
DATABASE_AWAY = 0xC001  # unable to process, with numbers of our own
INTERNAL_ERROR = 0xC002
MAY_NOT_ASK = 0xC003
CANNOT_BE_READ = 0xC310  # pynetdicom's own number for it


def failure(status: int, comment: str, offending: int | None = None) -> Dataset:
    """A failure with its ErrorComment (LO: at most 64 characters, no value of anybody's) and the tag to blame."""
    answer = Dataset()
    answer.Status = status
    answer.ErrorComment = comment[:64]
    if offending is not None:
        answer.OffendingElement = offending
    return answer
