"""Send malformed requests as a modality. It runs in a process of its own, so it imports nothing of Django."""

import random
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from io import BytesIO
from typing import Any

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import C_FIND_RQ
from pynetdicom.dimse_primitives import C_FIND
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_RELEASE_RQ, P_DATA_TF
from pynetdicom.sop_class import ModalityWorklistInformationFind  # type: ignore[attr-defined]

from tests.dicom.requests import CALLED, PATIENCE, dataset, request

#: The header of (0000,0900) in a command set, which is always implicit VR little endian (PS3.7 section 6.3.1).
STATUS = b"\x00\x00\x00\x09\x02\x00\x00\x00"
PENDING = (0xFF00, 0xFF01)
ENDED = -1
#: How long to wait for a response to what may not be a whole PDU. Seconds.
IMPATIENCE = 0.01
ABORT, REJECT, ACCEPT, RELEASED, DATA = 7, 3, 2, 6, 4

STEP = dataset(
    ScheduledStationAETitle="MAMMO1",
    ScheduledProcedureStepStartDate="20260310-20260311",
    ScheduledProcedureStepStartTime="0900-1200",
    Modality="MG",
    ScheduledPerformingPhysicianName="",
    ScheduledProtocolCodeSequence=[dataset(CodeValue="", CodeMeaning="")],
)
SEEDS = (
    request(STEP, PatientName="", PatientID="", AccessionNumber="", StudyInstanceUID=""),
    request(PatientName="SMITH*", PatientBirthDate="1940-1960", AccessionNumber="?*"),
    request(STEP, SpecificCharacterSet="ISO_IR 192", PatientName="ŁUKASZ^ZOË=李^安"),
    request(SpecificCharacterSet=["", "ISO 2022 IR 100"], PatientName="MÜLLER*", PatientSex=["M", "F"]),
    request(dataset(), StudyInstanceUID=["1.2.3", "1.2.4"], RequestedProcedureCodeSequence=[dataset(CodeValue="")]),
    request(PatientID="1", TimezoneOffsetFromUTC="", PregnancyStatus=4, PatientWeight="70.5", OtherPatientIDs=""),
)


def mutated(chance: random.Random, text: bytes) -> bytes:
    """Change the bytes in one to four places."""
    mutant = bytearray(text)
    for _ in range(chance.randrange(1, 5)):
        at = chance.randrange(len(mutant) + 1)
        length = chance.choice((1, 1, 2, 4, 8, 30))
        part = mutant[at : at + length]
        replacement = (
            chance.randbytes(len(part)),
            b"",
            part + part,
            chance.randbytes(length),
            bytes(len(part)),
            b"\xff" * len(part),
            bytes(byte ^ 1 << chance.randrange(8) for byte in part),
        )
        mutant[at : at + len(part)] = chance.choice(replacement)
    return bytes(mutant[: chance.randrange(len(mutant) + 1)] if chance.random() < 0.1 else mutant)


class RawConnection:
    """An association on a plain socket, with every byte written here."""

    def __init__(self, port: int, request_pdu: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request_pdu)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def release(self) -> None:
        """End the association."""
        self._socket.sendall(A_RELEASE_RQ().encode())
        assert self.pdu()[0] == RELEASED
        self.close()

    def pdu(self) -> tuple[int, bytes]:
        """Return type and content of the next PDU; type 0 if the connection has closed."""
        try:
            head = self._bytes(6)
            kind, length = struct.unpack(">BxL", head) if len(head) == 6 else (0, 0)
            return kind, self._bytes(length)
        except ConnectionError:
            return 0, b""

    def last_pdu(self) -> int:
        """Return the type of the last PDU before the connection closes; stop sending if the server waits for more."""
        last = 0
        self._socket.settimeout(IMPATIENCE)
        while True:
            try:
                kind, _ = self.pdu()
            except TimeoutError:
                self._socket.settimeout(PATIENCE)
                with suppress(OSError):  # it has just been closed
                    self._socket.shutdown(socket.SHUT_WR)
                continue
            if not kind:
                return last
            last = kind

    def status_of(self, query: bytes) -> int:
        """Return the final status of a query; ENDED if the association ends."""
        try:
            self._socket.sendall(query)
        except ConnectionError:
            return ENDED
        while True:
            kind, content = self.pdu()
            if kind != DATA:
                return ENDED
            for status in _statuses(content):
                if status not in PENDING:
                    return status

    def send(self, text: bytes) -> None:
        """Send the bytes, as many as the server takes."""
        with suppress(ConnectionError):
            self._socket.sendall(text)

    def _bytes(self, number: int) -> bytes:
        read = b""
        while len(read) < number and (part := self._socket.recv(number - len(read))):
            read += part
        return read


