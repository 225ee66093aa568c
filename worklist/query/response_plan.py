"""Write the pending responses to one query quickly, as bytes.

The responses to a query differ only in their values. So what they have in common is worked out once, when the
identifier has been read: which elements there are, in which order, and from which fields of the item they come. Each
row then only fills its values in. An element that has been written for one row is kept for others: the rows of an
answer tend to have the same modality, station and day, and the next answer to have the same rows.

The result is, byte for byte, what pydicom writes of `response_for` (response.py). Almost all rows are ASCII, and are
written in one pass. Any other is written in two: the first collects its texts, which decide the character set.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from functools import partial
from struct import Struct
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from worklist.query.information_model import (
    CALLING_AE_TITLE,
    ROOT,
    STATUS_WORDS,
    Attribute,
    Matching,
    WhenUnknown,
)
from worklist.query.matching import is_universal, status_answered, step_item, values_of
from worklist.query.response import (
    TEXT_VRS,
    IllegalValue,
    ResponseOptions,
    can_show,
    character_set_for,
    configured_character_set_for,
    configured_terms,
    encoded_text,
    first_item,
    has_unsupported_key,
    requested_of_item,
    requested_terms,
    wants_whole_item,
    written_value,
)
from worklist.query.transliteration import transliterate

SPECIFIC_CHARACTER_SET, TIMEZONE_OFFSET = 0x00080005, 0x00080201
#: A source without a value.
EMPTY = ("", None)
ITEM_HEADER = bytes.fromhex("FEFF00E0")
_TAG, _US, _SHORT_LENGTH, _LENGTH = Struct("<HH"), Struct("<H"), Struct("<H"), Struct("<L")
#: The most written elements that are kept for other rows, for each attribute.
KEPT = 200

#: Returns a text as bytes, without padding; the second argument is its VR. None for texts that are to be ASCII.
Encode = Callable[[str, str], bytes] | None


class _NotAscii(Exception):
    """A text has characters outside the default repertoire, and needs a character set."""


class ReturnKeys:
    """An identifier as its responses depend on it: which keys there are and whether they have a value, but not which.

    Two of them are equal if every item is returned in the same way.
    """

    #: The keys that are told apart by their values: Specific Character Set, Scheduled Procedure Step Status.
    BY_VALUE = (0x00080005, 0x00400020)

    def __init__(self, data_set: Dataset) -> None:
        self.data_set = data_set
        self._keys = self._keys_of(data_set)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReturnKeys) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(self._keys)

    def _keys_of(self, data_set: Dataset) -> Hashable:
        return tuple((element.tag, element.VR == "SQ", self._value_of(element)) for element in data_set)

    def _value_of(self, element: DataElement) -> Hashable:
        if element.VR == "SQ":
            return tuple(map(self._keys_of, element.value))
        if element.tag in self.BY_VALUE:
            return str(element.value)
        values = values_of(element.value)
        return bool(values), is_universal(values)


class ResponsePlan:
    """What the responses to one identifier have in common.

    `fields` are the fields of the item that a response is made of. `response` takes their values in this order, and
    ignores what follows.
    """

    def __init__(self, request: Dataset, transfer_syntax: str, options: ResponseOptions) -> None:
        asked = values_of(step_item(request).get("ScheduledProcedureStepStatus"))
        self._layout = _Layout(
            transfer_syntax == ImplicitVRLittleEndian,
            options.constants,
            {status: status_answered(status, asked) for status in STATUS_WORDS},
        )
        offset = [_TimezoneOffset(self._layout, options.zone)] if "TimezoneOffsetFromUTC" in request else []
        self._root = _Elements(self._layout, ROOT, None if wants_whole_item(request) else request, offset)
        self._character_set, self._requested_terms = options.character_set, requested_terms(request)
        self._has_unsupported_key = has_unsupported_key(request)
        self._lackable = [self._layout.indexes(row) for row in _that_warn_if_absent(ROOT, request)]
        self._whole_item: ResponsePlan | None = None
        if self._root.may_be_empty:
            self._whole_item = ResponsePlan(Dataset(), transfer_syntax, options)
        others = self._whole_item.fields if self._whole_item else ()
        self.fields: tuple[str, ...] = tuple(dict.fromkeys((*self._layout.fields, *others)))
        self._of_whole_item = [self.fields.index(field) for field in others]

    def response(self, values: Sequence[Any]) -> tuple[bytes, bool]:
        """Return the encoded identifier of one pending response, and whether its status is FF01 (table K.4-1).

        A request for attributes that are all unknown here is answered with the whole item: pynetdicom and others take
        no empty identifier. Raise IllegalValue if a modality could not read the item.
        """
        sources = (*self._layout.constants, *values)
        try:
            encoded = self._root.encoded(sources, None)
        except _NotAscii:
            encoded = self._encoded_in_its_character_set(sources)
        if not encoded and self._whole_item:
            encoded, _ = self._whole_item.response([values[index] for index in self._of_whole_item])
        warns = self._has_unsupported_key or any(
            all(sources[index] in EMPTY for index in indexes) for indexes in self._lackable
        )
        return encoded, warns

    def _encoded_in_its_character_set(self, sources: Sequence[Any]) -> bytes:
        texts: dict[tuple[str, str], str] = {}  # text and VR → as it is shown

        def collect(text: str, value_representation: str) -> bytes:
            texts[text, value_representation] = text
            return b""

        self._root.encoded(sources, collect)
        if self._character_set:
            can_be_shown = partial(can_show, terms=configured_terms(self._character_set))
            for text, value_representation in texts:
                if value_representation in TEXT_VRS:
                    shown = transliterate(text, value_representation, can_be_shown)
                    texts[text, value_representation] = shown
            terms = configured_character_set_for(texts.values(), self._character_set)
        else:
            terms = character_set_for(texts.values(), self._requested_terms)
        encoded = self._root.encoded(sources, lambda text, vr: encoded_text(texts[text, vr], vr, terms))
        # All other attributes have higher tags.
        character_set = "\\".join(terms).encode()
        return self._layout.element(SPECIFIC_CHARACTER_SET, "CS", character_set) + encoded if terms else encoded


class _Layout:
    """How elements are encoded, and where the value of a source is found.

    A row's sources are the constants followed by the item's fields.
    """

    def __init__(self, is_implicit: bool, constants: Mapping[str, Any], words: Mapping[str, str]) -> None:
        self._is_implicit = is_implicit
        self._names = list(constants)
        self.constants = tuple(constants.values())
        self.words = words

    @property
    def fields(self) -> list[str]:
        """The item's fields that are sources."""
        return self._names[len(self.constants) :]

    def index(self, source: str) -> int:
        if source not in self._names:
            self._names.append(source)
        return self._names.index(source)

    def indexes(self, row: Attribute) -> tuple[int, ...]:
        return tuple(map(self.index, row.sources))

    def element(self, tag: int, value_representation: str, value: bytes) -> bytes:
        """Encode an element, padding its value to an even length (PS3.5 chapter 7)."""
        if len(value) % 2:
            value += b"\0" if value_representation == "UI" else b" "
        head = _TAG.pack(tag >> 16, tag & 0xFFFF)
        if self._is_implicit:
            return head + _LENGTH.pack(len(value)) + value
        head += value_representation.encode()
        if value_representation in EXPLICIT_VR_LENGTH_32:
            return head + b"\0\0" + _LENGTH.pack(len(value)) + value
        return head + _SHORT_LENGTH.pack(len(value)) + value


