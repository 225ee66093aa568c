"""Owns the DICOM server: which associations it takes, on what terms, and how it starts and stops (PS3.8)."""

import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from pydicom import config as pydicom_config
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE, A_P_ABORT
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from dicom.association_policy import AssociationPolicy, Requestor
from dicom.cancellations import Cancels
from dicom.listener import GREETING_SECONDS, Listener, Transport
from dicom.messages import Messages
from dicom.normalized import Peer, forget_malformed_uids, let_creations_blame_attributes

logger = logging.getLogger(__name__)

TRANSFER_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
STOP_SECONDS = 3.0
#: The accepting loop looks up every half second; one that has not for so long hangs.
TURN_SECONDS = 10.0


@dataclass
class ServerContext:
    """What the handlers of one server share: who may make requests, and which queries have been cancelled."""

    policy: AssociationPolicy
    cancels: Cancels = field(default_factory=Cancels)


@dataclass(frozen=True)
class Service:
    """A SOP class with the handlers of its operations: each is called with the event and the server's context.

    `extended_negotiation` is the service class application information that is returned where the requestor offers
    some (PS3.7 annex D.3.3.5); None ignores it.
    """

    sop_class: str
    handlers: tuple[tuple[Any, Callable[..., Any]], ...]
    extended_negotiation: bytes | None = None


class PortTaken(Exception):
    """Nothing can listen on this host and port now; the text is the system's reason."""


def start_server(
    host: str,
    port: int,
    context: ServerContext,
    services: Sequence[Service],
    tls: ssl.SSLContext | None = None,
) -> Listener:
    """A running server, each association in a thread of its own; PortTaken when the port cannot be had.

    `port` 0 takes a free one; the server's `server_address` tells which. Two that share a context share its limits.
    """
    _keep_patients_out_of_logs()
    let_creations_blame_attributes()
    listener = _listener(host, port, context, services)
    listener.policy, listener.tls = context.policy, tls
    listener.turned_at = time.monotonic()
    assert listener.socket is not None  # noqa: S101
    listener.socket.listen(
        context.policy.config.max_associations
    )  # pynetdicom lets 5 wait; the sixth comes in a second later
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


def _listener(host: str, port: int, context: ServerContext, services: Sequence[Service]) -> Listener:
    config = context.policy.config
    entity = AE(ae_title=config.ae_title)
    for sop_class in (*(service.sop_class for service in services), Verification):
        entity.add_supported_context(sop_class, TRANSFER_SYNTAXES)
    entity.maximum_associations = 2 * config.max_associations  # the policy counts
    entity.network_timeout = config.idle_seconds
    entity.acse_timeout = GREETING_SECONDS
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, _set_up_socket),
        (evt.EVT_CONN_OPEN, _set_up_association, [config.data_set_seconds]),
        (evt.EVT_CONN_CLOSE, _forget_silent),
        (evt.EVT_REQUESTED, _admit, [context.policy]),
        (evt.EVT_SOP_EXTENDED, _negotiate, [services]),
        (evt.EVT_ESTABLISHED, _allow_pauses, [config.idle_seconds]),
        (evt.EVT_ACCEPTED, _log_association, ["accepted"]),
        (evt.EVT_ABORTED, _log_association, ["aborted"]),
        (evt.EVT_DIMSE_RECV, context.cancels.note),
        (evt.EVT_DIMSE_RECV, forget_malformed_uids),
        (evt.EVT_C_ECHO, _answer_echo),
        *((operation, handler, [context]) for service in services for operation, handler in service.handlers),
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


def _admit(event: evt.Event, policy: AssociationPolicy) -> None:
    """Let an association in, or reject it and say why, in the log."""
    if not isinstance(event.assoc.requestor.primitive, A_ASSOCIATE):
        return  # it is gone already
    requestor = requestor_of(event)
    who = {"calling_ae_title": requestor.calling_ae_title, "address": requestor.address}
    rejection = policy.admit(event.assoc, requestor)
    if rejection is None:
        if policy.warns_of(requestor.calling_ae_title):
            logger.warning("nobody has configured this AE title as a modality", extra=who)
        return
    called = {"called_ae_title": requestor.called_ae_title, "reason": rejection.sentence}
    logger.warning("association rejected", extra={**who, **called})
    event.assoc.acse.send_reject(rejection.result, rejection.source, rejection.reason)
    event.assoc.kill()


def _negotiate(event: evt.Event, services: Sequence[Service]) -> dict[UID, bytes]:
    """Answer an offered extended negotiation in as many bytes as it has (PS3.4 section K.5.1.2)."""
    answers = {}
    for service in services:
        offered = event.assoc.requestor.sop_class_extended.get(UID(service.sop_class), b"")
        if offered and service.extended_negotiation is not None:
            answers[UID(service.sop_class)] = service.extended_negotiation.ljust(len(offered), b"\0")[: len(offered)]
    return answers


def _allow_pauses(event: evt.Event, idle_seconds: float) -> None:
    """One that has introduced itself may take its time."""
    transport = event.assoc.dul.socket
    if transport and transport.socket:
        transport.socket.settimeout(idle_seconds)


def requestor_of(event: evt.Event) -> Requestor:
    """The requestor of the event's association."""
    requestor = event.assoc.requestor
    request = requestor.primitive
    calling, called = (request.calling_ae_title, request.called_ae_title) if request else (requestor.ae_title, "")
    return Requestor(str(calling).strip(), str(called).strip(), str(requestor.address))


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
