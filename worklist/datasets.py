"""Owns the answer's data sets: exactly what was asked for, in a character set that the asker can read. Pure.

PS3.4 section K.4.1.1.3.2 (responses), PS3.5 section 6.1.2.3 (character sets).
"""

import re
from collections.abc import Iterator
from datetime import date, datetime, time, tzinfo
from functools import partial
from typing import Any

from pydicom.charset import (
    STAND_ALONE_ENCODINGS,
    convert_encodings,
    custom_encoders,
    decode_bytes,
    encode_string,
    python_encoding,
)
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from core import value_representations as vr
from worklist.information_model import (
    NO_KEYS,
    OTHER_STEP_KEYWORDS,
    REQUESTED_PROCEDURE_CODE,
    ROOT,
    SCHEDULED_PROTOCOL_CODE,
    STATUS_WORDS,
    STEP,
    STEP_SEQUENCE,
    Attribute,
    CodeSequence,
    Matching,
)
from worklist.matching import is_universal, step_item, values_of

CODE_KEYWORDS = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
#: Attributes of the scheduled step that do not count where they stand at the root (PS3.4 has no such keys).
MISPLACED = OTHER_STEP_KEYWORDS | {row.keyword for row in STEP} | {SCHEDULED_PROTOCOL_CODE.keyword}
PN_DELIMITERS = {ord("^"), ord("=")}
NAME_DELIMITERS = re.compile(r"([\^=])")
#: Names of the default repertoire: to ask for it is to ask for no other.
ASCII_TERMS = {"", "ISO_IR 6", "ISO 2022 IR 6"}
UNICODE = ["ISO_IR 192"]
#: Tried in this order where the request named no character set.
FALLBACKS = (["ISO_IR 100"], UNICODE)


class Unshowable(Exception):
    """An item with a value that its VR does not allow; the text is the attribute's keyword."""


def response_for(item: Any, request: Dataset, calling_ae_title: str, zone: tzinfo) -> Dataset:
    """The identifier of one pending response; Unshowable where a modality could not read it.

    An item without a station is shown as the asker's own. `zone` is the clinic's.
    """
    whole = wants_whole_item(request)
    response = Dataset()
    _fill(response, None if whole else request, ROOT, item, "")
    _add_code(response, None if whole else request, REQUESTED_PROCEDURE_CODE, item)
    if whole or STEP_SEQUENCE in request:
        asked = step_item(request)
        step = Dataset()
        everything = whole or all(_is_noise(element) for element in asked)
        _fill(step, None if everything else asked, STEP, item, calling_ae_title)
        _add_code(step, None if everything else asked, SCHEDULED_PROTOCOL_CODE, item)
        setattr(response, STEP_SEQUENCE, Sequence([step]))
    if "TimezoneOffsetFromUTC" in request:
        starts = datetime.combine(item.scheduled_date, item.scheduled_time, zone)
        response.TimezoneOffsetFromUTC = f"{starts:%z}"[:5]
    _write_in(response, character_set_for(response, _terms(request)))
    return response


def wants_whole_item(request: Dataset) -> bool:
    """Requests that are no proper worklist request: one with a Query/Retrieve Level, or without any return key."""
    return "QueryRetrieveLevel" in request or not any(
        _is_return_key(element) for element in request if element.keyword not in MISPLACED
    )


def has_unsupported_key(request: Dataset) -> bool:
    """Whether some key is not supported as the required ones are: then pending is FF01, not FF00 (table K.4-1)."""
    in_step = any(_is_unsupported(element, STEP, SCHEDULED_PROTOCOL_CODE) for element in step_item(request))
    return in_step or any(
        _is_unsupported(element, ROOT, REQUESTED_PROCEDURE_CODE)
        for element in request
        if element.keyword not in MISPLACED | {STEP_SEQUENCE}
    )


def character_set_for(response: Dataset, requested: list[str]) -> list[str]:
    """The SpecificCharacterSet of a response: none while all is ASCII, else the asker's if all fits, else a wider."""
    texts = [text for text in _texts(response) if not text.isascii()]
    if not texts:
        return []
    candidates = (requested, UNICODE) if _is_character_set(requested) else FALLBACKS
    return next((terms for terms in candidates if all(_fits(text, terms) for text in texts)), UNICODE)


def _is_return_key(element: DataElement) -> bool:
    """Zero-length, or with something zero-length in it."""
    if _is_noise(element):
        return False
    if element.VR == "SQ":
        return not element.value or any(not len(item) or any(map(_is_return_key, item)) for item in element.value)
    return not values_of(element.value)


def _is_unsupported(element: DataElement, table: tuple[Attribute, ...], code: CodeSequence) -> bool:
    """A key that is not in the table, or has a value that is not matched on."""
    if _is_noise(element):
        return False
    known = {code.keyword: Matching.NONE, **{row.keyword: row.matching for row in table}}
    matching = known.get(element.keyword)
    return matching is None or (matching is Matching.NONE and _has_value(element))


def _has_value(element: DataElement) -> bool:
    if element.VR == "SQ":
        return any(_has_value(child) for item in element.value for child in item)
    return not is_universal(values_of(element.value))


