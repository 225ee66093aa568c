"""Send malformed requests as a modality. It runs in a process of its own, so it imports nothing of Django."""

import random
import socket
from collections import Counter
from contextlib import suppress
from functools import cache

from pydicom.uid import UID
from pynetdicom.dsutils import encode

from tests.dicom.raw import (
    CLOSED,
    FIND_CONTEXT,
    WORKLIST,
    AssociationEnded,
    RawAssociation,
    association_request,
    find_request,
    message,
    offer,
    release_request,
)
from tests.dicom.requests import PATIENCE, dataset, request

ENDED = -1
#: How long to wait for a response to what may not be a whole PDU. Seconds.
IMPATIENCE = 0.01

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


def last_pdu(association: RawAssociation) -> int:
    """Return the type of the last PDU before the connection closes; stop sending if the server waits for more."""
    last = CLOSED
    association.socket.settimeout(IMPATIENCE)
    while True:
        try:
            received = association.receive()
        except TimeoutError:
            association.socket.settimeout(PATIENCE)
            with suppress(OSError):  # it has just been closed
                association.socket.shutdown(socket.SHUT_WR)
            continue
        if received.kind == CLOSED:
            return last
        last = received.kind


def asked(syntax: str) -> bytes:
    """The A-ASSOCIATE-RQ of a modality that offers the worklist in this transfer syntax."""
    return association_request([offer(FIND_CONTEXT, WORKLIST, syntax)])


def query(identifier: bytes) -> bytes:
    """A C-FIND-RQ with this identifier."""
    return message(FIND_CONTEXT, find_request(), identifier)


@cache
def seeds(syntax: UID) -> list[bytes]:
    """Encode well-formed identifiers, from which the malformed ones are made."""
    return [encode(identifier, syntax.is_implicit_VR, syntax.is_little_endian) or b"" for identifier in SEEDS]


def send_malformed_identifiers(port: int, syntax: UID, seed: int, number: int) -> Counter[int]:
    """Send malformed identifiers one after another; count each final status, ENDED where the association ends."""
    chance, outcomes = random.Random(seed), Counter[int]()
    line: RawAssociation | None = None
    for _ in range(number):
        if line is None:
            line = RawAssociation.opened(port, asked(syntax))
            line.accepted()
        line.send(query(mutated(chance, chance.choice(seeds(syntax)))))
        try:
            outcomes[line.answers()[-1].status] += 1
        except AssociationEnded:
            outcomes[ENDED] += 1
            line.close()
            line = None
    if line:
        line.release()
        line.close()
    return outcomes


def send_malformed_pdus(port: int, syntax: UID, seed: int, number: int) -> Counter[int]:
    """Send malformed association requests and messages, each on its own connection; count the type of the last PDU."""
    chance, outcomes = random.Random(seed), Counter[int]()
    wanted, whole = asked(syntax), query(seeds(syntax)[0])
    for _ in range(number):
        if chance.random() < 0.5:
            line = RawAssociation.opened(port, mutated(chance, wanted))
        else:
            line = RawAssociation.opened(port, wanted)
            line.accepted()
            line.send(mutated(chance, whole))
            line.send(release_request())
        outcomes[last_pdu(line)] += 1
        line.close()
    return outcomes
