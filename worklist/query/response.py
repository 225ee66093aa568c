"""Build the data set of a pending response: exactly the requested attributes, in a character set the modality reads.

PS3.4 K.4.1.1.3.2 (responses), PS3.5 6.1.2 (character sets). Pure.

`response_for` says, in pydicom's data sets, what a response is. Queries are answered by response_plan.py, which writes
the same bytes many times faster; a test compares the two. What both decide alike is decided here: which attributes are
requested, which values are legal, and the character set.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, tzinfo
from functools import partial
from typing import Any

from pydicom.charset import (
    STAND_ALONE_ENCODINGS,
    convert_encodings,
    custom_encoders,
    decode_bytes,
    default_encoding,
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
from worklist.query.matching import is_universal, status_answered, step_item, values_of
from worklist.query.transliteration import transliterate

PN_DELIMITERS = {ord("^"), ord("=")}
NAME_DELIMITERS = re.compile(r"([\^=])")
#: Defined terms of the default repertoire. A request that names only these asks for no other character set.
ASCII_TERMS = {"", "ISO_IR 6", "ISO 2022 IR 6"}
UNICODE = ["ISO_IR 192"]
#: The character sets to try, in this order, if the request named none.
FALLBACKS = (["ISO_IR 100"], UNICODE)
#: The VRs in a response that SpecificCharacterSet applies to (PS3.5 6.1.2.2).
TEXT_VRS = ("LO", "LT", "PN", "SH")

#: Returns the value of a source: a field of the item or one of NOT_ITEM_FIELDS.
ValueOf = Callable[[str], Any]


class IllegalValue(Exception):
    """A value of an item that its VR does not allow, in the attribute with this keyword."""

    def __init__(self, keyword: str) -> None:
        super().__init__(keyword)
        self.keyword = keyword


@dataclass(frozen=True)
class ResponseOptions:
    """How one requestor is answered, whatever it asks for.

    An item without a station is returned with the requestor's AE title. `zone` is the clinic's time zone.
    `character_set`, if not empty, is the one configured for the modality; it overrides the request's.
    """

    calling_ae_title: str
    zone: tzinfo
    character_set: str = ""
    matching: MatchingOptions = DEFAULT_OPTIONS

    @property
    def constants(self) -> dict[str, str]:
        """The values of the sources that are no fields of the item."""
        return {
            CALLING_AE_TITLE: self.calling_ae_title,
            ISSUER_OF_PATIENT_ID: self.matching.issuer_of_patient_id,
        }


def response_for(item: Any, request: Dataset, options: ResponseOptions) -> Dataset:
    """Return the identifier of one pending response. Raise IllegalValue if a modality could not read it.

    `request` is the query's identifier: its elements are the return keys.
    """
    not_of_item = options.constants
    asked = values_of(step_item(request).get("ScheduledProcedureStepStatus"))

    def value_of(name: str) -> Any:
        value = not_of_item[name] if name in not_of_item else getattr(item, name)
        return status_answered(value, asked) if name == "status" and value in STATUS_WORDS else value

    response = Dataset()
    _add_elements(response, None if wants_whole_item(request) else request, ROOT, value_of)
    if "TimezoneOffsetFromUTC" in request:
        if item.scheduled_date is None or item.scheduled_time is None:
            raise IllegalValue("ScheduledProcedureStepStartDate")
        moment = datetime.combine(item.scheduled_date, item.scheduled_time, options.zone)
        response.TimezoneOffsetFromUTC = f"{moment:%z}"[:5]
    if options.character_set:
        _transliterate(response, configured_terms(options.character_set))
        _write_in(response, configured_character_set_for(_texts(response), options.character_set))
    else:
        _write_in(response, character_set_for(_texts(response), requested_terms(request)))
    return response


def wants_whole_item(request: Dataset) -> bool:
    """Return whether the request is not a proper worklist query: it has a Query/Retrieve Level, or no return key.

    Engineers and simple consoles send these. The response is the whole item.
    """
    return "QueryRetrieveLevel" in request or not any(
        _is_return_key(element) for element in request if element.keyword not in STEP_KEYWORDS
    )


def has_unsupported_key(request: Dataset) -> bool:
    """Return whether some key is not supported, so that the status of pending responses is FF01 (table K.4-1)."""
    return _has_unsupported((element for element in request if element.keyword not in STEP_KEYWORDS), ROOT)


def character_set_for(texts: Iterable[str], requested: list[str]) -> list[str]:
    """Return the SpecificCharacterSet of a response with these texts.

    None if all of them are ASCII, the requested one if it can encode all of them, else a wider one.
    """
    texts = [text for text in texts if not text.isascii()]
    if not texts:
        return []
    candidates = (requested, UNICODE) if _is_character_set(requested) else FALLBACKS
    return next((terms for terms in candidates if all(_fits(text, terms) for text in texts)), UNICODE)


def _is_return_key(element: DataElement) -> bool:
    """Return whether the element is zero-length, or a sequence with something zero-length in it."""
    if _is_ignored(element):
        return False
    if element.VR == "SQ":
        return not element.value or any(not len(item) or any(map(_is_return_key, item)) for item in element.value)
    return not values_of(element.value)


def _has_unsupported(elements: Iterable[DataElement], table: tuple[Attribute, ...]) -> bool:
    rows = {row.keyword: row for row in table}
    return any(_is_unsupported(element, rows.get(element.keyword)) for element in elements if not _is_ignored(element))


def _is_unsupported(element: DataElement, row: Attribute | None) -> bool:
    """Return whether a key is not in the table, is never returned, or has a value that is not matched on."""
    if row is None or (row.when_unknown is WhenUnknown.WARNED and not row.sources):
        return True
    if row.children and element.VR == "SQ":
        return any(_has_unsupported(item, row.children) for item in element.value)
    return row.matching is Matching.NONE and _has_value(element)


def requested_of_item(requested: Dataset | None, row: Attribute) -> Dataset | None:
    """Return the return keys in the item of a sequence; None, which is all, if the item has none or is not there."""
    wanted = Dataset() if requested is None else first_item(requested, row)
    return None if all(map(_is_ignored, wanted)) else wanted


def first_item(dataset: Dataset, row: Attribute) -> Dataset:
    """Return the first item of a sequence, or an empty one if there is no item or no sequence."""
    element = dataset[row.tag]
    return element.value[0] if element.VR == "SQ" and element.value else Dataset()


def _has_value(element: DataElement) -> bool:
    if element.VR == "SQ":
        return any(_has_value(child) for item in element.value for child in item)
    return not is_universal(values_of(element.value))


def _is_ignored(element: DataElement) -> bool:
    """Return whether an element is no key of any kind: private, a group length, or one of NOT_KEYS."""
    return element.tag.is_private or element.tag.element == 0 or element.keyword in NOT_KEYS


def _add_elements(target: Dataset, requested: Dataset | None, table: tuple[Attribute, ...], value_of: ValueOf) -> None:
    """Add the requested attributes of the table to a data set; all of them if `requested` is None."""
    for row in table:
        if row.matching is Matching.NOT_A_KEY or (requested is not None and row.tag not in requested):
            continue
        value = _items(row, requested, value_of) if row.children else _value(row, value_of)
        if value is not None or row.when_unknown is WhenUnknown.ZERO_LENGTH:
            target.add_new(row.tag, row.vr, Sequence() if value is None and row.vr == "SQ" else value)
        elif row.when_unknown is WhenUnknown.NOT_SHOWN:
            raise IllegalValue(row.keyword)


def _items(row: Attribute, requested: Dataset | None, value_of: ValueOf) -> Sequence | None:
    """Return a sequence of one item; None if the code is incomplete, or if none of its attributes was requested."""
    needed = (child for child in row.children if child.when_unknown is WhenUnknown.WHOLE_OR_NONE)
    if any(_source_and_value(child, value_of)[1] is None for child in needed):
        return None
    item = Dataset()
    _add_elements(item, requested_of_item(requested, row), row.children, value_of)
    return Sequence([item]) if len(item) or row.return_type == "1" else None


def _source_and_value(row: Attribute, value_of: ValueOf) -> tuple[str, Any]:
    """Return the source of the value and the stored value; None if there is no value."""
    for name in row.sources:
        value = value_of(name)
        if value not in ("", None):
            return name, value
    return "", row.constant


def _value(row: Attribute, value_of: ValueOf) -> Any:
    source, value = _source_and_value(row, value_of)
    return value if source == CALLING_AE_TITLE else written_value(row, value)


def written_value(row: Attribute, value: Any) -> Any:
    """Return a value as DICOM writes it: a text or a number. Raise IllegalValue if its VR does not allow it."""
    if isinstance(value, date):
        return vr.format_da(value)
    if isinstance(value, time):
        return vr.format_tm(value)
    if not isinstance(value, str):
        return value
    if not vr.IS_VALUE[row.vr](value) or len(value) > vr.MAX_LENGTHS[row.vr]:
        raise IllegalValue(row.keyword)
    if row.vr == "DS":
        return value.strip()  # as pydicom writes it
    if row.vr != "PN" or value.isascii():
        return value
    # Part by part: with U+0338 after it, the delimiter = would become another letter.
    composed = "".join(unicodedata.normalize("NFC", part) for part in NAME_DELIMITERS.split(value))
    return composed if len(composed) <= len(value) else value


def _texts(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                yield from _texts(item)
        elif element.value is not None:
            yield str(element.value)


# Character sets -------------------------------------------------------------------------------------------------------


def requested_terms(request: Dataset) -> list[str]:
    """Return the defined terms of the request's SpecificCharacterSet; the first of several may be empty."""
    value = request.get("SpecificCharacterSet") or []
    return [str(term).strip() for term in (value if isinstance(value, MultiValue) else [value])]


