"""Read data sets so that nothing in them can get lost: wholly, or not at all (PS3.5 chapter 7).

pydicom reads as far as it can, and guesses. For files that is a virtue. In a query it is a danger: a matching key that
is cut off, or swallowed by the element before it, makes the answer wider than the modality asked for, and in a report
it loses what was performed. So `read_data_set` accounts for every byte, and refuses

- elements, items and sequences that are cut off, or longer than what holds them;
- an undefined length without its delimiter, and a delimiter that ends nothing;
- a VR that DICOM does not have, and reserved bytes behind a VR that are not zero;
- tags that are doubled or not in ascending order, and groups that belong to no data set;
- a value that holds another element, because its own length is wrong;
- nesting deeper than MAX_DEPTH.

A query is read strictly, as its answer must never be wider than it should be: it is also refused for a known tag within
any value, whatever stands behind that tag, and for a sequence that is never nested, found within another one. In a
report the numbers and the private values may look like tags.

It takes what modalities do and what loses nothing: values of an odd length or longer than their VR allows, padding with
NULs, another VR than the dictionary has for the tag, a group length that lies, UN for a known attribute (also for a
sequence, which is then implicit: PS3.5 6.2.2 note 2), a delimiter at the end of a defined length, unknown and private
elements, and a data set that is in the other of the two transfer syntaxes as a whole.

Values are not looked into: pydicom converts each when it is asked for, and raises one of `unreadable.UNREADABLE`.
"""

from collections.abc import MutableSequence
from contextlib import suppress
from struct import Struct
from typing import NamedTuple

from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_dict
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag
from pydicom.uid import ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, STANDARD_VR

from dicom.failures import UnreadableDataSet
from dicom.unreadable import UNREADABLE

#: How deep sequences may be nested; those of the worklist and of MPPS nest four deep.
MAX_DEPTH = 16
TAG = Struct("<HH")
UNDEFINED = 0xFFFFFFFF
#: The length of a header in implicit VR, of an item's and a delimiter's, and of most in explicit VR.
HEADER = 8
ITEM_TAG = b"\xfe\xff\x00\xe0"
#: The sequences of the worklist and of MPPS that are never within another one (PS3.4 tables K.6-1 and F.7.2-1).
OUTERMOST = frozenset({0x00400100, 0x00400270, 0x00400340})
CHARACTER_SET, ITEM, ITEM_END, SEQUENCE_END = 0x00080005, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: Tags of a data set. Lower groups are those of commands and file headers, higher ones those of items and delimiters.
FIRST_TAG, LAST_TAG = 0x00080000, 0xFFFCFFFF
#: Group and element of each tag in DICOM's data dictionary (PS3.6 chapter 6).
KNOWN_TAGS = frozenset((tag >> 16, tag & 0xFFFF) for tag in keyword_dict.values() if FIRST_TAG <= tag <= LAST_TAG)
#: VRs of numbers, of tags and of bytes of any meaning.
BINARY_VRS = {"AT", "FD", "FL", "OB", "OD", "OF", "OL", "OV", "OW", "SL", "SS", "SV", "UL", "UN", "US", "UV"}
VRS = {vr.encode(): str(vr) for vr in STANDARD_VR}
LONG_VRS = {str(vr) for vr in EXPLICIT_VR_LENGTH_32}

Encoding = str | MutableSequence[str]


class _Header(NamedTuple):
    """The header of a data element: `vr` is None in implicit VR; `start` is where the value begins."""

    tag: int
    vr: str | None
    length: int
    start: int


class _Rules(NamedTuple):
    is_implicit: bool
    is_strict: bool


def read_data_set(data: bytes, transfer_syntax: str, *, is_strict: bool = False) -> Dataset:
    """Return the data set that the bytes are, in Implicit or Explicit VR Little Endian, with its values unconverted.

    Raise UnreadableDataSet, whose text names a tag or an offset and no value, unless every byte has its place. With
    `is_strict`, raise it also for what is hardly ever right.
    """
    is_implicit = transfer_syntax == ImplicitVRLittleEndian
    # Two letters of a VR would be a length of at least 16,705 in implicit VR, and the first element is a short one.
    looks_implicit = data[4:6] not in VRS
    if looks_implicit != is_implicit:
        with suppress(UnreadableDataSet):
            return _read_whole(data, _Rules(looks_implicit, is_strict))
    return _read_whole(data, _Rules(is_implicit, is_strict))