class _Elements:
    """The requested attributes of one table; all of them if `requested` is None."""

    def __init__(
        self,
        layout: _Layout,
        table: Iterable[Attribute],
        requested: Dataset | None,
        others: "Iterable[_TimezoneOffset]" = (),
    ) -> None:
        rows = [row for row in table if row.matching is not Matching.NOT_A_KEY]
        elements: list[_Value | _Sequence | _TimezoneOffset] = [
            _Sequence(layout, row, requested) if row.children else _Value(layout, row)
            for row in rows
            if requested is None or row.tag in requested
        ]
        elements += others
        places = {element.tag: place for place, element in enumerate(sorted(elements, key=lambda each: each.tag))}
        self.may_be_empty = all(element.absent == b"" for element in elements)
        #: What is the same in each row, in the order of the tags, and b"" in the place of what is not.
        self._constant = [b""] * len(elements)
        #: In the order in which illegal values are found; each with its place in the order of the tags.
        self._varying = []
        for element in elements:
            if isinstance(element, _Value) and element.constant is not None:
                self._constant[places[element.tag]] = element.constant
            else:
                self._varying.append((places[element.tag], element))

    def encoded(self, sources: Sequence[Any], encode: Encode) -> bytes:
        parts = self._constant.copy()
        for place, element in self._varying:
            parts[place] = element.encoded(sources, encode)
        return b"".join(parts)


