"""Run a worklist server with a test's own configuration, and see whom it rejects."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom.association_policy import AssociationPolicy, ServerConfig
from dicom.modality_directory import ModalityDirectory
from dicom.server import DicomServer, stop_server
from tests.dicom.requests import CALLED, PATIENCE
from worklist.query.find import WorklistContext
from worklist.scp import start_worklist_server


def start(host: str, port: int, policy: AssociationPolicy, tls: ssl.SSLContext | None = None) -> DicomServer:
    """Start a worklist server with its own context; raise PortUnavailable if it cannot listen."""
    return start_worklist_server(host, port, WorklistContext(policy), tls)


@contextmanager
def serving(tls: ssl.SSLContext | None = None, fresh_seconds: float = 0, **config: Any) -> Iterator[DicomServer]:
    """Run a server that reads the modalities anew for each association, unless `fresh_seconds` says otherwise."""
    running = start(
        "127.0.0.1", 0, AssociationPolicy(ServerConfig(CALLED, **config), ModalityDirectory(fresh_seconds)), tls
    )
    try:
        yield running
    finally:
        stop_server(running)


def port_of(running: DicomServer) -> int:
    """The port that the server listens on."""
    return int(running.server_address[1])


def rejection(running: DicomServer, calling: str = "MAMMO1", called: str = CALLED) -> tuple[int, int, int] | None:
    """Return result, source and reason of the A-ASSOCIATE-RJ that a modality gets; None if it is admitted."""
    entity = AE(ae_title=calling)
    entity.add_requested_context(Verification)
    association = entity.associate("127.0.0.1", port_of(running), ae_title=called)
    if association.is_established:
        assert association.send_c_echo().Status == 0x0000
        association.release()
        return None
    assert association.is_rejected
    answer = association.acceptor.primitive
    assert answer is not None
    return answer.result, answer.result_source, answer.diagnostic  # type: ignore[return-value]


def all_ended(running: DicomServer) -> None:
    """Wait until all associations have ended."""
    for association in running.associations:
        if association.ident:  # the thread has started
            association.join(PATIENCE)


def connected(running: DicomServer) -> socket.socket:
    """Open a connection and send nothing on it."""
    return socket.create_connection(("127.0.0.1", port_of(running)), timeout=PATIENCE)


def assert_new_threads_end(before: set[threading.Thread]) -> None:
    """Wait until every thread that is not one of `before` has ended, including those that such a thread still starts.

    Comparing counts would depend on how fast the machine ends them.
    """
    while new := set(threading.enumerate()) - before:
        for thread in new:
            thread.join(PATIENCE)
            assert not thread.is_alive(), thread.name
