"""Owns the answer's data sets: exactly what was asked for, in a character set that the asker can read. Pure.

PS3.4 section K.4.1.1.3.2 (responses), PS3.5 section 6.1.2.3 (character sets).
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
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
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName

from core import value_representations as vr
from dicom.modality_policy import TRANSLITERATED
from worklist.query.information_model import (
    CALLING_AE_TITLE,
    DEFAULT_OPTIONS,
    ISSUER_OF_PATIENT_ID,
    NOT_KEYS,
    ROOT,
    STATUS_WORDS,
    STEP_KEYWORDS,
    Attribute,
    Matching,
    MatchingOptions,
    WhenUnknown,
)
from worklist.query.matching import is_universal, values_of
from worklist.query.transliteration import transliterated

PN_DELIMITERS = {ord("^"), ord("=")}
NAME_DELIMITERS = re.compile(r"([\^=])")
#: Names of the default repertoire: to ask for it is to ask for no other.
ASCII_TERMS = {"", "ISO_IR 6", "ISO 2022 IR 6"}
UNICODE = ["ISO_IR 192"]
#: Tried in this order where the request named no character set.
FALLBACKS = (["ISO_IR 100"], UNICODE)
#: Texts in which another character set than ASCII may be (PS3.5 section 6.1.2.2) and of which we send any.
TEXTS = ("LO", "LT", "PN", "SH")

#: Name of a source → its value.
Sources = Callable[[str], Any]


class IllegalValue(Exception):
    """An item with a value that its VR does not allow; the text is the attribute's keyword."""


def response_for(  # noqa: PLR0913, PLR0917 — all that an answer depends on
    item: Any,
    request: Dataset,
    calling_ae_title: str,
    zone: tzinfo,
    character_set: str = "",
    options: MatchingOptions = DEFAULT_OPTIONS,
) -> Dataset:
    """The identifier of one pending response; IllegalValue where a modality could not read it.

    An item without a station is shown as the asker's own. `zone` is the clinic's; `character_set` is the asker's, where
    it has one that goes before what the request says (policies.py).
    """
    others = {CALLING_AE_TITLE: calling_ae_title, ISSUER_OF_PATIENT_ID: options.issuer_of_patient_id}

    def sources(name: str) -> Any:
        return others[name] if name in others else getattr(item, name)

    response = Dataset()
    _fill(response, None if wants_whole_item(request) else request, ROOT, sources)
    if "TimezoneOffsetFromUTC" in request:
        response.TimezoneOffsetFromUTC = _offset(item, zone)
    if character_set:
        _write_as_configured(response, character_set)
    else:
        _write_in(response, character_set_for(response, _terms(request)))
    return response


def wants_whole_item(request: Dataset) -> bool:
    """Requests that are no proper worklist request: one with a Query/Retrieve Level, or without any return key."""
    return "QueryRetrieveLevel" in request or not any(
        _is_return_key(element) for element in request if element.keyword not in STEP_KEYWORDS
    )


def has_unsupported_key(request: Dataset) -> bool:
    """Whether some key is not supported as the required ones are: then pending is FF01, not FF00 (table K.4-1)."""
    return _has_unsupported((element for element in request if element.keyword not in STEP_KEYWORDS), ROOT)


def lacks_requested_attribute(request: Dataset, response: Dataset) -> bool:
    """Whether this response lacks what was asked for, though others may have it: then its status is FF01, too."""
    return any(_lacks(row, request, response) for row in ROOT)


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


def _has_unsupported(elements: Iterable[DataElement], table: tuple[Attribute, ...]) -> bool:
    rows = {row.keyword: row for row in table}
    return any(_is_unsupported(element, rows.get(element.keyword)) for element in elements if not _is_noise(element))


def _is_unsupported(element: DataElement, row: Attribute | None) -> bool:
    """A key that is not in the table, is never returned, or has a value that is not matched on."""
    if row is None or (row.when_unknown is WhenUnknown.WARNED and not row.sources):
        return True
    if row.children and element.VR == "SQ":
        return any(_has_unsupported(item, row.children) for item in element.value)
    return row.matching is Matching.NONE and _has_value(element)


def _lacks(row: Attribute, asked: Dataset, response: Dataset) -> bool:
    if row.keyword not in asked:
        return False
    if row.children and response.get(row.keyword):
        return any(_lacks(child, _first_item(asked, row), response[row.keyword][0]) for child in row.children)
    return row.when_unknown is WhenUnknown.WARNED and row.keyword not in response


def _first_item(dataset: Dataset, row: Attribute) -> Dataset:
    """The first item of a sequence; an empty one where there is none, or no sequence."""
    element = dataset[row.tag]
    return element.value[0] if element.VR == "SQ" and element.value else Dataset()


