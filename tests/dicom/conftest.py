"""A modality with odd habits: whatever it sends, the server is never silent and keeps nothing of it."""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from dicom.association_policy import AssociationPolicy, ServerConfig
from dicom.server import DicomServer, stop_server
from tests.dicom.raw import (
    ABORT,
    ECHO_CONTEXT,
    FIND_CONTEXT,
    IMPLICIT,
    REJECT,
    STATUS,
    Answer,
    DataSet,
    RawAssociation,
    association_request,
    echo_request,
    encoded,
    find_request,
    results,
    usual_offers,
)
from tests.dicom.raw_mpps import NHS_NUMBER
from tests.dicom.requests import CALLED
from tests.dicom.serving import all_ended, port_of
from worklist.query.delivery_log import DeliveryLog
from worklist.query.find import WorklistContext
from worklist.scp import start_worklist_server

#: A modality waits 30 seconds or less; an answer, a refusal or an abort comes well before. Seconds.
PROMPTLY = 8.0
#: Parts of a patient's data that tests send or store.
PATIENT = ("O'BRIEN", "SMITH", NHS_NUMBER, "19700321")


@dataclass
class OddModality:
    """Opens connections on which the test writes every byte."""

    port: int
    connections: list[RawAssociation] = field(default_factory=list)

    def sends(self, *pdus: bytes, transfer_syntax: str = IMPLICIT) -> RawAssociation:
        """Connect and send these PDUs."""
        line = RawAssociation.opened(self.port, *pdus, transfer_syntax=transfer_syntax, patience=PROMPTLY)
        self.connections.append(line)
        return line

    def associated(self, transfer_syntax: str = IMPLICIT) -> RawAssociation:
        """Open an association with the usual presentation contexts."""
        line = self.sends(association_request(usual_offers(transfer_syntax)), transfer_syntax=transfer_syntax)
        assert set(results(line.accepted()).values()) == {0}
        return line


def refusal(line: RawAssociation) -> tuple[int, int, int, int]:
    """Return the next PDU, an A-ASSOCIATE-RJ or an A-ABORT, as its type, result (0 for none), source and reason."""
    received = line.receive()
    assert received.kind in (REJECT, ABORT), received
    assert len(received.content) == 4
    return received.kind, *received.content[1:]


def assert_is_served(line: RawAssociation, context_id: int = ECHO_CONTEXT) -> None:
    """Check that a C-ECHO is answered, and that the association ends in order."""
    assert [answer.status for answer in line.ask(context_id, echo_request(77))] == [0x0000]
    line.release()
    assert line.rest() == []


def found(line: RawAssociation, keys: DataSet, message_id: int = 1) -> list[Answer]:
    """Send a C-FIND, and return all responses."""
    return line.ask(FIND_CONTEXT, find_request(message_id), encoded(keys, line.transfer_syntax))


def statuses(answers: list[Answer]) -> list[int]:
    """The statuses of responses, some of which may lack one."""
    return [answer.status for answer in answers if STATUS in answer.elements]


@pytest.fixture
def server_context() -> WorklistContext:
    """The context of a server whose delivery log writes nothing."""
    return WorklistContext(AssociationPolicy(ServerConfig(CALLED)))


@pytest.fixture
def deliveries(transactional_db: None, server_context: WorklistContext) -> Iterator[DeliveryLog]:
    """The server's delivery log, which writes."""
    yield server_context.deliveries.start()
    server_context.deliveries.stop()


@pytest.fixture
def modality(
    db: None, server_context: WorklistContext, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OddModality]:
    """An odd modality. After the test the server has forgotten it, has named it in the log, and serves the next."""
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    caplog.set_level(logging.DEBUG)
    running = start_worklist_server("127.0.0.1", 0, server_context)
    made = OddModality(port_of(running))
    try:
        yield made
        for line in made.connections:
            line.close()
        assert_forgets_all(running)
        assert_is_served(OddModality(made.port).associated())
    finally:
        stop_server(running)
    assert died == []
    records = caplog.get_records("call") + caplog.get_records("teardown")
    named = [record for record in records if vars(record).get("address") == "127.0.0.1"]
    assert len(named) > len(made.connections)
    assert [record for record in records if record.exc_info] == []
    written = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    assert [value for value in PATIENT if value in written] == []


def assert_forgets_all(running: DicomServer) -> None:
    """Wait until every association has ended and its place is free."""
    deadline = time.monotonic() + PROMPTLY
    all_ended(running)
    assert running.policy.open_associations() == 0
    assert time.monotonic() < deadline
