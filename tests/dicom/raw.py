"""Speak DICOM as a modality, byte by byte as PS3.5, PS3.7 and PS3.8 say.

This uses neither pydicom nor pynetdicom, so that it shares no error with the server, and can send what those libraries
would correct. It imports nothing of Django: some tests run it in a process of its own.
"""

import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Self

from tests.dicom.requests import CALLED, PATIENCE

VERIFICATION, WORKLIST, MPPS = "1.2.840.10008.1.1", "1.2.840.10008.5.1.4.31", "1.2.840.10008.3.1.2.3.3"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
IMPLEMENTATION = "2.25.1"

# PS3.8 section 9.3: the types of PDUs (0 is none: the connection has closed), and of the items in them.
CLOSED, REQUEST, ACCEPT, REJECT, DATA, RELEASE, RELEASED, ABORT = range(8)
APPLICATION, OFFER, RESULT, ABSTRACT, TRANSFER, USER = 0x10, 0x20, 0x21, 0x30, 0x40, 0x50
# PS3.7 annex D.3.3: the sub-items of the user information.
LONGEST, CLASS, OPERATIONS_WINDOW, ROLES, VERSION, EXTENDED, IDENTITY = 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x58

#: Bits of the message control header (PS3.8 annex E.2).
IS_COMMAND, IS_LAST = 0x01, 0x02
#: Where the items of an A-ASSOCIATE-RQ or -AC begin: after the version, the AE titles and reserved bytes.
ITEMS_AT = 68

# PS3.7 section E.1: the elements of the command set.
GROUP_LENGTH, AFFECTED_CLASS, REQUESTED_CLASS, COMMAND_FIELD = 0x00000000, 0x00000002, 0x00000003, 0x00000100
MESSAGE_ID, RESPONDED_TO, PRIORITY, DATA_SET_TYPE, STATUS = 0x00000110, 0x00000120, 0x00000700, 0x00000800, 0x00000900
OFFENDING, ERROR_COMMENT, ERROR_ID = 0x00000901, 0x00000902, 0x00000903
AFFECTED_UID, REQUESTED_UID = 0x00001000, 0x00001001
C_FIND, C_ECHO, N_SET, N_CREATE, C_CANCEL = 0x0020, 0x0030, 0x0120, 0x0140, 0x0FFF
DATA_FOLLOWS, NO_DATA = 0x0001, 0x0101
PENDING = (0xFF00, 0xFF01)


class Element(NamedTuple):
    """A data element: its value as bytes or text, or the items of a sequence."""

    tag: int
    vr: str
    value: "bytes | str | Sequence[Sequence[Element]]" = ""


DataSet = Sequence[Element]


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


def us(tag: int, *values: int) -> Element:
    """An element of VR US."""
    return Element(tag, "US", struct.pack(f"<{len(values)}H", *values))


def read(raw: bytes) -> dict[int, bytes]:
    """Decode a data set in Implicit VR Little Endian; a sequence's value stays encoded."""
    elements, at = {}, 0
    while at < len(raw):
        group, number, length = struct.unpack_from("<HHL", raw, at)
        elements[group << 16 | number] = raw[at + 8 : at + 8 + length]
        at += 8 + length
    return elements


# Messages: PS3.7 section 6.3 and annex E, PS3.8 annex E ---------------------------------------------------------------


def changed(data_set: DataSet, *elements: Element, without: Iterable[int] = ()) -> list[Element]:
    """The data set with these elements instead of its own, and without those of these tags."""
    merged = {each.tag: each for each in (*data_set, *elements)}
    return [each for tag, each in merged.items() if tag not in without]


def command_set(elements: DataSet) -> bytes:
    """Encode a command set, which is always in Implicit VR Little Endian, behind its group length."""
    content = encoded(elements)
    return encoded([Element(GROUP_LENGTH, "UL", struct.pack("<L", len(content)))]) + content


def echo_request(message_id: int = 1) -> list[Element]:
    """The command set of a C-ECHO-RQ."""
    return [
        Element(AFFECTED_CLASS, "UI", VERIFICATION),
        us(COMMAND_FIELD, C_ECHO),
        us(MESSAGE_ID, message_id),
        us(DATA_SET_TYPE, NO_DATA),
    ]


def find_request(message_id: int = 1) -> list[Element]:
    """The command set of a C-FIND-RQ."""
    return [
        Element(AFFECTED_CLASS, "UI", WORKLIST),
        us(COMMAND_FIELD, C_FIND),
        us(MESSAGE_ID, message_id),
        us(PRIORITY, 0),
        us(DATA_SET_TYPE, DATA_FOLLOWS),
    ]


def cancel_request(message_id: int) -> list[Element]:
    """The command set of a C-CANCEL-RQ."""
    return [us(COMMAND_FIELD, C_CANCEL), us(RESPONDED_TO, message_id), us(DATA_SET_TYPE, NO_DATA)]


