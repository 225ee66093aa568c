"""Serve DICOM services over TCP and TLS: accept connections, negotiate associations, start and stop (PS3.8).

A connection passes three gates, each in a thread of its own so that none holds up another:

1. `DicomServer.verify_request` closes it at once when twice the permitted number are open.
2. TLS, on a port that has it, within ARTIM_SECONDS.
3. `AssociationPolicy.admit` answers its A-ASSOCIATE-RQ, which must also arrive within ARTIM_SECONDS.

What an admitted association requests goes to the handlers of the `Service` it belongs to.
"""

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from socketserver import TCPServer
from typing import Any, cast

from pydicom import config as pydicom_config
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from dicom.association_policy import AssociationPolicy, Requestor
from dicom.pynetdicom_internals import (
    CancelRequests,
    adapt_association,
    allow_attribute_list_in_n_create_rsp,
    blank_malformed_uids,
    end_threads,
    serve_in_background,
)

logger = logging.getLogger(__name__)

TRANSFER_SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
#: How long a connection may take for TLS, and then for its association request (PS3.8 section 9.1.5).
ARTIM_SECONDS = 10.0
STOP_SECONDS = 3.0
#: The accepting loop runs every half second; if it has not run for this long, it hangs.
ACCEPTING_LOOP_SECONDS = 10.0


@dataclass
class ServerContext:
    """What the handlers of one server share: who may make requests, and which queries have been cancelled."""

    policy: AssociationPolicy
    cancel_requests: CancelRequests = field(default_factory=CancelRequests)


@dataclass(frozen=True)
class Service:
    """A SOP class with the handlers of its operations: each is called with the event and the server's context.

    `extended_negotiation` is the service class application information that is returned where the requestor offers
    some (PS3.7 annex D.3.3.5); None ignores it.
    """

    sop_class: str
    handlers: tuple[tuple[Any, Callable[..., Any]], ...]
    extended_negotiation: bytes | None = None


class PortUnavailable(Exception):
    """The server cannot listen on this host and port; the text is the operating system's reason."""


class DicomServer(ThreadedAssociationServer):
    """A DICOM port, with or without TLS.

    pynetdicom performs one TLS handshake after another in the thread that accepts connections, so that one silent
    client holds up all others; here each connection has its own thread from the start.
    """

    daemon_threads = True  # stopping does not wait for a handshake
    policy: AssociationPolicy
    tls: ssl.SSLContext | None = None
    #: When the accepting loop last ran, on the monotonic clock.
    last_accepting_at = float("-inf")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        #: Address and port of connections that pynetdicom does not list yet, as they have no association.
        self._connecting: set[tuple[str, int]] = set()
        self._connecting_lock = threading.Lock()
        super().__init__(*args, **kwargs)

    def server_bind(self) -> None:
        """Bind as `socket.create_server` does; pynetdicom sets SO_REUSEADDR on Windows too.

        There it does not wait for old connections to end: it lets two processes listen on one port, unnoticed.
        """
        self.allow_reuse_address = os.name == "posix"
        TCPServer.server_bind(self)

    def service_actions(self) -> None:
        """Note that the accepting loop has run."""
        super().service_actions()
        self.last_accepting_at = time.monotonic()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Accept a connection, unless twice as many are open as there may be associations.

        Those between the limit and its double get an A-ASSOCIATE-RJ; beyond that, answering would cost too much.
        """
        peer = _address_and_port(client_address)
        associations = {
            (str(each.requestor.address), int(each.requestor.port or 0)) for each in self.active_associations
        }
        config = self.policy.config
        with self._connecting_lock:
            addresses = [address for address, _ in associations | self._connecting]
            accepted = (
                len(addresses) < 2 * config.max_associations and addresses.count(peer[0]) < 2 * config.max_per_peer
            )
            if accepted:
                self._connecting.add(peer)
        if not accepted:
            logger.warning("connection closed: too many are open", extra={"address": peer[0], "open": len(addresses)})
        return accepted

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection: the TLS handshake where this port has TLS, then pynetdicom's part."""
        try:
            if self.tls is not None:
                request.settimeout(ARTIM_SECONDS)
                request = self.tls.wrap_socket(request, server_side=True)
        except OSError as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
            extra = {"address": str(client_address[0]), "reason": reason}
            logger.warning("TLS handshake failed: the modality's certificate, version or port is wrong", extra=extra)
            self.shutdown_request(request)
        else:
            super().process_request_thread(request, client_address)
        finally:
            with self._connecting_lock:
                self._connecting.discard(_address_and_port(client_address))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log the traceback, which socketserver would print on stderr."""
        logger.exception("connection lost before an association began", extra={"address": str(client_address[0])})


def start_server(
    host: str,
    port: int,
    context: ServerContext,
    services: Sequence[Service],
    tls: ssl.SSLContext | None = None,
) -> DicomServer:
    """Start a server that runs each association in a thread of its own; raise PortUnavailable if it cannot listen.

    `port` 0 takes a free one, which is then in `server_address`. Servers that share a context share its limits.
    """
    # Identifiers hold patients' names, and must not be logged.
    _config.LOG_REQUEST_IDENTIFIERS = False
    _config.LOG_RESPONSE_IDENTIFIERS = False
    _config.LOG_HANDLER_LEVEL = "none"
    # A key may be longer than its VR allows, or hold characters it does not: it is compared, not refused.
    pydicom_config.settings.reading_validation_mode = pydicom_config.IGNORE
    pydicom_config.settings.writing_validation_mode = pydicom_config.IGNORE
    allow_attribute_list_in_n_create_rsp()
    config = context.policy.config
    entity = AE(ae_title=config.ae_title)
    for sop_class in (*(service.sop_class for service in services), Verification):
        entity.add_supported_context(sop_class, TRANSFER_SYNTAXES)
    entity.maximum_associations = 2 * config.max_associations  # the policy applies the limit
    entity.network_timeout = config.idle_seconds
    entity.acse_timeout = ARTIM_SECONDS
    handlers: list[Any] = [
        (evt.EVT_CONN_OPEN, _prepare_connection, [config.data_set_seconds]),
        (evt.EVT_CONN_CLOSE, _end_unrequested),
        (evt.EVT_REQUESTED, _admit, [context.policy]),
        (evt.EVT_SOP_EXTENDED, _answer_extended_negotiation, [services]),
        (evt.EVT_ESTABLISHED, _set_idle_timeout, [config.idle_seconds]),
        (evt.EVT_ACCEPTED, _log_association, ["accepted"]),
        (evt.EVT_ABORTED, _log_association, ["aborted"]),
        (evt.EVT_DIMSE_RECV, context.cancel_requests.record),
        (evt.EVT_DIMSE_RECV, blank_malformed_uids),
        (evt.EVT_C_ECHO, _answer_echo),
        *((operation, handler, [context]) for service in services for operation, handler in service.handlers),
    ]
    try:
        server = cast(DicomServer, entity.make_server((host, port), evt_handlers=handlers, server_class=DicomServer))
    except OSError as error:
        raise PortUnavailable(error.strerror or type(error).__name__) from None
    server.policy, server.tls = context.policy, tls
    server.last_accepting_at = time.monotonic()
    assert server.socket is not None  # noqa: S101 - it listens
    # pynetdicom lets five connections wait to be accepted; the sixth would be retried after a second.
    server.socket.listen(config.max_associations)
    serve_in_background(server)
    return server


def stop_server(*servers: DicomServer) -> None:
    """Free the ports, then abort all open associations at once, as one that does not read would hold up the others."""
    for server in servers:
        server.shutdown()
    associations = [association for server in servers for association in server.active_associations]
    aborts = [threading.Thread(target=_abort, args=[each], daemon=True) for each in associations]
    for abort in aborts:
        abort.start()
    deadline = time.monotonic() + STOP_SECONDS
    for abort in aborts:
        abort.join(max(0.0, deadline - time.monotonic()))


def is_accepting(*servers: DicomServer) -> bool:
    """Whether the accepting loop of every server still runs."""
    return all(time.monotonic() - server.last_accepting_at < ACCEPTING_LOOP_SECONDS for server in servers)


def requestor_of(event: evt.Event) -> Requestor:
    """The requestor of the event's association."""
    requestor = event.assoc.requestor
    request = requestor.primitive
    calling, called = (request.calling_ae_title, request.called_ae_title) if request else (requestor.ae_title, "")
    return Requestor(str(calling).strip(), str(called).strip(), str(requestor.address))


