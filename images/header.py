"""Read what identifies an image, and check that all of its pixel data is there, without decoding any (PS3.5).

The file is walked element by element, at the top level of the data set: what stands in a sequence or a private element
cannot be taken for an attribute of the image. Values are skipped, not read, so that a file of any size costs no memory.
Four encodings: implicit or explicit VR little endian, explicit VR big endian, encapsulated pixel data (annex A).
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple

from django.utils import timezone

from core.value_representations import parse_da, parse_dt, parse_offset
from dicom.failures import UnreadableDataSet
from dicom.service import EXPLICIT_VR_LITTLE_ENDIAN
from dicom.upper_layer.dimse import UID
from dicom.upper_layer.negotiation import IMPLICIT_VR_LITTLE_ENDIAN
from images.codestreams import LONGEST_BEGINNING, LONGEST_END, has_beginning, has_end
from images.items import ImageIdentity

EXPLICIT_VR_BIG_ENDIAN = "1.2.840.10008.1.2.2"
NATIVE = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, EXPLICIT_VR_BIG_ENDIAN})

#: How many headers of elements and items are read of one file, and how deep sequences may be nested.
MAX_HEADERS, MAX_DEPTH = 200_000, 16
#: The longest value that is read, in bytes. A longer one makes the image unreadable; UIDs have 64.
MAX_VALUE = 4096
#: How many accession numbers are kept, and how many characters of each. Our own have at most 16; more are kept, so that
#: a longer number is not taken for the one that it begins with.
MAX_NUMBERS, MAX_NUMBER = 16, 64
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
#: Tags of a data set. Lower groups are those of commands and file headers, higher ones those of items and delimiters.
FIRST_TAG, LAST_TAG = 0x00080000, 0xFFFCFFFF
#: The VRs whose length has four bytes, and the others (PS3.5 section 7.1.2).
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)  # fmt: skip

CHARACTER_SET, SOP_CLASS, SOP_INSTANCE, STUDY_DATE, ACCESSION_NUMBER = (
    0x00080005, 0x00080016, 0x00080018, 0x00080020, 0x00080050,
)  # fmt: skip
#: The tags of Acquisition DateTime, of Acquisition Date and Time, and of Content Date and Time.
TAKEN_AT = ((0x0008002A,), (0x00080022, 0x00080032), (0x00080023, 0x00080033))
OFFSET_FROM_UTC = 0x00080201
PATIENT_ID, VIEW_POSITION, STUDY, SERIES, LATERALITY = 0x00100020, 0x00185101, 0x0020000D, 0x0020000E, 0x00200062
SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS, BITS_ALLOCATED = (
    0x00280002, 0x00280004, 0x00280008, 0x00280010, 0x00280011, 0x00280100,
)  # fmt: skip
REQUEST_ATTRIBUTES, PIXEL_DATA = 0x00400275, 0x7FE00010
READ = frozenset(
    {CHARACTER_SET, SOP_CLASS, SOP_INSTANCE, STUDY_DATE, ACCESSION_NUMBER, PATIENT_ID, VIEW_POSITION, STUDY, SERIES,
     LATERALITY, SAMPLES, PHOTOMETRIC, FRAMES, ROWS, COLUMNS, BITS_ALLOCATED, OFFSET_FROM_UTC, *chain(*TAKEN_AT)}
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What an image says about itself, as text without its padding; an empty value says nothing."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    image_laterality: str
    view_position: str
    identity: ImageIdentity = field(repr=False)


class _Element(NamedTuple):
    """The header of an element, item or delimiter. `vr` is empty in implicit VR; `at` is where the value begins."""

    tag: int
    vr: bytes
    length: int
    at: int


@dataclass(frozen=True)
class _Encoding:
    """How elements are encoded."""

    is_implicit: bool
    order: str = "<"

    def tag(self, raw: bytes) -> int:
        group, element = Struct(self.order + "HH").unpack_from(raw)
        return int(group << 16 | element)

    def number(self, raw: bytes) -> int:
        """Return an unsigned number of any length."""
        return int.from_bytes(raw, "little" if self.order == "<" else "big")


IMPLICIT = _Encoding(is_implicit=True)

Take = Callable[[_Element], None]


def read_header(path: Path, data_set_at: int, transfer_syntax: str) -> Header:
    """Return the header of the data set that begins at `data_set_at` and ends with the file.

    Raise UnreadableDataSet, whose text quotes no value, if it is cut off, damaged, or not an image whose pixel data are
    all there.
    """
    with path.open("rb", buffering=1 << 16) as file:
        return _Reader(file, data_set_at, path.stat().st_size, transfer_syntax).read()


class _Reader:
    """Reads one data set."""

    def __init__(self, file: BinaryIO, start: int, end: int, transfer_syntax: str) -> None:
        self._file = file
        self._start = start
        self._end = end
        self._is_native = transfer_syntax in NATIVE
        self._encoding = _Encoding(
            is_implicit=transfer_syntax == IMPLICIT_VR_LITTLE_ENDIAN,
            order=">" if transfer_syntax == EXPLICIT_VR_BIG_ENDIAN else "<",
        )
        self._headers = 0
        self._values: dict[int, bytes] = {}
        self._requested: list[bytes] = []
        self._pixel_data: _Element | None = None
        self._offset_table: _Element | None = None
        self._fragments = 0
        self._first_fragment: _Element | None = None
        self._last_fragment: _Element | None = None

    def read(self) -> Header:
        """Walk the whole data set, and check it."""
        self._walk(self._start, self._end, self._encoding, self._take, is_top=True)
        self._check_pixels()
        study_date: date | None = None
        with suppress(ValueError):
            study_date = parse_da(self._text(STUDY_DATE))
        return Header(
            sop_class_uid=self._text(SOP_CLASS),
            sop_instance_uid=self._text(SOP_INSTANCE),
            study_instance_uid=self._uid(STUDY, "Study Instance UID"),
            series_instance_uid=self._uid(SERIES, "Series Instance UID"),
            image_laterality=self._text(LATERALITY),
            view_position=self._text(VIEW_POSITION),
            identity=ImageIdentity(
                study_instance_uid=self._text(STUDY),
                accession_numbers=self._accession_numbers(),
                patient_id=self._text(PATIENT_ID),
                study_date=study_date,
                taken_at=self._taken_at(),
            ),
        )

    # Values -----------------------------------------------------------------------------------------------------------

    def _take(self, element: _Element) -> None:
        """Keep what is needed of an element at the top level."""
        if element.tag in READ:
            self._values[element.tag] = self._value(element)
        elif element.tag == PIXEL_DATA:
            self._pixel_data = element

    def _take_requested(self, element: _Element) -> None:
        """Keep what is needed of an element in an item of the Request Attributes Sequence."""
        if element.tag == ACCESSION_NUMBER and len(self._requested) < MAX_NUMBERS:
            self._requested.append(self._value(element))

    def _value(self, element: _Element) -> bytes:
        if element.length > MAX_VALUE:
            raise UnreadableDataSet.in_element(element.tag, "is too long")
        return self._bytes(element.at, element.length)

    def _text(self, tag: int) -> str:
        return self._decode(self._values.get(tag, b""))

    def _decode(self, raw: bytes) -> str:
        is_unicode = b"ISO_IR 192" in self._values.get(CHARACTER_SET, b"")
        text = raw.decode("utf-8" if is_unicode else "latin-1", "replace")
        return "".join(each for each in text if each.isprintable()).strip()

    def _taken_at(self) -> datetime | None:
        """Return when the image was taken; None unless it has a valid date together with a time.

        The time is by its own offset, else by Timezone Offset From UTC, else by the clinic's clock.
        """
        offset = None
        with suppress(ValueError):
            offset = parse_offset(self._text(OFFSET_FROM_UTC))
        for tags in TAKEN_AT:
            with suppress(ValueError):
                moment = parse_dt("".join(self._text(tag) for tag in tags))
                return moment if moment.tzinfo else timezone.make_aware(moment, offset)
        return None

    def _accession_numbers(self) -> tuple[str, ...]:
        """Return the top level's, then those of the Request Attributes Sequence, each once."""
        found = (self._decode(raw)[:MAX_NUMBER] for raw in (self._values.get(ACCESSION_NUMBER, b""), *self._requested))
        return tuple(dict.fromkeys(filter(None, found)))[:MAX_NUMBERS]

    def _uid(self, tag: int, name: str) -> str:
        text = self._text(tag)
        if not UID.fullmatch(text):
            raise UnreadableDataSet(f"{name} is missing, or no UID")
        return text

    def _number(self, tag: int) -> int:
        """Return a positive number of VR US."""
        number = self._encoding.number(self._values.get(tag, b"")[:2])
        if not number:
            raise UnreadableDataSet.in_element(tag, "is missing")
        return number

    def _bytes(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(length)

    # Structure --------------------------------------------------------------------------------------------------------

    def _header(self, at: int, end: int, encoding: _Encoding) -> _Element:
        """Read the header at a place; raise UnreadableDataSet if what follows it does not fit before the end."""
        self._headers += 1
        if self._headers > MAX_HEADERS:
            raise UnreadableDataSet("The data set has too many elements")
        raw = self._bytes(at, 12)[: end - at]
        if len(raw) < 8:
            raise UnreadableDataSet(f"The data set is cut off at byte {at - self._start}")
        tag = encoding.tag(raw)
        vr = b"" if encoding.is_implicit or tag > LAST_TAG else raw[4:6]
        if not vr:
            element = _Element(tag, vr, encoding.number(raw[4:8]), at + 8)
        elif vr in SHORT_VRS:
            element = _Element(tag, vr, encoding.number(raw[6:8]), at + 8)
        elif vr in LONG_VRS and len(raw) == 12:
            element = _Element(tag, vr, encoding.number(raw[8:12]), at + 12)
        else:
            raise UnreadableDataSet.in_element(tag, "has an unknown VR, or is cut off")
        if element.length != UNDEFINED and element.at + element.length > end:
            raise UnreadableDataSet.in_element(tag, "is cut off")
        return element

    def _walk(  # noqa: PLR0913 - a data set within a data set
        self, at: int, end: int, encoding: _Encoding, take: Take | None, depth: int = 0, *, is_top: bool = False,
        is_delimited: bool = False,
    ) -> int:  # fmt: skip
        """Walk the elements of a data set, and return where it ends; with `is_delimited`, behind its delimiter.

        `take` is called with each element.
        """
        last = -1
        while at < end or is_delimited:
            element = self._header(at, end, encoding)
            if is_delimited and element.tag == ITEM_END:
                return element.at
            if element.tag <= last or not FIRST_TAG <= element.tag <= LAST_TAG:
                raise UnreadableDataSet.in_element(element.tag, "is out of order, doubled, or belongs to no data set")
            last = element.tag
            if take:
                take(element)
            at = self._end_of(element, end, encoding, depth, is_top=is_top)
        return at

    def _end_of(self, element: _Element, end: int, encoding: _Encoding, depth: int, *, is_top: bool) -> int:
        """Return where an element ends; what is in it is looked at only as far as that needs."""
        is_requested = is_top and element.tag == REQUEST_ATTRIBUTES
        if element.length != UNDEFINED and not is_requested:
            return element.at + element.length
        if element.vr not in (b"", b"SQ", b"UN", b"OB", b"OW"):
            raise UnreadableDataSet.in_element(element.tag, "has an undefined length")
        if element.vr in (b"OB", b"OW"):
            if not is_top or element.tag != PIXEL_DATA or self._is_native:
                raise UnreadableDataSet.in_element(element.tag, "has an undefined length")
            return self._walk_fragments(element, end)
        if element.vr == b"UN":
            encoding = IMPLICIT  # PS3.5 section 6.2.2, note 2
        return self._walk_items(element, end, encoding, self._take_requested if is_requested else None, depth + 1)

    def _walk_items(self, sequence: _Element, end: int, encoding: _Encoding, take: Take | None, depth: int) -> int:
        """Walk the items of a sequence, and return where it ends."""
        if depth > MAX_DEPTH:
            raise UnreadableDataSet("The data set is nested too deeply")
        is_delimited = sequence.length == UNDEFINED
        at, end = sequence.at, end if is_delimited else sequence.at + sequence.length
        while at < end or is_delimited:
            item = self._header(at, end, encoding)
            if is_delimited and item.tag == SEQUENCE_END:
                return item.at
            if item.tag != ITEM:
                raise UnreadableDataSet.in_element(sequence.tag, "has something other than items")
            if item.length == UNDEFINED:
                at = self._walk(item.at, end, encoding, take, depth, is_delimited=True)
            else:
                at = item.at + item.length
                if take:
                    self._walk(item.at, at, encoding, take, depth)
        return at

    def _walk_fragments(self, pixel_data: _Element, end: int) -> int:
        """Walk encapsulated pixel data (PS3.5 annex A.4): the basic offset table, fragments, the delimiter."""
        at = pixel_data.at
        while True:
            item = self._header(at, end, self._encoding)
            if item.tag == SEQUENCE_END and item.length == 0:
                return item.at
            if item.tag != ITEM or item.length == UNDEFINED:
                raise UnreadableDataSet("The encapsulated pixel data have no end, or are damaged")
            if self._offset_table is None:
                self._offset_table = item
            elif item.length:  # there may be very many, so only the first and the last are kept
                self._fragments += 1
                self._first_fragment = self._first_fragment or item
                self._last_fragment = item
            at = item.at + item.length

    # Pixels -----------------------------------------------------------------------------------------------------------

    def _check_pixels(self) -> None:
        if self._pixel_data is None:
            raise UnreadableDataSet("The data set has no pixel data")
        frames = self._frames()
        if self._is_native:
            self._check_native(self._pixel_data, frames)
        else:
            self._number(ROWS), self._number(COLUMNS)
            self._check_encapsulated(self._pixel_data, frames)

    def _frames(self) -> int:
        text = self._text(FRAMES)
        if not text:
            return 1
        if not re.fullmatch(r"\+?[0-9]{1,9}", text) or not int(text):
            raise UnreadableDataSet.in_element(FRAMES, "is no number of frames")
        return int(text)

    def _check_native(self, pixel_data: _Element, frames: int) -> None:
        samples = self._number(SAMPLES)
        if self._text(PHOTOMETRIC) == "YBR_FULL_422":  # two pixels share their colour (PS3.3 section C.7.6.3.1.2)
            samples = 2
        pixels = self._number(ROWS) * self._number(COLUMNS) * frames
        length = -(-pixels * samples * self._number(BITS_ALLOCATED) // 8)
        if pixel_data.length != length + length % 2:
            raise UnreadableDataSet("Pixel data are cut off, or of another length than Rows x Columns")

    def _check_encapsulated(self, pixel_data: _Element, frames: int) -> None:
        if pixel_data.length != UNDEFINED:
            raise UnreadableDataSet("Pixel data are not encapsulated, as the transfer syntax says")
        if self._offset_table is None or self._offset_table.length % 4:
            raise UnreadableDataSet("The encapsulated pixel data have no basic offset table")
        first, last = self._first_fragment, self._last_fragment
        if first is None or last is None or self._fragments < frames:
            raise UnreadableDataSet("The encapsulated pixel data have fewer fragments than frames")
        if not has_beginning(self._bytes(first.at, min(first.length, LONGEST_BEGINNING))):
            raise UnreadableDataSet("The pixel data do not begin as their transfer syntax says")
        tail = min(last.length, LONGEST_END)
        if not has_end(self._bytes(last.at + last.length - tail, tail)):
            raise UnreadableDataSet("The pixel data are cut off within the last frame")