def _is_character_set(terms: list[str]) -> bool:
    """Return whether the terms are known, may be combined, and name more than the default repertoire."""
    stand_alone = len(terms) == 1 or not set(terms) & set(STAND_ALONE_ENCODINGS)
    return stand_alone and set(terms) <= python_encoding.keys() and not set(terms) <= ASCII_TERMS


def _encodings(terms: list[str]) -> list[str]:
    """Return Python's names of the encodings to write in.

    pydicom encodes the default repertoire as Latin-1. Text written like that lacks the escape sequence that PS3.5
    6.1.2.5 requires before a Latin-1 character.
    """
    encodings = convert_encodings(terms)
    return ["ascii" if term in ASCII_TERMS else name for term, name in zip(terms, encodings, strict=True)]


def _fits(text: str, terms: list[str]) -> bool:
    """Return whether each component of a text can be encoded in one of these character sets and is read back unchanged.

    Encoding alone does not prove it: for some sets pydicom writes no escape sequences, and some have another character
    in the place of the backslash.
    """
    if not all(any(_can_encode(name, part) for name in _encodings(terms)) for part in NAME_DELIMITERS.split(text)):
        return False
    return decode_bytes(_encoded_name(text, terms), convert_encodings(terms), PN_DELIMITERS) == text


def _can_encode(encoding: str, text: str) -> bool:
    encode = custom_encoders.get(encoding) or partial(str.encode, encoding=encoding)
    try:
        encode(text, errors="strict")
    except (UnicodeError, IndexError):  # some of pydicom's encoders cannot encode an empty text
        return False
    return True