def _read_whole(data: bytes, rules: _Rules) -> Dataset:
    data_set, _ = _read_elements(data, 0, len(data), rules, default_encoding, depth=0)
    return data_set


def _read_elements(  # noqa: PLR0913, PLR0917 - where it begins and ends, and what holds in it
    data: bytes, at: int, end: int, rules: _Rules, encoding: Encoding, depth: int, *, is_delimited: bool = False
) -> tuple[Dataset, int]:
    """Return the data set from `at` to `end`, or to its delimiter if it `is_delimited`, and where it ends."""
    elements: dict[BaseTag, RawDataElement | DataElement] = {}
    parent_encoding, last = encoding, 0
    while at < end or is_delimited:
        header = _read_header(data, at, end, rules.is_implicit)
        tag = header.tag
        if tag == ITEM_END and depth and not header.length and (is_delimited or header.start == end):
            at = header.start
            break
        if not FIRST_TAG <= tag <= LAST_TAG:
            raise UnreadableDataSet.in_element(tag, f"is no element of a data set, at byte {at}")
        if tag <= last:
            raise UnreadableDataSet.in_element(tag, "is doubled, or not in the order of the tags")
        if rules.is_strict and depth and tag in OUTERMOST:
            raise UnreadableDataSet.in_element(tag, "is within another sequence")
        last = tag
        if _is_sequence(data, header):
            within = rules._replace(is_implicit=rules.is_implicit or header.vr == "UN")
            items, at = _read_items(data, header, end, within, encoding, depth + 1)
            elements[BaseTag(tag)] = DataElement(tag, "SQ", Sequence(items))
        else:
            element, at = _read_element(data, header, end, rules)
            elements[element.tag] = element
            encoding = _named_encoding(element) if tag == CHARACTER_SET else encoding
    data_set = Dataset(elements, parent_encoding=parent_encoding)
    data_set.set_original_encoding(rules.is_implicit, is_little_endian=True, character_encoding=encoding)
    return data_set, at


def _read_element(data: bytes, header: _Header, end: int, rules: _Rules) -> tuple[RawDataElement, int]:
    tag, vr, length, start = header
    if start + length > end:
        raise UnreadableDataSet.in_element(tag, "is longer than what is left")
    value = data[start : start + length]
    if _holds_tag(value):
        is_certain = rules.is_strict or not _may_be_binary(tag)
        if is_certain or _holds_header(value, len(data) - start, rules.is_implicit):
            raise UnreadableDataSet.in_element(tag, "holds other elements")
    if vr is None and tag & 0xFFFF and not dictionary_has_tag(tag):
        vr = "UN"  # pydicom would say in the log that it does not know the tag
    element = RawDataElement(BaseTag(tag), vr, length, value, start, rules.is_implicit, is_little_endian=True)
    return element, start + length


def _named_encoding(specific_character_set: RawDataElement) -> Encoding:
    try:
        return convert_encodings(convert_raw_data_element(specific_character_set).value)
    except UNREADABLE as error:
        raise UnreadableDataSet.in_element(specific_character_set.tag, "cannot be read") from error


