"""Be a modality with struct and sockets alone: a client that costs next to nothing.

    with RawAssociation(port) as association:
        answer = association.find(identifier)
    print(answer.rows, answer.first_row, association.ended)

    with RawAssociation(port, contexts=IMAGE_CONTEXTS) as association:
        association.store(prepared)

Times are seconds since the connection was begun. UnexpectedAnswer says that the server did not do what it should.
"""

import os
import socket
import struct
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

CALLED = "GATEWAY_MWL"
PATIENCE = 60.0

VERIFICATION, MODALITY_WORKLIST = b"1.2.840.10008.1.1", b"1.2.840.10008.5.1.4.31"
IMPLICIT_VR_LITTLE_ENDIAN = b"1.2.840.10008.1.2"
MAMMOGRAPHY, EXPLICIT_VR_LITTLE_ENDIAN = b"1.2.840.10008.5.1.4.1.1.1.2", b"1.2.840.10008.1.2.1"
VERIFICATION_CONTEXT, WORKLIST_CONTEXT, IMAGE_CONTEXT = 1, 3, 5
#: Presentation context → its abstract syntax and its transfer syntax.
Contexts = Mapping[int, tuple[bytes, bytes]]
WORKLIST_CONTEXTS: Contexts = {
    VERIFICATION_CONTEXT: (VERIFICATION, IMPLICIT_VR_LITTLE_ENDIAN),
    WORKLIST_CONTEXT: (MODALITY_WORKLIST, IMPLICIT_VR_LITTLE_ENDIAN),
}
IMAGE_CONTEXTS: Contexts = {IMAGE_CONTEXT: (MAMMOGRAPHY, EXPLICIT_VR_LITTLE_ENDIAN)}
#: The longest P-DATA-TF of an image. All servers that are compared take it.
IMAGE_PDU_LENGTH = 1 << 17
#: PDU types (PS3.8 section 9.3) and the bits of a message control header (annex E.2).
ASSOCIATE_RQ, ASSOCIATE_AC, P_DATA, RELEASE_RQ, RELEASE_RP = 0x01, 0x02, 0x04, 0x05, 0x06
IS_COMMAND, IS_LAST = 0b01, 0b10
#: The element Status (0000,0900) of a command set, up to its value.
STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00"
SUCCESS, PENDING = 0x0000, (0xFF00, 0xFF01)
HAS_DATA_SET, NO_DATA_SET = 0x0001, 0x0101


class UnexpectedAnswer(Exception):
    """The server refused, aborted or closed the association."""


@dataclass(frozen=True)
class PreparedImage:
    """An image as the bytes that a modality sends for its data set.

    `first` is the P-DATA-TF that begins it, with its SOP Instance UID, and `rest` all the others.
    """

    instance: bytes
    first: bytes
    rest: bytes

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return len(self.first) + len(self.rest)

    @classmethod
    def of(cls, data_set: bytes, instance: str) -> "PreparedImage":
        """Prepare an encoded data set, whose SOP Instance UID is this one."""
        size = IMAGE_PDU_LENGTH - 6
        starts = range(0, len(data_set), size)
        first, *rest = (
            _data_pdu(IMAGE_CONTEXT, IS_LAST if at == starts[-1] else 0, data_set[at : at + size]) for at in starts
        )
        return cls(instance.encode(), first, b"".join(rest))

    def copy(self) -> "PreparedImage":
        """Return the same image as another instance, with a UID as long."""
        number = int.from_bytes(os.urandom(16)) % 10 ** (len(self.instance) - 6)
        instance = b"2.25.9%0*d" % (len(self.instance) - 6, number)
        return replace(self, instance=instance, first=self.first.replace(self.instance, instance))


@dataclass
class Answer:
    """The answer to a C-FIND. `data_sets` holds the rows' bytes if they were asked for."""

    rows: int = 0
    status: int = -1
    first_row: float = 0.0
    data_sets: list[bytes] = field(default_factory=list)


