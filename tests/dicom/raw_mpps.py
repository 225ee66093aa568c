"""Report as a modality, byte by byte as PS3.5, PS3.7 and PS3.8 say.

This uses neither pydicom nor pynetdicom, so that it shares no error with the server, and can send what those libraries
would correct.
"""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from tests.dicom.requests import CALLED, PATIENCE

MPPS = "1.2.840.10008.3.1.2.3.3"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
IMPLEMENTATION = "2.25.1"
#: The patient in each report.
NHS_NUMBER = "9990000018"

# PS3.8 table 9-11 and what follows it: the types of PDUs and of the items in them.
REQUEST, ACCEPT, DATA, RELEASE, RELEASED, ABORT = 0x01, 0x02, 0x04, 0x05, 0x06, 0x07
APPLICATION, OFFER, ABSTRACT, TRANSFER, USER, LONGEST, CLASS = 0x10, 0x20, 0x30, 0x40, 0x50, 0x51, 0x52
CONTEXT_ID = 1
IS_COMMAND, IS_LAST = 0x01, 0x02
#: Bytes of a data set in one P-DATA-TF: few, so that every report is sent in several.
FRAGMENT = 200

# PS3.7 section E.1: the elements of the command set.
GROUP_LENGTH, AFFECTED_CLASS, REQUESTED_CLASS, COMMAND_FIELD = 0x00000000, 0x00000002, 0x00000003, 0x00000100
MESSAGE_ID, DATA_SET_TYPE, STATUS = 0x00000110, 0x00000800, 0x00000900
ERROR_COMMENT, ERROR_ID, AFFECTED_UID, REQUESTED_UID = 0x00000902, 0x00000903, 0x00001000, 0x00001001
N_SET, N_CREATE = 0x0120, 0x0140
DATA_FOLLOWS = 0x0001

# PS3.6: the attributes of a report.
CHARACTER_SET, REFERENCED_STUDIES, MODALITY = 0x00080005, 0x00081110, 0x00080060
CODES, ACCESSION_NUMBER, STUDY_ID, STUDY_UID = 0x00081032, 0x00080050, 0x00200010, 0x0020000D
PATIENT_NAME, PATIENT_ID, BIRTH_DATE, SEX, REFERENCED_PATIENTS = (
    0x00100010,
    0x00100020,
    0x00100030,
    0x00100040,
    0x00081120,
)
STATION_AE_TITLE, STATION_NAME, LOCATION = 0x00400241, 0x00400242, 0x00400243
START_DATE, START_TIME, END_DATE, END_TIME = 0x00400244, 0x00400245, 0x00400250, 0x00400251
PPS_STATUS, PPS_ID, PPS_DESCRIPTION, PPS_TYPE = 0x00400252, 0x00400253, 0x00400254, 0x00400255
PROTOCOLS, STEPS, SERIES = 0x00400260, 0x00400270, 0x00400340
REQUESTED_ID, REQUESTED_DESCRIPTION, STEP_ID, STEP_DESCRIPTION = 0x00401001, 0x00321060, 0x00400009, 0x00400007
SCHEDULED_PROTOCOLS = 0x00400008
PHYSICIAN, OPERATORS, SERIES_DESCRIPTION, RETRIEVE_AE_TITLE = 0x00081050, 0x00081070, 0x0008103E, 0x00080054
PROTOCOL_NAME, SERIES_UID, IMAGES, OTHERS = 0x00181030, 0x0020000E, 0x00081140, 0x00400220
IMAGE_CLASS, IMAGE_UID = 0x00081150, 0x00081155


class Element(NamedTuple):
    """A data element: its value as bytes or text, or the items of a sequence."""

    tag: int
    vr: str
    value: "bytes | str | Sequence[Sequence[Element]]" = ""


DataSet = Sequence[Element]


class AssociationEnded(Exception):
    """The association ended without an answer."""


