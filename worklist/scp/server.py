"""Owns the DICOM server: which associations it takes, on what terms, and how it starts and stops (PS3.8)."""

import logging
import socket
import ssl
import threading
import time
from typing import Any, cast

from pydicom import config as pydicom_config
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_P_ABORT
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    Verification,
)

from worklist.scp.admission import Door
from worklist.scp.desk import Desk, asker_of
from worklist.scp.find import answer_find
from worklist.scp.listener import GREETING_SECONDS, Listener, Transport
from worklist.scp.messages import Messages
from worklist.scp.mpps import answer_create, answer_set
from worklist.scp.normalized import Peer, forget_malformed_uids, let_creations_blame_attributes

logger = logging.getLogger(__name__)

SOP_CLASSES = (ModalityWorklistInformationFind, ModalityPerformedProcedureStep, Verification)
TRANSFER_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
STOP_SECONDS = 3.0
#: The accepting loop looks up every half second; one that has not for so long hangs.
TURN_SECONDS = 10.0
#: PS3.4 section K.5.1.1: bytes 1 and 2 are reserved and 1; no fuzzy name matching, no adjustment of time zones.
EXTENDED_NEGOTIATION = b"\x01\x01\x00\x00"


class PortTaken(Exception):
    """Nothing can listen on this host and port now; the text is the system's reason."""


def start_server(
    host: str, port: int, door: Door, desk: Desk | None = None, tls: ssl.SSLContext | None = None
) -> Listener:
    """A running server, each association in a thread of its own; PortTaken when the port cannot be had.

    `port` 0 takes a free one; the server's `server_address` tells which. Two that share a door share its limits.
    """
    _keep_patients_out_of_logs()
    let_creations_blame_attributes()
    desk = desk or Desk(door.directory)
    desk.door = door
    listener = _listener(host, port, door, desk)
    listener.door, listener.tls = door, tls
    listener.turned_at = time.monotonic()
    assert listener.socket is not None  # noqa: S101
    listener.socket.listen(door.terms.max_associations)  # pynetdicom lets 5 wait; the sixth comes in a second later
    listener.ae._servers.append(listener)  # as AE.start_server does, and shutdown undoes
    threading.Thread(target=listener.serve_forever, name="AcceptorServer", daemon=True).start()
    return listener


def stop_server(*servers: Listener) -> None:
    """Free the ports, then abort what is open, all at once: an asker that does not read would hold up the others."""
    for server in servers:
        server.shutdown()
    open_ones = [association for server in servers for association in server.active_associations]
    aborts = [threading.Thread(target=_abort, args=[each], daemon=True) for each in open_ones]
    for abort in aborts:
        abort.start()
    deadline = time.monotonic() + STOP_SECONDS
    for abort in aborts:
        abort.join(max(0.0, deadline - time.monotonic()))


def takes_connections(*servers: Listener) -> bool:
    """Whether the accepting loop of each of them still goes round."""
    return all(time.monotonic() - server.turned_at < TURN_SECONDS for server in servers)


def _listener(host: str, port: int, door: Door, desk: Desk) -> Listener:
    entity = AE(ae_title=door.terms.ae_title)
    for sop_class in SOP_CLASSES:
        entity.add_supported_context(sop_class, TRANSFER_SYNTAXES)
    entity.maximum_associations = 2 * door.terms.max_associations  # the door counts
    entity.network_timeout = door.terms.idle_seconds
    entity.acse_timeout = GREETING_SECONDS
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, _set_up_socket),
        (evt.EVT_CONN_OPEN, _set_up_association, [door.terms.data_set_seconds]),
        (evt.EVT_CONN_CLOSE, _forget_silent),
        (evt.EVT_REQUESTED, _meet_at_the_door, [door]),
        (evt.EVT_SOP_EXTENDED, _negotiate),
        (evt.EVT_ESTABLISHED, _allow_pauses, [door.terms.idle_seconds]),
        (evt.EVT_ACCEPTED, _log_association, ["accepted"]),
        (evt.EVT_ABORTED, _log_association, ["aborted"]),
        (evt.EVT_DIMSE_RECV, desk.cancels.note),
        (evt.EVT_DIMSE_RECV, forget_malformed_uids),
        (evt.EVT_C_ECHO, _answer_echo),
        (evt.EVT_C_FIND, answer_find, [desk]),
        (evt.EVT_N_CREATE, answer_create, [desk]),
        (evt.EVT_N_SET, answer_set, [desk]),
    ]
    try:
        server = entity.make_server((host, port), evt_handlers=handlers, server_class=Listener)
    except OSError as error:
        raise PortTaken(error.strerror or type(error).__name__) from None
    return cast(Listener, server)


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
        transport.__class__ = Transport  # pynetdicom offers no other way to say which
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.socket.settimeout(GREETING_SECONDS)


def _set_up_association(event: evt.Event, data_set_seconds: float) -> None:
    """As with the socket, pynetdicom offers no other way to say which."""
    event.assoc.__class__ = Peer
    Messages.take_over(event.assoc.dimse, data_set_seconds)


def _forget_silent(event: evt.Event) -> None:
    """End the threads of a connection that is closed before anything was asked: pynetdicom waits on for its request."""
    if event.assoc.requestor.primitive is None:
        _end_threads(event.assoc)


def _end_threads(association: Association) -> None:
    association.is_aborted = True
    association.dul.kill_dul()
    association.dul.to_user_queue.put(A_P_ABORT())


def _abort(association: Association) -> None:
    """An A-ABORT for who has asked for an association; who has not is not in a state for it (PS3.8 table 9-10)."""
    if association.requestor.primitive is None:
        _end_threads(association)
    else:
        association.abort()


def _meet_at_the_door(event: evt.Event, door: Door) -> None:
    """Let an association in, or reject it and say why, in the log."""
    requestor = event.assoc.requestor
    request = requestor.primitive
    if not isinstance(request, A_ASSOCIATE):
        return  # it is gone already
    applicant = asker_of(event)
    who = {"calling_ae_title": applicant.calling_ae_title, "address": applicant.address}
    refusal = door.enter(event.assoc, applicant)
    if refusal is None:
        if door.warns_of(applicant.calling_ae_title):
            logger.warning("nobody has configured this AE title as a modality", extra=who)
        return
    called = {"called_ae_title": applicant.called_ae_title, "reason": refusal.sentence}
    logger.warning("association rejected", extra={**who, **called})
    event.assoc.acse.send_reject(refusal.result, refusal.source, refusal.reason)
    event.assoc.kill()


def _negotiate(event: evt.Event) -> dict[UID, bytes]:
    """What is offered of the worklist's extended negotiation is declined, in as many bytes (PS3.4 section K.5.1.2)."""
    offered = event.assoc.requestor.sop_class_extended.get(ModalityWorklistInformationFind, b"")
    declined = EXTENDED_NEGOTIATION.ljust(len(offered), b"\0")[: len(offered)]
    return {ModalityWorklistInformationFind: declined} if declined else {}


def _allow_pauses(event: evt.Event, idle_seconds: float) -> None:
    """One that has introduced itself may take its time."""
    transport = event.assoc.dul.socket
    if transport and transport.socket:
        transport.socket.settimeout(idle_seconds)


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