def report_request(field: int, uid: str | bytes, message_id: int = 1) -> list[Element]:
    """The command set of an N-CREATE-RQ or N-SET-RQ of MPPS."""
    class_tag, uid_tag = (REQUESTED_CLASS, REQUESTED_UID) if field == N_SET else (AFFECTED_CLASS, AFFECTED_UID)
    return [
        Element(class_tag, "UI", MPPS),
        us(COMMAND_FIELD, field),
        us(MESSAGE_ID, message_id),
        us(DATA_SET_TYPE, DATA_FOLLOWS),
        Element(uid_tag, "UI", uid),
    ]


# PDUs: PS3.8 section 9.3 ----------------------------------------------------------------------------------------------


class Pdu(NamedTuple):
    """Type and content of a received PDU."""

    kind: int
    content: bytes = b""


def pdu(kind: int, content: bytes) -> bytes:
    """Encode a PDU."""
    return struct.pack(">BxL", kind, len(content)) + content


def item(kind: int, content: bytes | str) -> bytes:
    """Encode an item or sub-item of an association request."""
    raw = content.encode("ascii") if isinstance(content, str) else content
    return struct.pack(">BxH", kind, len(raw)) + raw


def offer(context_id: int, abstract_syntax: str, *transfer_syntaxes: str) -> bytes:
    """Encode a presentation context that is offered, in Implicit VR Little Endian unless others are named."""
    syntaxes = b"".join(item(TRANSFER, syntax) for syntax in transfer_syntaxes or (IMPLICIT,))
    return item(OFFER, bytes([context_id, 0, 0, 0]) + item(ABSTRACT, abstract_syntax) + syntaxes)


def longest(length: int) -> bytes:
    """Encode the sub-item Maximum Length Received."""
    return item(LONGEST, struct.pack(">L", length))


#: Presentation context ids of the usual offers.
ECHO_CONTEXT, FIND_CONTEXT, MPPS_CONTEXT = 1, 3, 5


def usual_offers(transfer_syntax: str = IMPLICIT) -> list[bytes]:
    """The presentation contexts that a modality offers, each with one transfer syntax."""
    return [
        offer(ECHO_CONTEXT, VERIFICATION, transfer_syntax),
        offer(FIND_CONTEXT, WORKLIST, transfer_syntax),
        offer(MPPS_CONTEXT, MPPS, transfer_syntax),
    ]


#: The user information of a modality that says only what it must.
USUAL_USER = (longest(16384), item(CLASS, IMPLEMENTATION))


def association_request(
    offers: Iterable[bytes] | None = None,
    user: Iterable[bytes] = USUAL_USER,
    calling: bytes = b"MAMMO1",
    called: bytes = CALLED.encode(),
    behind: bytes = b"",
) -> bytes:
    """Encode an A-ASSOCIATE-RQ; the AE titles are filled up with spaces, and `behind` follows the last item."""
    items = item(APPLICATION, APPLICATION_CONTEXT) + b"".join(usual_offers() if offers is None else offers)
    return request_of_items(items + item(USER, b"".join(user)) + behind, calling, called)


def request_of_items(items: bytes, calling: bytes = b"MAMMO1", called: bytes = CALLED.encode()) -> bytes:
    """Encode an A-ASSOCIATE-RQ with these items."""
    return pdu(REQUEST, struct.pack(">HH", 1, 0) + called.ljust(16) + calling.ljust(16) + bytes(32) + items)


def data(context_id: int, header: int, fragment: bytes) -> bytes:
    """Encode a P-DATA-TF of one presentation data value."""
    return pdu(DATA, struct.pack(">LBB", len(fragment) + 2, context_id, header) + fragment)


def message(context_id: int, command: DataSet, data_set: bytes | None = None, fragment: int = 16372) -> bytes:
    """Encode a message in P-DATA-TF PDUs of one fragment each, of at most so many bytes."""
    parts = [(IS_COMMAND, command_set(command)), *([] if data_set is None else [(0, data_set)])]
    return b"".join(
        data(context_id, kind | (IS_LAST if at + fragment >= len(content) else 0), content[at : at + fragment])
        for kind, content in parts
        for at in range(0, max(len(content), 1), fragment)
    )


def release_request() -> bytes:
    """Encode an A-RELEASE-RQ."""
    return pdu(RELEASE, bytes(4))


def abort(source: int = 0, reason: int = 0) -> bytes:
    """Encode an A-ABORT."""
    return pdu(ABORT, bytes([0, 0, source, reason]))