def configured_terms(character_set: str) -> list[str]:
    """Return the defined terms of the character set configured for a modality; none if it shows ASCII only."""
    return [] if character_set == TRANSLITERATED else [character_set]


def configured_character_set_for(transliterated: Iterable[str], character_set: str) -> list[str]:
    """Return the SpecificCharacterSet of a response with these texts, which have been transliterated.

    A text that would have ended up empty is as it was, and the response is then in Unicode: no patient loses her name
    to a setting.
    """
    terms = configured_terms(character_set)
    texts = [text for text in transliterated if not text.isascii()]
    if not all(can_show(text, terms) for text in texts):
        return UNICODE
    return terms if texts else []


def _transliterate(dataset: Dataset, terms: list[str]) -> None:
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _transliterate(item, terms)
        elif element.VR in TEXT_VRS and element.value:
            element.value = transliterate(str(element.value), element.VR, lambda text: can_show(text, terms))


def can_show(text: str, terms: list[str]) -> bool:
    """Return whether a text is ASCII, or can be written in the character set of these terms."""
    return text.isascii() or (bool(terms) and _fits(text, terms))


def _write_in(response: Dataset, terms: list[str]) -> None:
    """Set the response's character set. With code extensions, encode the texts here: see `_encodings`."""
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
        elif element.VR in TEXT_VRS and element.value:
            element.value = encode_string(element.value, _encodings(terms))


def encoded_text(text: str, value_representation: str, terms: list[str]) -> bytes:
    """Return a text as it is written in a response, without padding; `terms` is its SpecificCharacterSet."""
    if value_representation not in TEXT_VRS:
        return text.encode(default_encoding)
    if len(terms) > 1:
        is_name = value_representation == "PN"
        return _encoded_name(text, terms) if is_name else encode_string(text, _encodings(terms))
    encodings = convert_encodings(terms)
    return PersonName(text).encode(encodings) if value_representation == "PN" else encode_string(text, encodings)


def _encoded_name(name: str, terms: list[str]) -> bytes:
    """Encode each component separately: a delimiter ends an escape sequence's effect (PS3.5 6.1.2.5.3)."""
    return b"".join(encode_string(part, _encodings(terms)) for part in NAME_DELIMITERS.split(name))