@dataclass(frozen=True)
class Answer:
    """A response: its command set, by tag."""

    elements: dict[int, bytes]

    @property
    def status(self) -> int:
        return self.number(STATUS)

    def number(self, tag: int) -> int:
        """The value of an element of VR US."""
        return int(struct.unpack("<H", self.elements[tag])[0])

    def text(self, tag: int) -> str:
        """The value of a text element, without its padding."""
        return self.elements[tag].decode("ascii").rstrip("\0 ")


# Data sets: PS3.5 chapter 7 -------------------------------------------------------------------------------------------


def encoded(data_set: DataSet, transfer_syntax: str = IMPLICIT) -> bytes:
    """Encode a data set, its elements in the order of their tags."""
    return b"".join(_element(each, transfer_syntax) for each in sorted(data_set, key=lambda element: element.tag))


def _element(element: Element, transfer_syntax: str) -> bytes:
    tag = struct.pack("<HH", element.tag >> 16, element.tag & 0xFFFF)
    value = _value(element, transfer_syntax)
    if transfer_syntax == IMPLICIT:
        return tag + struct.pack("<L", len(value)) + value
    vr = element.vr.encode("ascii")
    header = vr + (b"\0\0" + struct.pack("<L", len(value)) if element.vr == "SQ" else struct.pack("<H", len(value)))
    return tag + header + value


def _value(element: Element, transfer_syntax: str) -> bytes:
    if element.vr == "SQ":
        assert not isinstance(element.value, bytes | str) or not element.value
        return b"".join(_item(each, transfer_syntax) for each in element.value)  # type: ignore[arg-type]
    assert isinstance(element.value, bytes | str)
    raw = element.value.encode("ascii") if isinstance(element.value, str) else element.value
    return raw + (b"\0" if element.vr == "UI" else b" ") * (len(raw) % 2)


def _item(data_set: DataSet, transfer_syntax: str) -> bytes:
    content = encoded(data_set, transfer_syntax)
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def read(raw: bytes) -> dict[int, bytes]:
    """Decode a command set: Implicit VR Little Endian, without sequences (PS3.7 section 6.3.1)."""
    elements, at = {}, 0
    while at < len(raw):
        group, number, length = struct.unpack_from("<HHL", raw, at)
        elements[group << 16 | number] = raw[at + 8 : at + 8 + length]
        at += 8 + length
    return elements


# Messages and PDUs: PS3.7 section 6.3, PS3.8 section 9.3 --------------------------------------------------------------


def command(field: int, class_tag: int, uid_tag: int, uid: bytes, message_id: int) -> bytes:
    """Encode the command set of a request with a data set."""
    elements = [
        Element(class_tag, "UI", MPPS),
        Element(COMMAND_FIELD, "US", struct.pack("<H", field)),
        Element(MESSAGE_ID, "US", struct.pack("<H", message_id)),
        Element(DATA_SET_TYPE, "US", struct.pack("<H", DATA_FOLLOWS)),
        Element(uid_tag, "UI", uid),
    ]
    content = encoded(elements)
    return encoded([Element(GROUP_LENGTH, "UL", struct.pack("<L", len(content)))]) + content