class _Value:
    """An attribute that is no sequence, or a sequence that never has an item."""

    def __init__(self, layout: _Layout, row: Attribute) -> None:
        self.tag = int(row.tag)
        self._layout = layout
        self._row = row
        self._indexes = layout.indexes(row)
        self._unchecked = layout.index(CALLING_AE_TITLE)
        self._kept: dict[Any, bytes] = {}
        #: What stands for an unknown value; None if the item cannot be shown without it.
        self.absent: bytes | None = b""
        if row.when_unknown is WhenUnknown.ZERO_LENGTH:
            self.absent = layout.element(self.tag, row.vr, b"")
        elif row.when_unknown is WhenUnknown.NOT_SHOWN:
            self.absent = None

        self.constant: bytes | None = None if row.sources else self.absent
        if row.constant is not None and not row.sources:
            self.constant = layout.element(self.tag, row.vr, self._content(-1, row.constant, None))

    def encoded(self, sources: Sequence[Any], encode: Encode) -> bytes:
        """Return the element; raise IllegalValue, or _NotAscii if `encode` is None."""
        first = sources[self._indexes[0]]
        if encode is None and (kept := self._kept.get(first)) is not None:
            return kept
        index = next((index for index in self._indexes if sources[index] not in EMPTY), -1)
        value = self._row.constant if index == -1 else sources[index]
        if value is not None:
            encoded = self._layout.element(self.tag, self._row.vr, self._content(index, value, encode))
        elif self.absent is not None:
            encoded = self.absent
        else:
            raise IllegalValue(self._row.keyword)
        if encode is None and (index == self._indexes[0] or len(self._indexes) == 1):
            _keep(self._kept, first, encoded)
        return encoded

    def _content(self, index: int, value: Any, encode: Encode) -> bytes:
        row = self._row
        if row.field == "status":
            value = self._layout.words.get(value, value)
        written = value if index == self._unchecked else written_value(row, value)
        if isinstance(written, int):
            return _US.pack(written)
        if encode:
            return encode(written, row.vr)
        if not written.isascii():
            raise _NotAscii
        # As pydicom does: no empty groups at the end of a name.
        return str(written).rstrip("=" if row.vr == "PN" else "").encode("ascii")


class _TimezoneOffset:
    """The clinic's offset from UTC at the scheduled time."""

    tag, absent = TIMEZONE_OFFSET, None

    def __init__(self, layout: _Layout, zone: tzinfo) -> None:
        self._layout = layout
        self._zone = zone
        self._day, self._time = layout.index("scheduled_date"), layout.index("scheduled_time")

    def encoded(self, sources: Sequence[Any], encode: Encode) -> bytes:
        day, at = sources[self._day], sources[self._time]
        if day is None or at is None:
            raise IllegalValue("ScheduledProcedureStepStartDate")
        offset = f"{datetime.combine(day, at, self._zone):%z}"[:5]
        return self._layout.element(self.tag, "SH", offset.encode())


class _Sequence:
    """A sequence of one item: the scheduled step, or a code."""

    def __init__(self, layout: _Layout, row: Attribute, requested: Dataset | None) -> None:
        self.tag = int(row.tag)
        self._layout = layout
        self._row = row
        whole = (child for child in row.children if child.when_unknown is WhenUnknown.WHOLE_OR_NONE)
        self._needed = [layout.indexes(child) for child in whole]
        #: Where the values of a code come from; a step is another in each row.
        self._code = [index for child in row.children for index in layout.indexes(child)] if self._needed else []
        self._kept: dict[Any, bytes] = {}
        self._item = _Elements(layout, row.children, requested_of_item(requested, row))
        self.absent = layout.element(self.tag, "SQ", b"")

    def encoded(self, sources: Sequence[Any], encode: Encode) -> bytes:
        """Return the sequence, with no item if a code is incomplete or nothing was requested of it."""
        if not self._code:
            return self._encoded(sources, encode)
        code = tuple(sources[index] for index in self._code)
        if encode is None and code in self._kept:
            return self._kept[code]
        if all(any(sources[index] not in EMPTY for index in indexes) for indexes in self._needed):
            encoded = self._encoded(sources, encode)
        else:
            encoded = self.absent
        if encode is None:
            _keep(self._kept, code, encoded)
        return encoded

    def _encoded(self, sources: Sequence[Any], encode: Encode) -> bytes:
        item = self._item.encoded(sources, encode)
        if not item and self._row.return_type != "1":
            return self.absent
        return self._layout.element(self.tag, "SQ", ITEM_HEADER + _LENGTH.pack(len(item)) + item)


def _keep(kept: dict[Any, bytes], source: Any, encoded: bytes) -> None:
    """Keep an element for other rows. What a plan has kept for weeks gives way: other patients have other names."""
    if len(kept) >= KEPT:
        kept.clear()
    kept[source] = encoded


def _that_warn_if_absent(table: Iterable[Attribute], request: Dataset) -> Iterator[Attribute]:
    """Yield the requested attributes that other items may have, and without which the status is FF01."""
    for row in table:
        if row.keyword in request:
            if row.children:
                yield from _that_warn_if_absent(row.children, first_item(request, row))
            elif row.when_unknown is WhenUnknown.WARNED and row.sources:
                yield row