def _address_and_port(client_address: Any) -> tuple[str, int]:
    return str(client_address[0]), int(client_address[1])


def _prepare_connection(event: evt.Event, data_set_seconds: float) -> None:
    """Limit how long the socket waits, for a peer that stops in the middle of a PDU or does not read.

    TCP_NODELAY: Nagle's algorithm would delay each association by some 40 ms.
    """
    transport = event.assoc.dul.socket
    if transport and transport.socket:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        transport.socket.settimeout(ARTIM_SECONDS)
    adapt_association(event.assoc, data_set_seconds)


def _set_idle_timeout(event: evt.Event, idle_seconds: float) -> None:
    """Give an established association longer than one that has not yet been requested."""
    transport = event.assoc.dul.socket
    if transport and transport.socket:
        transport.socket.settimeout(idle_seconds)


def _end_unrequested(event: evt.Event) -> None:
    if event.assoc.requestor.primitive is None:
        end_threads(event.assoc)


def _abort(association: Association) -> None:
    """Send an A-ABORT, unless no association was requested: that state has none (PS3.8 table 9-10)."""
    if association.requestor.primitive is None:
        end_threads(association)
    else:
        association.abort()


def _admit(event: evt.Event, policy: AssociationPolicy) -> None:
    """Admit the association, or reject it and log the reason."""
    if not isinstance(event.assoc.requestor.primitive, A_ASSOCIATE):
        return  # the requestor has already gone
    requestor = requestor_of(event)
    extra = {"calling_ae_title": requestor.calling_ae_title, "address": requestor.address}
    rejection = policy.admit(event.assoc, requestor)
    if rejection is None:
        if policy.warns_of(requestor.calling_ae_title):
            logger.warning("this AE title is not a configured modality", extra=extra)
        return
    extra |= {"called_ae_title": requestor.called_ae_title, "reason": rejection.sentence}
    logger.warning("association rejected", extra=extra)
    event.assoc.acse.send_reject(rejection.result, rejection.source, rejection.reason)
    event.assoc.kill()


def _answer_extended_negotiation(event: evt.Event, services: Sequence[Service]) -> dict[UID, bytes]:
    """Answer an offered extended negotiation in as many bytes as it has (PS3.4 section K.5.1.2)."""
    answers = {}
    for service in services:
        offered = event.assoc.requestor.sop_class_extended.get(UID(service.sop_class), b"")
        if offered and service.extended_negotiation is not None:
            answers[UID(service.sop_class)] = service.extended_negotiation.ljust(len(offered), b"\0")[: len(offered)]
    return answers


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