def _pdu(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBL", kind, 0, len(content)) + content


def _sub_item(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(content)) + content


def _request(calling: str, transfer_syntax: str) -> bytes:
    offer = struct.pack(">BBBB", CONTEXT_ID, 0, 0, 0)
    offer += _sub_item(ABSTRACT, MPPS.encode()) + _sub_item(TRANSFER, transfer_syntax.encode())
    about = _sub_item(LONGEST, struct.pack(">L", 16384)) + _sub_item(CLASS, IMPLEMENTATION.encode())
    titles = CALLED.ljust(16).encode() + calling.ljust(16).encode()
    items = _sub_item(APPLICATION, APPLICATION_CONTEXT.encode()) + _sub_item(OFFER, offer) + _sub_item(USER, about)
    return _pdu(REQUEST, struct.pack(">HH", 1, 0) + titles + bytes(32) + items)


def _offer_is_accepted(accept: bytes) -> bool:
    """Whether the one presentation context was accepted (PS3.8 table 9-18: result 0)."""
    at = 68  # after the version, the AE titles and the reserved bytes
    while at < len(accept):
        kind, _, length = struct.unpack_from(">BBH", accept, at)
        if kind == OFFER | 0x01:
            return accept[at + 6] == 0
        at += 4 + length
    return False


@dataclass
class RawAssociation:
    """An association on a plain socket."""

    socket: socket.socket
    transfer_syntax: str = IMPLICIT
    messages: int = 0

    def create(self, uid: str | bytes, data_set: DataSet | bytes) -> Answer:
        """Send an N-CREATE."""
        return self._ask(N_CREATE, AFFECTED_CLASS, AFFECTED_UID, uid, data_set)

    def set(self, uid: str | bytes, data_set: DataSet | bytes) -> Answer:
        """Send an N-SET."""
        return self._ask(N_SET, REQUESTED_CLASS, REQUESTED_UID, uid, data_set)

    def _ask(self, field: int, class_tag: int, uid_tag: int, uid: str | bytes, data_set: DataSet | bytes) -> Answer:
        self.messages += 1
        raw_uid = uid.encode("ascii") if isinstance(uid, str) else uid
        raw = data_set if isinstance(data_set, bytes) else encoded(data_set, self.transfer_syntax)
        self._send(command(field, class_tag, uid_tag, raw_uid, self.messages), IS_COMMAND)
        self._send(raw, 0)
        return self._answer()

    def _send(self, content: bytes, is_command: int) -> None:
        for at in range(0, max(len(content), 1), FRAGMENT):
            header = is_command | (IS_LAST if at + FRAGMENT >= len(content) else 0)
            value = struct.pack(">BB", CONTEXT_ID, header) + content[at : at + FRAGMENT]
            self.socket.sendall(_pdu(DATA, struct.pack(">L", len(value)) + value))

    def _answer(self) -> Answer:
        """Return the response's command set, and discard its data set if it has one."""
        parts = {IS_COMMAND: b"", 0: b""}
        wanted = {IS_COMMAND}
        while wanted:
            for header, fragment in self._values():
                parts[header & IS_COMMAND] += fragment
                if header & IS_LAST:
                    wanted.discard(header & IS_COMMAND)
                if header & IS_LAST and header & IS_COMMAND:
                    wanted |= {0} if Answer(read(parts[IS_COMMAND])).number(DATA_SET_TYPE) != 0x0101 else set()
        return Answer(read(parts[IS_COMMAND]))

    def _values(self) -> Iterator[tuple[int, bytes]]:
        """Yield message control header and fragment of each presentation data value of the next P-DATA-TF."""
        kind, content = self.receive()
        if kind != DATA:
            raise AssociationEnded
        at = 0
        while at < len(content):
            length, _, header = struct.unpack_from(">LBB", content, at)
            yield header, content[at + 6 : at + 4 + length]
            at += 4 + length

    def receive(self) -> tuple[int, bytes]:
        """Return type and content of the next PDU; raise AssociationEnded if the connection has closed."""
        kind, _, length = struct.unpack(">BBL", self._read(6))
        return kind, self._read(length)

    def _read(self, count: int) -> bytes:
        got = b""
        while len(got) < count:
            try:
                part = self.socket.recv(count - len(got))
            except ConnectionError:
                part = b""
            if not part:
                raise AssociationEnded
            got += part
        return got

    def release(self) -> None:
        """Release the association; raise AssociationEnded if the other end has already ended it."""
        try:
            self.socket.sendall(_pdu(RELEASE, bytes(4)))
        except ConnectionError:
            raise AssociationEnded from None
        kind, _ = self.receive()
        if kind != RELEASED:
            raise AssociationEnded


@contextmanager
def associated(port: int, transfer_syntax: str = IMPLICIT, calling: str = "MAMMO1") -> Iterator[RawAssociation]:
    """Open an association for MPPS; release it unless the block raises."""
    with socket.create_connection(("127.0.0.1", port), timeout=2 * PATIENCE) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        modality = RawAssociation(connection, transfer_syntax)
        connection.sendall(_request(calling, transfer_syntax))
        kind, content = modality.receive()
        assert kind == ACCEPT
        assert _offer_is_accepted(content)
        yield modality
        modality.release()


# Reports: PS3.4 table F.7.2-1 -----------------------------------------------------------------------------------------


def started(*accession_numbers: str, patient_id: str = NHS_NUMBER, study_uid: str = "2.25.77") -> list[Element]:
    """The data set of an N-CREATE: a step in progress for the items with these accession numbers."""
    return [
        Element(MODALITY, "CS", "MG"),
        Element(CODES, "SQ"),
        Element(REFERENCED_PATIENTS, "SQ"),
        Element(PATIENT_NAME, "PN", "SMITH^JANE"),
        Element(PATIENT_ID, "LO", patient_id),
        Element(BIRTH_DATE, "DA", "19700321"),
        Element(SEX, "CS", "F"),
        Element(STUDY_ID, "SH"),
        Element(STATION_AE_TITLE, "AE", "MAMMO1"),
        Element(STATION_NAME, "SH", "ROOM 1"),
        Element(LOCATION, "SH"),
        Element(START_DATE, "DA", "20261123"),
        Element(START_TIME, "TM", "143005"),
        Element(END_DATE, "DA"),
        Element(END_TIME, "TM"),
        Element(PPS_STATUS, "CS", "IN PROGRESS"),
        Element(PPS_ID, "SH", "PPS1"),
        Element(PPS_DESCRIPTION, "LO"),
        Element(PPS_TYPE, "LO"),
        Element(PROTOCOLS, "SQ"),
        Element(SERIES, "SQ"),
        Element(STEPS, "SQ", [_step(number, study_uid) for number in accession_numbers]),
    ]


def changed(report: DataSet, *elements: Element) -> list[Element]:
    """The report with these elements instead of its own."""
    return list({each.tag: each for each in (*report, *elements)}.values())


def _step(accession_number: str, study_uid: str) -> DataSet:
    return [
        Element(STUDY_UID, "UI", study_uid),
        Element(REFERENCED_STUDIES, "SQ"),
        Element(ACCESSION_NUMBER, "SH", accession_number),
        Element(REQUESTED_ID, "SH"),
        Element(REQUESTED_DESCRIPTION, "LO"),
        Element(STEP_ID, "SH"),
        Element(STEP_DESCRIPTION, "LO"),
        Element(SCHEDULED_PROTOCOLS, "SQ"),
    ]


def ended(status: str = "COMPLETED", description: bytes = b"L MLO") -> list[Element]:
    """The data set of the final N-SET: the end, and one series of one image."""
    return [
        Element(PPS_STATUS, "CS", status),
        Element(END_DATE, "DA", "20261123"),
        Element(END_TIME, "TM", "144210"),
        Element(SERIES, "SQ", [_series(description)]),
    ]


def _series(description: bytes) -> DataSet:
    image = [Element(IMAGE_CLASS, "UI", "1.2.840.10008.5.1.4.1.1.1.2"), Element(IMAGE_UID, "UI", "2.25.9001")]
    return [
        Element(PHYSICIAN, "PN"),
        Element(OPERATORS, "PN", "JONES^PAT"),
        Element(SERIES_DESCRIPTION, "LO", description),
        Element(RETRIEVE_AE_TITLE, "AE"),
        Element(PROTOCOL_NAME, "LO", "SCREENING"),
        Element(SERIES_UID, "UI", "2.25.8001"),
        Element(IMAGES, "SQ", [image]),
        Element(OTHERS, "SQ"),
    ]