def values(content: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield context id, message control header and fragment of each presentation data value in a P-DATA-TF."""
    at = 0
    while at < len(content):
        length, context_id, header = struct.unpack_from(">LBB", content, at)
        yield context_id, header, content[at + 6 : at + 4 + length]
        at += 4 + length


def items(content: bytes, at: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield type and content of each item or sub-item."""
    while at < len(content):
        kind, length = struct.unpack_from(">BxH", content, at)
        yield kind, content[at + 4 : at + 4 + length]
        at += 4 + length


def results(accept: bytes) -> dict[int, int]:
    """The result of each presentation context in an A-ASSOCIATE-AC (PS3.8 table 9-18: 0 is acceptance)."""
    return {content[0]: content[2] for kind, content in items(accept, ITEMS_AT) if kind == RESULT}


def accepted_user_items(accept: bytes) -> dict[int, bytes]:
    """The sub-items of the user information in an A-ASSOCIATE-AC."""
    (user,) = (content for kind, content in items(accept, ITEMS_AT) if kind == USER)
    return dict(items(user))


# The modality ---------------------------------------------------------------------------------------------------------


class AssociationEnded(Exception):
    """The association ended without an answer, with `last` as its last PDU."""

    def __init__(self, last: Pdu) -> None:
        super().__init__(f"PDU of type {last.kind:02X}: {last.content[:8].hex(' ')}")
        self.last = last


@dataclass(frozen=True)
class Answer:
    """A response: its command set, by tag, and its data set as it came."""

    elements: dict[int, bytes]
    data_set: bytes = b""

    @property
    def status(self) -> int:
        return self.number(STATUS)

    def number(self, tag: int) -> int:
        """The value of an element of VR US."""
        return int(struct.unpack("<H", self.elements[tag])[0])

    def text(self, tag: int) -> str:
        """The value of a text element, without its padding."""
        return self.elements[tag].decode("ascii").rstrip("\0 ")


@dataclass
class RawAssociation:
    """A connection whose every byte the test writes."""

    socket: socket.socket
    transfer_syntax: str = IMPLICIT
    #: The types of the PDUs that have come.
    kinds: list[int] = field(default_factory=list)
    _unread: list[tuple[int, bytes]] = field(default_factory=list)

    @classmethod
    def opened(cls, port: int, *sent: bytes, transfer_syntax: str = IMPLICIT, patience: float = PATIENCE) -> Self:
        """Connect, and send these PDUs."""
        connection = socket.create_connection(("127.0.0.1", port), timeout=patience)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        association = cls(connection, transfer_syntax)
        association.send(*sent)
        return association

    def send(self, *pdus: bytes) -> None:
        """Send what the server still takes: it may have ended the association."""
        try:
            self.socket.sendall(b"".join(pdus))
        except ConnectionError:
            return

    def receive(self) -> Pdu:
        """Return the next PDU, or one of type CLOSED; raise TimeoutError if the server is silent."""
        head = self._bytes(6)
        if len(head) < 6:
            return Pdu(CLOSED)
        kind, length = struct.unpack(">BxL", head)
        self.kinds.append(kind)
        return Pdu(kind, self._bytes(length))

    def accepted(self) -> bytes:
        """Return the content of the A-ASSOCIATE-AC; raise AssociationEnded if another PDU comes."""
        return self._expect(ACCEPT).content

    def answer(self) -> Answer:
        """Return the next response; raise AssociationEnded if another PDU than a P-DATA-TF comes."""
        command, data_set = self._part(IS_COMMAND), b""
        elements = read(command)
        if struct.unpack("<H", elements[DATA_SET_TYPE]) != (NO_DATA,):
            data_set = self._part(0)
        return Answer(elements, data_set)

    def answers(self) -> list[Answer]:
        """Return all responses to a request, the last of which has the final status."""
        got = [self.answer()]
        while got[-1].status in PENDING:
            got.append(self.answer())
        return got

    def ask(self, context_id: int, command: DataSet, data_set: bytes | None = None) -> list[Answer]:
        """Send a request, and return all responses to it."""
        self.send(message(context_id, command, data_set))
        return self.answers()

    def release(self) -> None:
        """Release the association; raise AssociationEnded if the server has already ended it."""
        self.send(release_request())
        self._expect(RELEASED)

    def close(self) -> None:
        """Close the connection, as a machine does that is switched off."""
        self.socket.close()

    def _expect(self, kind: int) -> Pdu:
        received = self.receive()
        if received.kind != kind:
            raise AssociationEnded(received)
        return received

    def _part(self, kind: int) -> bytes:
        """Return the next command set or data set, joined from its fragments."""
        joined = b""
        while True:
            while not self._unread:
                self._unread = [(header, part) for _, header, part in values(self._expect(DATA).content)]
            header, fragment = self._unread.pop(0)
            assert header & IS_COMMAND == kind
            joined += fragment
            if header & IS_LAST:
                return joined

    def _bytes(self, count: int) -> bytes:
        got = bytearray()
        while len(got) < count:
            try:
                part = self.socket.recv(count - len(got))
            except ConnectionError:
                break
            if not part:
                break
            got += part
        return bytes(got)


@contextmanager
def opened(port: int, *sent: bytes, patience: float = PATIENCE) -> Iterator[RawAssociation]:
    """Connect and send these PDUs; close the connection after the block."""
    association = RawAssociation.opened(port, *sent, patience=patience)
    with association.socket:
        yield association


@contextmanager
def associated(
    port: int, transfer_syntax: str = IMPLICIT, calling: str = "MAMMO1", patience: float = PATIENCE
) -> Iterator[RawAssociation]:
    """Open an association with the usual presentation contexts; release it unless the block raises."""
    sent = association_request(usual_offers(transfer_syntax), calling=calling.encode())
    association = RawAssociation.opened(port, sent, transfer_syntax=transfer_syntax, patience=patience)
    with association.socket:
        assert set(results(association.accepted()).values()) == {0}
        yield association
        association.release()
