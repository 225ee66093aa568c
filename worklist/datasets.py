"""Owns the answer's data sets: exactly what was asked for, in a character set that the asker can read. Pure.

PS3.4 section K.4.1.1.3.2 (responses), PS3.5 section 6.1.2.3 (character sets).
"""

import warnings
from collections.abc import Iterator
from datetime import date, time
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from core import value_representations as vr
from worklist.information_model import (
    NO_KEYS,
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
WORDS_ON_THE_WIRE = {stored: sent for sent, stored in STATUS_WORDS.items()}
PN_DELIMITERS = {ord("^"), ord("=")}
#: Tried in this order where the request named no character set.
FALLBACKS = ("ISO_IR 100", "ISO_IR 192")


def response_for(item: Any, request: Dataset, calling_ae_title: str) -> Dataset:
    """The identifier of one pending response. An item without a station is shown as the asker's own."""
    whole = wants_whole_item(request)
    response = Dataset()
    _fill(response, None if whole else request, ROOT, item, "")
    _add_code(response, None if whole else request, REQUESTED_PROCEDURE_CODE, item)
    if whole or STEP_SEQUENCE in request:
        asked = step_item(request)
        step = Dataset()
        everything = whole or not len(asked)
        _fill(step, None if everything else asked, STEP, item, calling_ae_title)
        _add_code(step, None if everything else asked, SCHEDULED_PROTOCOL_CODE, item)
        setattr(response, STEP_SEQUENCE, Sequence([step]))
    character_set = character_set_for(response, values_of(request.get("SpecificCharacterSet")))
    if character_set:
        response.SpecificCharacterSet = character_set
    return response


def wants_whole_item(request: Dataset) -> bool:
    """Requests that are no proper worklist request: one with a Query/Retrieve Level, or without any return key."""
    return "QueryRetrieveLevel" in request or not _has_return_key(request)


def has_unsupported_key(request: Dataset) -> bool:
    """Whether some key is not supported as the required ones are: then pending is FF01, not FF00 (table K.4-1)."""
    in_step = _unsupported(step_item(request), STEP, {SCHEDULED_PROTOCOL_CODE.keyword})
    return in_step or _unsupported(request, ROOT, {REQUESTED_PROCEDURE_CODE.keyword, STEP_SEQUENCE})


def character_set_for(response: Dataset, requested: list[str]) -> str | list[str] | None:
    """The SpecificCharacterSet of a response: None while all is ASCII, else the asker's if all fits, else a wider."""
    texts = "".join(_texts(response))
    if texts.isascii():
        return None
    for terms in ([requested] if requested else []) + [[term] for term in FALLBACKS]:
        if _fits(texts, terms):
            return terms if len(terms) > 1 else terms[0]
    return FALLBACKS[-1]


def _has_return_key(dataset: Dataset) -> bool:
    for element in dataset:
        if _is_noise(element):
            continue
        if element.VR == "SQ":
            if not element.value or any(not len(item) or _has_return_key(item) for item in element.value):
                return True
        elif not values_of(element.value):
            return True
    return False


def _unsupported(dataset: Dataset, table: tuple[Attribute, ...], known_sequences: set[str]) -> bool:
    rows = {row.keyword: row for row in table}
    misplaced = {row.keyword for row in STEP} if table is ROOT else set()
    for element in dataset:
        if _is_noise(element) or element.keyword in known_sequences | misplaced:
            continue
        row = rows.get(element.keyword)
        if row is None:
            return True
        if row.matching is Matching.NONE and element.VR != "SQ" and not is_universal(values_of(element.value)):
            return True
    return False


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
    value = getattr(item, row.field) if row.field else ""
    if isinstance(value, date):
        return vr.format_da(value)
    if isinstance(value, time):
        return vr.format_tm(value)
    if row.matching is Matching.STATUS:
        return WORDS_ON_THE_WIRE.get(value, value)
    if row.vr == "SQ":
        return Sequence()
    return value or None


def _add_code(target: Dataset, asked: Dataset | None, sequence: CodeSequence, item: Any) -> None:
    if asked is not None and sequence.keyword not in asked:
        return
    fields = (sequence.code_field, sequence.scheme_field, sequence.meaning_field)
    values = dict(zip(CODE_KEYWORDS, (getattr(item, field) for field in fields), strict=True))
    codes = Sequence()
    if all(values.values()):
        wanted = asked[sequence.keyword].value if asked is not None else []
        children = [keyword for keyword in CODE_KEYWORDS if not wanted or not len(wanted[0]) or keyword in wanted[0]]
        code = Dataset()
        for keyword in children:
            setattr(code, keyword, values[keyword])
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


def _fits(text: str, terms: list[str]) -> bool:
    """Whether a text survives being written in these character sets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            encodings = convert_encodings(terms)
            return decode_bytes(encode_string(text, encodings), encodings, PN_DELIMITERS) == text
        except (LookupError, ValueError):
            return False