def _is_noise(element: DataElement) -> bool:
    """What is neither key nor return key: private elements, group lengths, and what says how to read the request."""
    return element.tag.is_private or element.tag.element == 0 or element.keyword in NO_KEYS


def _fill(
    target: Dataset, asked: Dataset | None, table: tuple[Attribute, ...], item: Any, calling_ae_title: str
) -> None:
    for row in table:
        if asked is None or row.keyword in asked:
            value = _value(row, item)
            if row.keyword == "ScheduledStationAETitle":
                value = value or calling_ae_title
            setattr(target, row.keyword, value)


def _value(row: Attribute, item: Any) -> Any:
    fields = [field for field in (row.field, *row.stand_ins) if field]
    value = next((value for value in (getattr(item, field) for field in fields) if value not in ("", None)), None)
    if row.vr == "SQ":
        return Sequence()
    if isinstance(value, date):
        return vr.format_da(value)
    if isinstance(value, time):
        return vr.format_tm(value)
    if row.matching is Matching.STATUS:
        return STATUS_WORDS[value][0] if value else None
    return _legal(row.keyword, row.vr, value)


def _legal(keyword: str, vr_name: str, value: str | None) -> str | None:
    if value and not vr.IS_VALUE[vr_name](value):
        raise Unshowable(keyword)
    return value


def _add_code(target: Dataset, asked: Dataset | None, sequence: CodeSequence, item: Any) -> None:
    if asked is not None and sequence.keyword not in asked:
        return
    fields = (sequence.code_field, sequence.scheme_field, sequence.meaning_field)
    values = dict(zip(CODE_KEYWORDS, (getattr(item, field) for field in fields), strict=True))
    codes = Sequence()
    if all(values.values()):
        wanted = asked[sequence.keyword] if asked is not None else None
        keys = wanted.value[0] if wanted is not None and wanted.VR == "SQ" and wanted.value else Dataset()
        children = [keyword for keyword in CODE_KEYWORDS if not len(keys) or keyword in keys]
        code = Dataset()
        for keyword in children:
            setattr(code, keyword, _legal(keyword, dictionary_VR(keyword), values[keyword]))
        if children:
            codes.append(code)
    setattr(target, sequence.keyword, codes)


def _texts(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.value is not None:
            yield str(element.value)


# Character sets -------------------------------------------------------------------------------------------------------


def _terms(request: Dataset) -> list[str]:
    """The defined terms of the request's SpecificCharacterSet, an empty first one included; none for a zero-length."""
    value = request.get("SpecificCharacterSet") or []
    return [str(term).strip() for term in (value if isinstance(value, MultiValue) else [value])]


def _is_character_set(terms: list[str]) -> bool:
    """Terms that are known, may stand together, and say more than the default repertoire."""
    stand_alone = len(terms) == 1 or not set(terms) & set(STAND_ALONE_ENCODINGS)
    return stand_alone and set(terms) <= python_encoding.keys() and not set(terms) <= ASCII_TERMS


def _encodings(terms: list[str]) -> list[str]:
    """Python's names for what is written. pydicom takes the default repertoire for Latin-1; written that way it would
    lack the escape sequence that readers of PS3.5 section 6.1.2.5 insist on."""
    encodings = convert_encodings(terms)
    return ["ascii" if term in ASCII_TERMS else name for term, name in zip(terms, encodings, strict=True)]


def _fits(text: str, terms: list[str]) -> bool:
    """Whether each component of a text can be written whole in one of these character sets, and is then read back as it
    was: of some sets pydicom writes no escape sequences, and some have another character where ASCII has `\\`."""
    if not all(any(_holds(name, part) for name in _encodings(terms)) for part in NAME_DELIMITERS.split(text)):
        return False
    return decode_bytes(_encoded_name(text, terms), convert_encodings(terms), PN_DELIMITERS) == text


def _holds(encoding: str, text: str) -> bool:
    encode = custom_encoders.get(encoding) or partial(str.encode, encoding=encoding)
    try:
        encode(text, errors="strict")
    except UnicodeError:
        return False
    return True


def _write_in(response: Dataset, terms: list[str]) -> None:
    """Set the response's character set. With code extensions its texts become bytes here: see `_encodings`."""
    if terms:
        response.SpecificCharacterSet = terms if len(terms) > 1 else terms[0]
    if len(terms) > 1:
        _encode_texts(response, terms)


def _encode_texts(dataset: Dataset, terms: list[str]) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _encode_texts(item, terms)
        elif element.VR == "PN" and element.value:
            element.value = PersonName(_encoded_name(str(element.value), terms), convert_encodings(terms))
        elif element.VR in ("LO", "LT", "SH") and element.value:
            element.value = encode_string(element.value, _encodings(terms))


def _encoded_name(name: str, terms: list[str]) -> bytes:
    """Each component for itself: a delimiter ends what an escape sequence began (PS3.5 section 6.1.2.5.3)."""
    return b"".join(encode_string(part, _encodings(terms)) for part in NAME_DELIMITERS.split(name))