def _has_value(element: DataElement) -> bool:
    if element.VR == "SQ":
        return any(_has_value(child) for item in element.value for child in item)
    return not is_universal(values_of(element.value))


def _is_noise(element: DataElement) -> bool:
    """What is neither key nor return key: private elements, group lengths, and what says how to read the request."""
    return element.tag.is_private or element.tag.element == 0 or element.keyword in NOT_KEYS


def _fill(target: Dataset, asked: Dataset | None, table: tuple[Attribute, ...], sources: Sources) -> None:
    """Everything of the table that was asked for; the whole of it for None."""
    for row in table:
        if row.matching is Matching.NEVER or (asked is not None and row.tag not in asked):
            continue
        value = _items(row, asked, sources) if row.children else _value(row, sources)
        if value is not None or row.when_unknown is WhenUnknown.ZERO_LENGTH:
            target.add_new(row.tag, row.vr, Sequence() if value is None and row.vr == "SQ" else value)
        elif row.when_unknown is WhenUnknown.NOT_SHOWN:
            raise IllegalValue(row.keyword)


def _items(row: Attribute, asked: Dataset | None, sources: Sources) -> Sequence | None:
    """One item of a sequence; None for a code that is not known whole, or of which nothing was asked for."""
    if any(_sourced(child, sources)[1] is None for child in row.children if _is_whole_or_none(child)):
        return None
    wanted = Dataset() if asked is None else _first_item(asked, row)
    item = Dataset()
    _fill(item, None if all(map(_is_noise, wanted)) else wanted, row.children, sources)
    return Sequence([item]) if len(item) or row.return_type == "1" else None


def _is_whole_or_none(row: Attribute) -> bool:
    return row.when_unknown is WhenUnknown.WHOLE_OR_NONE


def _sourced(row: Attribute, sources: Sources) -> tuple[str, Any]:
    """Where the value comes from, and the value as it is kept; None where there is none."""
    for name in row.sources:
        value = sources(name)
        if value not in ("", None):
            return name, value
    return "", row.constant


def _value(row: Attribute, sources: Sources) -> Any:
    """The value as it is shown; None where there is none."""
    source, value = _sourced(row, sources)
    if isinstance(value, date):
        return vr.format_da(value)
    if isinstance(value, time):
        return vr.format_tm(value)
    if row.matching is Matching.STATUS and value in STATUS_WORDS:
        return STATUS_WORDS[value][0]
    return value if source == CALLING_AE_TITLE or not isinstance(value, str) else _legal(row, value)


def _legal(row: Attribute, value: str) -> str:
    if not vr.IS_VALUE[row.vr](value) or len(value) > vr.MAX_LENGTHS[row.vr]:
        raise IllegalValue(row.keyword)
    composed = unicodedata.normalize("NFC", value)
    return composed if row.vr == "PN" and len(composed) <= len(value) else value


def _offset(item: Any, zone: tzinfo) -> str:
    if item.scheduled_date is None or item.scheduled_time is None:
        raise IllegalValue("ScheduledProcedureStepStartDate")
    return f"{datetime.combine(item.scheduled_date, item.scheduled_time, zone):%z}"[:5]


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
    """ServerConfig that are known, may stand together, and say more than the default repertoire."""
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


def _write_as_configured(response: Dataset, character_set: str) -> None:
    """In the asker's character set: what that does not hold is spelled in letters that it holds. A text of which
    nothing would be left stays what it is, in Unicode: no woman loses her name to a setting."""
    terms = [] if character_set == TRANSLITERATED else [character_set]
    _transliterate(response, terms)
    foreign = [text for text in _texts(response) if not text.isascii()]
    held = all(_is_held(text, terms) for text in foreign)
    _write_in(response, (terms if held else UNICODE) if foreign else [])


def _transliterate(dataset: Dataset, terms: list[str]) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _transliterate(item, terms)
        elif element.VR in TEXTS and element.value:
            element.value = transliterated(str(element.value), element.VR, lambda text: _is_held(text, terms))


def _is_held(text: str, terms: list[str]) -> bool:
    return text.isascii() or (bool(terms) and _fits(text, terms))


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
        elif element.VR in TEXTS and element.value:
            element.value = encode_string(element.value, _encodings(terms))


def _encoded_name(name: str, terms: list[str]) -> bytes:
    """Each component for itself: a delimiter ends what an escape sequence began (PS3.5 section 6.1.2.5.3)."""
    return b"".join(encode_string(part, _encodings(terms)) for part in NAME_DELIMITERS.split(name))
