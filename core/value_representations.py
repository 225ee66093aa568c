"""Check, parse and format DICOM values by their value representation (VR): PS3.5 section 6.2; section 9.1 for UIDs.

Each `is_…` function tells whether a text is a legal, non-empty value of its VR. Each parser raises ValueError, whose
text is the rule. Lengths are counted in characters, not bytes (PS3.5 section 6.1.2). Pure: no Django.
"""

import re
import unicodedata
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone

#: With surrogates: half a character cannot be encoded.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
CONTROL_CHARACTERS_BUT_LINES = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
#: Categories of characters that leave no mark on paper: controls, format characters, spaces and line breaks.
UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
DA = re.compile(r"[0-9]{8}")
TM = re.compile(r"([01][0-9]|2[0-3])(?:([0-5][0-9])(?:([0-5][0-9])(?:\.([0-9]{1,6}))?)?)?")
DT = re.compile(r"([0-9]{8})([0-9]{2,6}(?:\.[0-9]{1,6})?)([+-][0-9]{4})?")
OFFSET = re.compile(r"([+-])([0-9]{2})([0-5][0-9])")
CS = re.compile(r" *[A-Z0-9_][A-Z0-9_ ]*")
UI = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
DS = re.compile(r" *[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)? *")
#: An NHS number as people write it, with or without spaces or dashes.
NHS_NUMBER = re.compile(r"[0-9]{3}[ -]?[0-9]{3}[ -]?[0-9]{4}")
PN_GROUPS, PN_COMPONENTS, PN_GROUP_LENGTH = 3, 5, 64


def parse_da(text: str) -> date:
    """Parse `YYYYMMDD`; raise ValueError for any other text, or a day that does not exist."""
    if not DA.fullmatch(text):
        raise ValueError("is not a date (YYYYMMDD)")
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise ValueError("is not a date (YYYYMMDD)") from None


def parse_tm(text: str) -> time:
    """Parse `HH`, `HHMM`, `HHMMSS` or `HHMMSS.F` to `HHMMSS.FFFFFF`; raise ValueError for any other text."""
    match = TM.fullmatch(text)
    if not match:
        raise ValueError("is not a time (HHMMSS)")
    hour, minute, second, fraction = match.groups()
    return time(int(hour), int(minute or 0), int(second or 0), int((fraction or "0").ljust(6, "0")))


def parse_dt(text: str) -> datetime:
    """Parse `YYYYMMDDHH…` to the parts of a second, with or without an offset from UTC (then without `tzinfo`).

    Raise ValueError for any other text: a day without a time is legal in DICOM, but no moment.
    """
    match = DT.fullmatch(text)
    if not match:
        raise ValueError("is not a date and time (YYYYMMDDHHMMSS)")
    day, at, offset = match.groups()
    return datetime.combine(parse_da(day), parse_tm(at), parse_offset(offset) if offset else None)


def parse_offset(text: str) -> timezone:
    """Parse an offset from UTC, `+HHMM` or `-HHMM`; raise ValueError for any other text."""
    match = OFFSET.fullmatch(text)
    if not match:
        raise ValueError("is not an offset from UTC (+HHMM)")
    sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-offset if sign == "-" else offset)


def format_da(value: date) -> str:
    """Format as `YYYYMMDD`, with four digits of the year even before the year 1000."""
    return f"{value.year:04}{value.month:02}{value.day:02}"


def format_tm(value: time) -> str:
    """Format as exactly `HHMMSS`: some modalities accept nothing longer or shorter."""
    return value.strftime("%H%M%S")


def is_text(text: str) -> bool:
    """SH, LO: no backslash (it separates values), no control character, and more than spaces."""
    return bool(text.strip()) and "\\" not in text and not CONTROL_CHARACTERS.search(text)


def is_long_text(text: str) -> bool:
    """LT: as SH, but it may have line breaks, tabs and backslashes (it has only one value)."""
    return bool(text.strip()) and not CONTROL_CHARACTERS_BUT_LINES.search(text)


def is_ae(text: str) -> bool:
    """AE: 1 to 16 ASCII characters."""
    return is_text(text) and text.isascii() and len(text) <= 16


def is_cs(text: str) -> bool:
    """CS: upper-case letters, digits, space and underscore."""
    return bool(CS.fullmatch(text))


def is_ui(text: str) -> bool:
    """UI: PS3.5 section 9.1."""
    return bool(UI.fullmatch(text)) and len(text) <= 64


def is_ds(text: str) -> bool:
    """DS: a decimal number."""
    return bool(DS.fullmatch(text)) and len(text) <= 16


def is_pn(text: str) -> bool:
    """PN: up to 3 groups of up to 5 components, 64 characters a group, and something to read besides the separators."""
    groups = text.split("=")
    return (
        is_text(text)
        and any(unicodedata.category(each) not in UNPRINTABLE for each in text if each not in "^=")
        and len(groups) <= PN_GROUPS
        and all(len(group) <= PN_GROUP_LENGTH and group.count("^") < PN_COMPONENTS for group in groups)
    )


#: PS3.5 table 6.2-1, in characters. PN: three component groups and the two `=` between them.
MAX_LENGTHS = {"AE": 16, "CS": 16, "DS": 16, "LO": 64, "LT": 10240, "PN": 194, "SH": 16, "UI": 64}

IS_VALUE: dict[str, Callable[[str], bool]] = {
    "AE": is_ae,
    "CS": is_cs,
    "DS": is_ds,
    "LO": is_text,
    "LT": is_long_text,
    "PN": is_pn,
    "SH": is_text,
    "UI": is_ui,
}
