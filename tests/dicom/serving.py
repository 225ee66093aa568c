"""Servers of a test's own, on their own terms, and what modalities are told at their policy."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from dicom.association_policy import AssociationPolicy, ServerConfig
from dicom.modality_directory import ModalityDirectory
from dicom.server import DicomServer, stop_server
from tests.dicom.requests import CALLED, PATIENCE
from worklist.query.find import WorklistContext
from worklist.scp import start_worklist_server


def start(host: str, port: int, policy: AssociationPolicy, tls: ssl.SSLContext | None = None) -> DicomServer:
    """A worklist server with a context of its own; PortUnavailable where the port cannot be had."""
    return start_worklist_server(host, port, WorklistContext(policy), tls)


@contextmanager
def serving(tls: ssl.SSLContext | None = None, fresh_seconds: float = 0, **terms: Any) -> Iterator[DicomServer]:
    """A server, which looks each asker up afresh unless it is told that it need not."""
    running = start(
        "127.0.0.1", 0, AssociationPolicy(ServerConfig(CALLED, **terms), ModalityDirectory(fresh_seconds)), tls
    )
    try:
        yield running
    finally:
        stop_server(running)


def port_of(running: ThreadedAssociationServer) -> int:
    """The free port that it took."""
    return int(running.server_address[1])


def rejection(running: DicomServer, calling: str = "MAMMO1", called: str = CALLED) -> tuple[int, int, int] | None:
    """Result, source and reason of the A-ASSOCIATE-RJ that a modality gets; None where it is let in."""
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
    """Wait until no association is left."""
    for association in running.active_associations:
        if association.ident:  # it has begun
            association.join(PATIENCE)


def connected(running: DicomServer) -> socket.socket:
    """A connection on which nobody has said anything yet."""
    return socket.create_connection(("127.0.0.1", port_of(running)), timeout=PATIENCE)
