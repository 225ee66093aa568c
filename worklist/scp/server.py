"""Owns the DICOM server: which associations it takes, on what terms, and how it starts and stops (PS3.8)."""

import logging
import socket
import threading
import time
from typing import Any

from pydicom import config as pydicom_config
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityWorklistInformationFind,
    Verification,
)
from pynetdicom.transport import ThreadedAssociationServer

from worklist.scp.find import Desk, answer_find

logger = logging.getLogger(__name__)

TRANSFER_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
IDLE_SECONDS = 60.0
GREETING_SECONDS = 10.0  # a port scanner's connection counts as an association until then
STOP_SECONDS = 3.0


class PortTaken(Exception):
    """Nothing can listen on this host and port now; the text is the system's reason."""


def start_server(
    host: str, port: int, ae_title: str, max_associations: int, desk: Desk | None = None
) -> ThreadedAssociationServer:
    """A running server, each association in a thread of its own; PortTaken when the port cannot be had.

    `port` 0 takes a free one; the server's `server_address` tells which.
    """
    _keep_patients_out_of_logs()
    entity = AE(ae_title=ae_title)
    for sop_class in (ModalityWorklistInformationFind, Verification):
        entity.add_supported_context(sop_class, TRANSFER_SYNTAXES)
    entity.maximum_associations = max_associations
    entity.network_timeout = IDLE_SECONDS
    entity.acse_timeout = GREETING_SECONDS
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, _set_up_socket),
        (evt.EVT_ESTABLISHED, _allow_pauses),
        (evt.EVT_ACCEPTED, _log_association, ["accepted"]),
        (evt.EVT_REJECTED, _log_association, ["rejected"]),
        (evt.EVT_ABORTED, _log_association, ["aborted"]),
        (evt.EVT_C_ECHO, _answer_echo),
        (evt.EVT_C_FIND, answer_find, [desk or Desk()]),
    ]
    try:
        server = entity.start_server((host, port), block=False, evt_handlers=handlers)
    except OSError as error:
        raise PortTaken(error.strerror or type(error).__name__) from None
    assert server is not None  # noqa: S101 - it is, where it does not block
    assert server.socket is not None  # noqa: S101
    server.socket.listen(max_associations)  # pynetdicom lets 5 wait; the sixth would come in a second later
    return server


def stop_server(server: ThreadedAssociationServer) -> None:
    """Free the port, then abort what is open, all at once: an asker that does not read would hold up the others."""
    server.shutdown()
    aborts = [threading.Thread(target=each.abort, daemon=True) for each in server.active_associations]
    for abort in aborts:
        abort.start()
    deadline = time.monotonic() + STOP_SECONDS
    for abort in aborts:
        abort.join(max(0.0, deadline - time.monotonic()))


def _keep_patients_out_of_logs() -> None:
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.LOG_HANDLER_LEVEL = "none"
    # Keys may be longer than their VR allows, or hold what it does not: they are compared, not refused.
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    pydicom_config.settings.writing_validation_mode = pydicom_config.IGNORE


def _set_up_socket(event: evt.Event) -> None:
    """Without Nagle's algorithm, which costs each association some 40 ms; and no waiting for ever for one that stops in
    the middle of a PDU or does not read."""
    transport = event.assoc.dul.socket
    if transport and transport.socket:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.socket.settimeout(GREETING_SECONDS)


def _allow_pauses(event: evt.Event) -> None:
    """One that has introduced itself may take its time."""
    transport = event.assoc.dul.socket
    if transport and transport.socket:
        transport.socket.settimeout(IDLE_SECONDS)


def _answer_echo(event: evt.Event) -> int:
    logger.info("echo answered", extra={"calling_ae_title": str(event.assoc.requestor.ae_title).strip()})
    return 0x0000


def _log_association(event: evt.Event, what: str) -> None:
    requestor = event.assoc.requestor
    logger.info(
        "association %s",
        what,
        extra={"calling_ae_title": str(requestor.ae_title).strip(), "address": requestor.address},
    )
