"""Verify that a modality answers: connect, associate and send a C-ECHO as SCU (PS3.4 annex A).

pynetdicom's codecs build what is sent. What comes back is read here: it is the odd server that an engineer checks, and
pynetdicom aborts on a PDU that breaks the standard without saying what was in it.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pynetdicom import PYNETDICOM_IMPLEMENTATION_UID, PYNETDICOM_IMPLEMENTATION_VERSION, build_context
from pynetdicom.dimse_messages import C_ECHO_RQ
from pynetdicom.dimse_primitives import C_ECHO
from pynetdicom.pdu import A_ASSOCIATE_RQ, A_RELEASE_RQ, P_DATA_TF
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    A_RELEASE,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

#: Result source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21) → the cause and the next step.
REJECTIONS = {
    (1, 1): "no reason given. Look in the modality's log",
    (1, 2): "it does not support the DICOM application context. Check that this is its DICOM port",
    (1, 3): "it does not know this gateway. Add {calling} to its list of remote AE titles",
    (1, 7): "its AE title is not {called}. Give its AE title with --called",
    (2, 2): "it does not support our protocol version. Ask its manufacturer",
    (3, 1): "it is busy. Try again",
    (3, 2): "it has too many associations open. Try again",
}
LOOK_IN_LOG = "Look in the modality's log"
CHECK_PORT = "Check that this is its DICOM port, without TLS"

#: PDU types (PS3.8 section 9.3).
ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, ABORT = 0x02, 0x03, 0x04, 0x05, 0x07
PDU_TYPES = range(0x01, 0x08)
PRESENTATION_CONTEXT_RESULT = 0x21
#: Where the items of an A-ASSOCIATE-AC begin: behind the protocol version, both AE titles and what is reserved.
ITEMS_AT = 68
CONTEXT_ID, MESSAGE_ID = 1, 1
#: Bits of a message control header (PS3.8 annex E.2).
IS_COMMAND, IS_LAST = 0b01, 0b10
STATUS = (0x0000, 0x0900)

OFFERED_LENGTH = 16_382
#: No server has reason to answer an echo at such a length.
MAX_PDU_LENGTH = 1 << 20
MAX_COMMAND_LENGTH = 1 << 16


class VerificationFailed(Exception):
    """The modality did not answer; the text names the phase, the cause and the next step."""


@dataclass(frozen=True)
class VerificationScu:
    """Sends a C-ECHO to one modality. `timeout` is in seconds, for each phase."""

    host: str
    port: int
    called: str
    calling: str
    timeout: float = 10.0

    def verify(self, report: Callable[[str], object]) -> None:
        """Connect, associate, send a C-ECHO and release; report each phase, and raise VerificationFailed at the first
        that fails."""
        started = time.monotonic()

        def milliseconds() -> int:
            return int((time.monotonic() - started) * 1000)

        with self._connect() as connection:
            report(f"TCP: {self.host}:{self.port} accepts connections ({milliseconds()} ms)")
            self._associate(connection)
            report(f"Association: {self.called} accepts {self.calling} ({milliseconds()} ms)")
            phase = _Phase("C-ECHO", connection, self.timeout, next_step=LOOK_IN_LOG)
            with _aborting(connection):
                status = _echo(phase)
            with suppress(OSError):  # whether it answers the release changes nothing
                connection.settimeout(self.timeout)
                connection.sendall(A_RELEASE_RQ(A_RELEASE()).encode())
                connection.recv(10)
            if status != 0x0000:
                raise phase.failure(f"it answered with status {status:04X}. {LOOK_IN_LOG}")
        report(f"C-ECHO: success ({milliseconds()} ms)")

    def _connect(self) -> socket.socket:
        address = f"{self.host}:{self.port}"
        try:
            return socket.create_connection((self.host, self.port), timeout=self.timeout)
        except socket.gaierror:
            raise VerificationFailed(f"TCP: the host name {self.host} is unknown. Give its IP address") from None
        except TimeoutError:
            raise VerificationFailed(
                f"TCP: {address} did not answer within {self.timeout:g} s. Check that it is switched on, and that the "
                "firewall lets this gateway through"
            ) from None
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise VerificationFailed(
                f"TCP: {address}: {reason}. Check that its DICOM server runs, and on this port"
            ) from None

    def _associate(self, connection: socket.socket) -> None:
        """Propose Verification in an A-ASSOCIATE-RQ, and raise VerificationFailed unless it is accepted."""
        context = build_context(Verification)
        context.context_id = CONTEXT_ID
        max_length = MaximumLengthNotification()
        max_length.maximum_length_received = OFFERED_LENGTH
        class_uid = ImplementationClassUIDNotification()
        class_uid.implementation_class_uid = PYNETDICOM_IMPLEMENTATION_UID
        version_name = ImplementationVersionNameNotification()
        version_name.implementation_version_name = PYNETDICOM_IMPLEMENTATION_VERSION
        request = A_ASSOCIATE()
        request.application_context_name = "1.2.840.10008.3.1.1.1"
        request.called_ae_title, request.calling_ae_title = self.called, self.calling
        request.presentation_context_definition_list = [context]
        request.user_information = [max_length, class_uid, version_name]
        phase = _Phase("Association", connection, self.timeout, next_step=CHECK_PORT)
        pdu_type, body = phase.ask(A_ASSOCIATE_RQ(request).encode())
        if pdu_type == ASSOCIATE_RJ:
            _, _, source, reason = body[:4].ljust(4, b"\0")
            cause = REJECTIONS.get(
                (source, reason), f"source {source}, reason {reason}, which DICOM does not define. {LOOK_IN_LOG}"
            )
            raise phase.failure(f"rejected: {cause.format(called=self.called, calling=self.calling)}")
        if pdu_type != ASSOCIATE_AC:
            raise phase.unexpected(pdu_type, body)
        with _aborting(connection):
            if not _accepts_verification(body):
                raise phase.failure(
                    "accepted without Verification: it does not offer C-ECHO. Check it from its own console"
                )


@contextmanager
def _aborting(connection: socket.socket) -> Iterator[None]:
    """Send an A-ABORT (PS3.8 section 9.3.8) before a failure ends an association that has been accepted."""
    try:
        yield
    except VerificationFailed:
        with suppress(OSError):
            connection.sendall(bytes((ABORT, 0, 0, 0, 0, 4, 0, 0, 0, 0)))
        raise


def _echo(phase: "_Phase") -> int:
    """Send a C-ECHO-RQ, in as many P-DATA-TF as it needs, and return the status of its response."""
    request, message = C_ECHO(), C_ECHO_RQ()
    request.MessageID, request.AffectedSOPClassUID = MESSAGE_ID, Verification
    message.primitive_to_message(request)
    data = b"".join(P_DATA_TF(each).encode() for each in message.encode_msg(CONTEXT_ID, OFFERED_LENGTH))
    command, is_last = b"", False
    pdu_type, body = phase.ask(data)
    while True:
        if pdu_type != P_DATA:
            raise phase.unexpected(pdu_type, body)
        for header, fragment in _data_values(body):
            if header & IS_COMMAND:
                command += fragment
                is_last = bool(header & IS_LAST)
        if is_last or len(command) > MAX_COMMAND_LENGTH:
            break
        pdu_type, body = phase.receive(is_continued=True)
    status = _elements(command).get(STATUS, b"")
    if len(status) != 2:
        raise phase.failure(f"its answer has no status, or cannot be read. {LOOK_IN_LOG}")
    return int.from_bytes(status, "little")


class _Phase:
    """Sends a request and reads what comes back within the timeout; `next_step` is the advice if nothing does."""

    def __init__(self, name: str, connection: socket.socket, timeout: float, next_step: str) -> None:
        self._name = name
        self._connection = connection
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._next_step = next_step

    def failure(self, problem: str) -> VerificationFailed:
        """Return the error of this phase."""
        return VerificationFailed(f"{self._name}: {problem}")

    def unexpected(self, pdu_type: int, body: bytes) -> VerificationFailed:
        """Return the error for a PDU that does not belong to this phase."""
        if pdu_type == ABORT:
            _, _, source, reason = body[:4].ljust(4, b"\0")
            return self.failure(f"it aborted the association (source {source}, reason {reason}). {LOOK_IN_LOG}")
        if pdu_type == RELEASE_RQ:
            return self.failure(f"it released the association without an answer. {LOOK_IN_LOG}")
        return self.failure(f"it answered with a PDU of type {pdu_type:02X}H, which is wrong here. {LOOK_IN_LOG}")

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request and return the first PDU of the answer."""
        with suppress(OSError):  # a server may have refused us already, and what it said can still be read
            self._connection.sendall(request)
        return self.receive()

    def receive(self, *, is_continued: bool = False) -> tuple[int, bytes]:
        """Return type and body of the next PDU, which continues an answer if `is_continued`.

        Raise VerificationFailed if it does not arrive whole and in time, or cannot be DICOM.
        """
        received = self._read(6)
        length = 6 + int.from_bytes(received[2:6], "big")
        if received and (received[0] not in PDU_TYPES or length > MAX_PDU_LENGTH):
            raise self.failure(f"it answered with something that is not DICOM. {CHECK_PORT}")
        if len(received) == 6:
            received += self._read(length - 6)
            if len(received) == length:
                return received[0], received[6:]
        ending = "nothing more came in time" if self._is_late() else "it closed the connection"
        if received or is_continued:
            of_length = (
                f"{len(received)} bytes of a PDU of {length}" if len(received) >= 6 else f"{len(received)} bytes"
            )
            raise self.failure(f"its answer stops half-way, after {of_length}: {ending}. {LOOK_IN_LOG}")
        problem = f"it sent nothing within {self._timeout:g} s" if self._is_late() else f"{ending} without an answer"
        raise self.failure(f"{problem}. {self._next_step}")

    def _is_late(self) -> bool:
        return time.monotonic() >= self._deadline

    def _read(self, length: int) -> bytes:
        """Return this many bytes; fewer if the connection ends or the time is up."""
        received = bytearray()
        while len(received) < length and not self._is_late():
            self._connection.settimeout(max(self._deadline - time.monotonic(), 0.001))
            try:
                part = self._connection.recv(length - len(received))
            except TimeoutError:
                continue
            except OSError:  # a reset
                break
            if not part:
                break
            received += part
        return bytes(received)