def _read_items(  # noqa: PLR0913, PLR0917 - as for _read_elements
    data: bytes, header: _Header, end: int, rules: _Rules, encoding: Encoding, depth: int
) -> tuple[list[Dataset], int]:
    """Return the items of the sequence that has this header, and where the sequence ends."""
    tag, _, length, at = header
    if depth > MAX_DEPTH:
        raise UnreadableDataSet.in_element(tag, "is nested too deep")
    is_delimited = length == UNDEFINED
    if not is_delimited:
        if at + length > end:
            raise UnreadableDataSet.in_element(tag, "is longer than what is left")
        end = at + length
    items = []
    while at < end or is_delimited:
        item = _read_header(data, at, end, is_implicit=True)
        at = item.start
        if item.tag == SEQUENCE_END and not item.length and (is_delimited or at == end):
            break
        if item.tag != ITEM:
            raise UnreadableDataSet.in_element(tag, f"has something else than an item at byte {at - HEADER}")
        item_end = end if item.length == UNDEFINED else at + item.length
        if item_end > end:
            raise UnreadableDataSet.in_element(tag, "has an item that is longer than itself")
        read, at = _read_elements(data, at, item_end, rules, encoding, depth, is_delimited=item.length == UNDEFINED)
        items.append(read)
    return items, at


def _read_header(data: bytes, at: int, end: int, is_implicit: bool) -> _Header:
    if end - at < HEADER:
        raise UnreadableDataSet(f"The data set is cut off, or followed by something, at byte {at}")
    tag = _read_tag(data, at)
    if is_implicit or tag > LAST_TAG:
        return _Header(tag, None, int.from_bytes(data[at + 4 : at + 8], "little"), at + 8)
    vr = VRS.get(data[at + 4 : at + 6])
    if vr is None:
        raise UnreadableDataSet.in_element(tag, "has an unknown VR")
    if vr not in LONG_VRS:
        return _Header(tag, vr, int.from_bytes(data[at + 6 : at + 8], "little"), at + 8)
    if end - at < HEADER + 4:
        raise UnreadableDataSet.in_element(tag, "is cut off")
    if data[at + 6 : at + 8] != b"\0\0":
        raise UnreadableDataSet.in_element(tag, "has no zeros behind its VR")
    return _Header(tag, vr, int.from_bytes(data[at + 8 : at + 12], "little"), at + 12)


def _read_tag(data: bytes, at: int) -> int:
    group, element = TAG.unpack_from(data, at)
    return int(group << 16 | element)


def _is_sequence(data: bytes, header: _Header) -> bool:
    """Whether the value is a sequence: a private one is known by its first item.

    In implicit VR nothing else has an undefined length (PS3.5 section 7.1.3).
    """
    tag, vr, length, start = header
    if length == UNDEFINED and vr not in (None, "SQ", "UN"):
        raise UnreadableDataSet.in_element(tag, "has an undefined length")
    if length == UNDEFINED or vr == "SQ":
        return True
    if vr not in (None, "UN"):
        return False
    if dictionary_has_tag(tag):
        return dictionary_VR(tag) == "SQ"
    return length >= HEADER and data[start : start + 4] == ITEM_TAG


def _holds_tag(value: bytes) -> bool:
    """Whether the tag of a known element is somewhere in a value, with room for the rest of its header.

    Then the length of the value is wrong, and the value has swallowed what follows it. What stands behind the tag is
    not looked at: it may be wrong as well. Nothing in a text looks like a tag, as there are no NULs in it.
    """
    if len(value) < HEADER or b"\0" not in value:
        return False
    ends = [at + (len(value) - at - 4) // TAG.size * TAG.size for at in range(TAG.size)]
    return any(not KNOWN_TAGS.isdisjoint(TAG.iter_unpack(value[at:end])) for at, end in enumerate(ends))


def _may_be_binary(tag: int) -> bool:
    """Whether an element's value may be numbers, or anything: then some of them may look like a tag.

    The VR that was sent does not count: it may be wrong.
    """
    return not dictionary_has_tag(tag) or not BINARY_VRS.isdisjoint(dictionary_VR(tag).split(" or "))


def _holds_header(value: bytes, left: int, is_implicit: bool) -> bool:
    """Whether the whole header of a known element is somewhere in a value, with a length for which there is room.

    `left` is the number of bytes from the value to the end of the data set.
    """
    for at in range(len(value) - HEADER + 1):
        if TAG.unpack_from(value, at) not in KNOWN_TAGS:
            continue
        try:
            length = _read_header(value, at, len(value), is_implicit).length
        except UnreadableDataSet:
            continue
        if length == UNDEFINED or length <= left - at:
            return True
    return False
