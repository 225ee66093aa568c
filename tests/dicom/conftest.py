"""Fixtures of the DICOM tests: a modality with odd habits.

Whatever it sends, the server is never silent, and keeps nothing of it.
"""

import logging
import threading
import time
from collections.abc import Iterator
from typing import Literal

import pytest

from dicom.association_policy import AssociationPolicy, ServerConfig
from dicom.server import DicomServer, stop_server
from tests.dicom.odd_modality import PROMPTLY, OddModality, assert_is_served
from tests.dicom.raw import ABORT, REJECT
from tests.dicom.raw_mpps import NHS_NUMBER
from tests.dicom.requests import CALLED
from tests.dicom.serving import all_ended, port_of
from worklist.query.delivery_log import DeliveryLog
from worklist.query.find import WorklistContext
from worklist.scp import start_worklist_server

PHASES: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")
#: What the log says of an association that the server has refused or ended.
ENDS = {"association rejected", "association aborted"}
#: Parts of a patient's data that tests send or store.
PATIENT = ("O'BRIEN", "SMITH", NHS_NUMBER, "19700321")


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
    records = [record for phase in PHASES for record in caplog.get_records(phase)]
    named = [record for record in records if vars(record).get("address") == "127.0.0.1"]
    assert len(named) > len(made.connections)
    refused = [line for line in made.connections if {ABORT, REJECT} & set(line.kinds)]
    ends = [record for record in named if record.levelno >= logging.WARNING and record.getMessage() in ENDS]
    assert len(refused) <= len(ends) <= len(made.connections)
    assert [record for record in records if record.exc_info] == []
    written = "\n".join(f"{record.getMessage()} {vars(record)}" for record in records)
    assert [value for value in PATIENT if value in written] == []


def assert_forgets_all(running: DicomServer) -> None:
    """Wait until every association has ended and its place is free."""
    deadline = time.monotonic() + PROMPTLY
    all_ended(running)
    assert running.policy.open_associations() == 0
    assert time.monotonic() < deadline