def _accepts_verification(body: bytes) -> bool:
    """Whether an A-ASSOCIATE-AC accepts our presentation context (PS3.8 section 9.3.3.2); all else in it is skipped."""
    at = ITEMS_AT
    while at + 4 <= len(body):
        item_type, _, length = struct.unpack_from(">BBH", body, at)
        item = body[at + 4 : at + 4 + length]
        if item_type == PRESENTATION_CONTEXT_RESULT and len(item) >= 3 and item[0] == CONTEXT_ID:
            return item[2] == 0
        at += 4 + length
    return False


def _data_values(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield message control header and fragment of each presentation data value of a P-DATA-TF (PS3.8 annex E)."""
    at = 0
    while at + 6 <= len(body):
        (length,) = struct.unpack_from(">L", body, at)
        yield body[at + 5], body[at + 6 : at + 4 + length]
        at += 4 + max(length, 2)


def _elements(command: bytes) -> dict[tuple[int, int], bytes]:
    """Return the elements of a command set, as far as they can be read (PS3.7 section 6.3.1)."""
    elements = {}
    at = 0
    while at + 8 <= len(command):
        group, element, length = struct.unpack_from("<HHL", command, at)
        elements[group, element] = bytes(command[at + 8 : at + 8 + length])
        at += 8 + length
    return elements