class RawAssociation:
    """An association of one modality; leaving the block releases it."""

    def __init__(self, port: int, calling: str = "MAMMO1", contexts: Contexts = WORKLIST_CONTEXTS) -> None:
        self._began = time.perf_counter()
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()
        try:
            self._socket.sendall(_association_request(calling, contexts))
            self._expect(ASSOCIATE_AC)
        except BaseException:
            self._socket.close()
            raise
        self.accepted = self._elapsed()
        self.ended = 0.0

    def __enter__(self) -> "RawAssociation":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._socket:
            if error is None:
                self._socket.sendall(struct.pack(">BxL4x", RELEASE_RQ, 4))
                self._expect(RELEASE_RP)
                self.ended = self._elapsed()

    def echo(self) -> None:
        """Send a C-ECHO-RQ and wait for its success."""
        command = _command(VERIFICATION, 0x0030, NO_DATA_SET)
        self._socket.sendall(_data_pdu(VERIFICATION_CONTEXT, IS_COMMAND | IS_LAST, command))
        self._expect_success("C-ECHO")

    def find(self, identifier: bytes, *, keep: bool = False) -> Answer:
        """Send a C-FIND-RQ with this identifier (Implicit VR Little Endian), and count the rows of its answer."""
        command = _command(MODALITY_WORKLIST, 0x0020, HAS_DATA_SET, priority=True)
        self._socket.sendall(
            _data_pdu(WORKLIST_CONTEXT, IS_COMMAND | IS_LAST, command)
            + _data_pdu(WORKLIST_CONTEXT, IS_LAST, identifier)
        )
        answer = Answer()
        response, row = b"", b""
        for header, value in self._fragments():
            if header & IS_COMMAND:
                response += value
                if header & IS_LAST:
                    answer.status, response = _status(response), b""
                    if answer.status not in PENDING:
                        break
                    answer.rows += 1
                    answer.first_row = answer.first_row or self._elapsed()
            elif keep:
                row += value
                if header & IS_LAST:
                    answer.data_sets.append(row)
                    row = b""
        return answer

    def store(self, image: PreparedImage, bytes_per_second: float = 0.0) -> None:
        """Send an image with a C-STORE-RQ, no faster than that, and wait for its success. 0 is as fast as possible."""
        command = _command(MAMMOGRAPHY, 0x0001, HAS_DATA_SET, priority=True, instance=image.instance)
        self._socket.sendall(_data_pdu(IMAGE_CONTEXT, IS_COMMAND | IS_LAST, command) + image.first)
        rest, began = memoryview(image.rest), time.perf_counter()
        step = IMAGE_PDU_LENGTH if bytes_per_second else max(1, len(rest))
        for at in range(0, len(rest), step):
            self._socket.sendall(rest[at : at + step])
            if bytes_per_second:
                time.sleep(max(0.0, began + (at + step) / bytes_per_second - time.perf_counter()))
        self._expect_success("C-STORE")

    def _elapsed(self) -> float:
        return time.perf_counter() - self._began

    def _expect(self, pdu_type: int) -> None:
        received, _ = self._pdu()
        if received != pdu_type:
            raise UnexpectedAnswer(f"a PDU of type {received:02X} instead of {pdu_type:02X}")

    def _expect_success(self, request: str) -> None:
        for header, value in self._fragments():
            if header & IS_LAST:
                if (status := _status(bytes(value))) != SUCCESS:
                    raise UnexpectedAnswer(f"the {request} failed with {status:04X}")
                return

    def _fragments(self) -> Iterator[tuple[int, bytearray]]:
        """Yield message control header and value of each presentation data value that arrives (PS3.8 annex E)."""
        while True:
            pdu_type, body = self._pdu()
            if pdu_type != P_DATA:
                raise UnexpectedAnswer(f"a PDU of type {pdu_type:02X} during an answer")
            at = 0
            while at < len(body):
                (length,) = struct.unpack_from(">L", body, at)
                yield body[at + 5], body[at + 6 : at + 4 + length]
                at += 4 + length

    def _pdu(self) -> tuple[int, bytearray]:
        """Return type and body of the next PDU."""
        self._receive(6)
        pdu_type, length = struct.unpack_from(">BxL", self._received)
        self._receive(6 + length)
        body = self._received[6 : 6 + length]
        del self._received[: 6 + length]
        return pdu_type, body

    def _receive(self, length: int) -> None:
        while len(self._received) < length:
            part = self._socket.recv(1 << 18)
            if not part:
                raise UnexpectedAnswer("the connection was closed")
            self._received += part


def _association_request(calling: str, contexts: Contexts) -> bytes:
    """Return an A-ASSOCIATE-RQ for these presentation contexts (PS3.8 section 9.3.2)."""

    def item(item_type: int, value: bytes) -> bytes:
        return struct.pack(">BxH", item_type, len(value)) + value

    user_information = item(0x51, struct.pack(">L", 65_536)) + item(0x52, b"2.25.1") + item(0x55, b"BENCHMARK")
    body = struct.pack(">H2x16s16s32x", 1, CALLED.ljust(16).encode(), calling.ljust(16).encode())
    body += item(0x10, b"1.2.840.10008.3.1.1.1")
    for context_id, (abstract, transfer) in contexts.items():
        body += item(0x20, struct.pack("B3x", context_id) + item(0x30, abstract) + item(0x40, transfer))
    body += item(0x50, user_information)
    return struct.pack(">BxL", ASSOCIATE_RQ, len(body)) + body


def _command(
    sop_class: bytes, command_field: int, data_set_type: int, *, priority: bool = False, instance: bytes = b""
) -> bytes:
    """Return a request's command set (PS3.7 section 6.3.1)."""

    def element(number: int, value: bytes) -> bytes:
        return struct.pack("<HHL", 0x0000, number, len(value)) + value

    def short(number: int, value: int) -> bytes:
        return element(number, struct.pack("<H", value))

    def uid(number: int, value: bytes) -> bytes:
        return element(number, value + b"\0" * (len(value) % 2))

    elements = uid(0x0002, sop_class) + short(0x0100, command_field)
    elements += short(0x0110, 1) + (short(0x0700, 0) if priority else b"") + short(0x0800, data_set_type)
    elements += uid(0x1000, instance) if instance else b""
    return element(0x0000, struct.pack("<L", len(elements))) + elements


def _data_pdu(context_id: int, header: int, value: bytes) -> bytes:
    """Return a P-DATA-TF with one presentation data value."""
    return struct.pack(">BxLLBB", P_DATA, len(value) + 6, len(value) + 2, context_id, header) + value


def _status(command: bytes) -> int:
    at = command.rfind(STATUS)
    return int.from_bytes(command[at + 8 : at + 10], "little") if at >= 0 else -1