def _statuses(content: bytes) -> Iterator[int]:
    """Yield the status of each command set in a P-DATA-TF; our server sends each in one PDV."""
    while content:
        length, header = struct.unpack(">LxB", content[:6])
        if header & 1:
            (status,) = struct.unpack("<H", content.partition(STATUS)[2][:2])
            yield status
        content = content[4 + length :]


def association_request(port: int, syntax: UID) -> bytes:
    """Return the A-ASSOCIATE-RQ that pynetdicom sends."""
    sent: list[bytes] = []
    handlers: list[Any] = [(evt.EVT_DATA_SENT, lambda event: sent.append(event.data))]
    entity = AE(ae_title="MAMMO1")
    entity.add_requested_context(ModalityWorklistInformationFind, syntax)
    entity.associate("127.0.0.1", port, ae_title=CALLED, evt_handlers=handlers).release()
    return sent[0]


@cache
def command() -> bytes:
    """The command set of a C-FIND-RQ, in a P-DATA-TF."""
    asked = C_FIND()
    asked.MessageID, asked.AffectedSOPClassUID, asked.Priority = 1, ModalityWorklistInformationFind, 2
    asked.Identifier = BytesIO(b"\0" * 8)
    message = C_FIND_RQ()
    message.primitive_to_message(asked)
    return P_DATA_TF(next(message.encode_msg(1, 16382))).encode()


def query(identifier: bytes) -> bytes:
    """A C-FIND-RQ with this identifier, in two P-DATA-TF PDUs of one PDV each (PS3.8 section 9.3.5)."""
    return command() + struct.pack(">BxLLBB", DATA, len(identifier) + 6, len(identifier) + 2, 1, 2) + identifier


@cache
def seeds(syntax: UID) -> list[bytes]:
    """Encode well-formed identifiers, from which the malformed ones are made."""
    return [encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian) or b"" for identifier in SEEDS]


def send_malformed_identifiers(port: int, request_pdu: bytes, syntax: UID, seed: int, number: int) -> Counter[int]:
    """Send malformed identifiers one after another; count each final status."""
    chance, outcomes = random.Random(seed), Counter[int]()
    line: RawConnection | None = None
    for _ in range(number):
        if line is None:
            line = RawConnection(port, request_pdu)
            assert line.pdu()[0] == ACCEPT
        status = line.status_of(query(mutated(chance, chance.choice(seeds(syntax)))))
        outcomes[status] += 1
        if status == ENDED:
            line.close()
            line = None
    if line:
        line.release()
    return outcomes


def send_malformed_pdus(port: int, request_pdu: bytes, syntax: UID, seed: int, number: int) -> Counter[int]:
    """Send malformed association requests and messages, each on its own connection; count the type of the last PDU."""
    chance, outcomes = random.Random(seed), Counter[int]()
    message = query(seeds(syntax)[0])
    for _ in range(number):
        if chance.random() < 0.5:
            line = RawConnection(port, mutated(chance, request_pdu))
        else:
            line = RawConnection(port, request_pdu)
            assert line.pdu()[0] == ACCEPT
            line.send(mutated(chance, message))
            line.send(A_RELEASE_RQ().encode())
        outcomes[line.last_pdu()] += 1
        line.close()
    return outcomes
