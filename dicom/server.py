"""Serve DICOM services over TCP and TLS: listen, accept connections, start and stop (PS3.8).

A connection passes three gates:

1. The thread that accepts it closes it at once when twice the permitted number are open.
2. TLS, on a port that has it, within ARTIM_SECONDS, in the connection's own thread (`association.py`).
3. `AssociationPolicy.admit` answers its A-ASSOCIATE-RQ, which must also arrive within ARTIM_SECONDS.

What an admitted association requests goes to the handlers of the `Service` it belongs to.
"""

import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from dicom.association import IMPLEMENTATION, Association, ServerContext
from dicom.association_policy import AssociationPolicy
from dicom.service import Request, Response, Service
from dicom.upper_layer.acceptor import Limits
from dicom.upper_layer.dimse import CommandField, NullSink
from dicom.upper_layer.negotiation import Negotiator, Offer

__all__ = ["DicomServer", "PortUnavailable", "ServerContext", "is_accepting", "start_server", "stop_server"]

logger = logging.getLogger(__name__)

#: How long a connection may take for TLS, and then for its association request (PS3.8 section 9.1.5).
ARTIM_SECONDS = 10.0
STOP_SECONDS = 3.0
#: The accepting loop runs at least this often, in seconds; if it has not run for the longer time, it hangs.
ACCEPT_SECONDS, ACCEPTING_LOOP_SECONDS = 2.0, 10.0


class PortUnavailable(Exception):
    """The server cannot listen on this host and port; the text is the operating system's reason."""


def _answer_echo(request: Request, _: ServerContext) -> Response:
    logger.info("echo answered", extra={"calling_ae_title": request.requestor.calling_ae_title})
    return Response(0x0000)


VERIFICATION = Service("1.2.840.10008.1.1", {CommandField.C_ECHO_RQ: _answer_echo}, sink_for=lambda *_: NullSink())


class DicomServer:
    """A DICOM port, with or without TLS: accepts connections, and gives each a thread."""

    def __init__(
        self,
        listener: socket.socket,
        context: ServerContext,
        services: Sequence[Service],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.server_address: tuple[str, int] = listener.getsockname()[:2]
        #: When the accepting loop last ran, on the monotonic clock.
        self.last_accepting_at = time.monotonic()
        self._listener = listener
        self._context = context
        self._services = [*services, VERIFICATION]
        self._negotiator = Negotiator(
            [
                Offer(each.sop_class, each.transfer_syntaxes, each.handlers.keys(), each.extended_negotiation)
                for each in self._services
            ],
            replace(IMPLEMENTATION, maximum_length=context.policy.config.max_pdu_bytes),
        )
        self._tls = tls
        self._is_stopping = False
        self._associations: set[Association] = set()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept_all, name="dicom-accept", daemon=True)
        self._thread.start()

    @property
    def policy(self) -> AssociationPolicy:
        """Which associations are admitted."""
        return self._context.policy

    @property
    def associations(self) -> list[Association]:
        """The connections that have not ended."""
        with self._lock:
            return list(self._associations)

    def close_port(self) -> None:
        """Accept no more connections, and free the port."""
        self._is_stopping = True
        with suppress(OSError):  # not every system can wake the loop in this way; it wakes every ACCEPT_SECONDS anyway
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(ACCEPT_SECONDS + 1)
        self._listener.close()

    def _accept_all(self) -> None:
        self._listener.settimeout(ACCEPT_SECONDS)
        while not self._is_stopping:
            self.last_accepting_at = time.monotonic()
            try:
                connection, address = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as error:
                if not self._is_stopping:  # too many open files, for one
                    logger.warning("connection not accepted", extra={"error": type(error).__name__})
                    time.sleep(0.1)
                continue
            try:
                self._serve(connection, (str(address[0]), int(address[1])))
            except Exception:  # the outermost edge of the loop: it must go on
                logger.exception("connection lost before an association began", extra={"address": str(address[0])})
                connection.close()

    def _serve(self, connection: socket.socket, address: tuple[str, int]) -> None:
        """Give the connection a thread, unless twice as many are open as there may be associations.

        Those between the limit and its double get an A-ASSOCIATE-RJ; beyond that, answering would cost too much.
        """
        config = self._context.policy.config
        limits = Limits(
            artim=ARTIM_SECONDS,
            idle=config.idle_seconds,
            patience=config.data_set_seconds,
            bytes_per_second=config.min_bytes_per_second,
            maximum_length=config.max_pdu_bytes,
            data_set_length=config.max_data_set_bytes,
        )
        association = Association(
            connection, address, self._context, self._services, self._negotiator, limits, self._tls, self._forget
        )
        with self._lock:
            addresses = [each.address[0] for each in self._associations]
            is_accepted = (
                len(addresses) < 2 * config.max_associations and addresses.count(address[0]) < 2 * config.max_per_peer
            )
            if is_accepted:
                self._associations.add(association)
        if is_accepted:
            try:
                association.start()
            except RuntimeError:  # the system has no more threads
                self._forget(association)
                raise
            return
        logger.warning("connection closed: too many are open", extra={"address": address[0], "open": len(addresses)})
        connection.close()

    def _forget(self, association: Association) -> None:
        with self._lock:
            self._associations.discard(association)


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
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    config = context.policy.config
    try:
        listener = socket.create_server(
            (host, port), family=family, backlog=config.max_associations, reuse_port=config.shares_port
        )
    except OSError as error:
        raise PortUnavailable(os.strerror(error.errno) if error.errno else type(error).__name__) from None
    except ValueError:
        raise PortUnavailable("this system cannot share a port between processes") from None
    return DicomServer(listener, context, services, tls)


def stop_server(*servers: DicomServer) -> None:
    """Free the ports, then abort all open associations at once, as one that does not read would hold up the others."""
    for server in servers:
        server.close_port()
    associations = [association for server in servers for association in server.associations]
    for association in associations:
        association.stop()
    deadline = time.monotonic() + STOP_SECONDS
    for association in associations:
        association.join(max(0.0, deadline - time.monotonic()))
        if association.is_alive():
            association.cut()


def is_accepting(*servers: DicomServer) -> bool:
    """Whether the accepting loop of every server still runs."""
    return all(time.monotonic() - server.last_accepting_at < ACCEPTING_LOOP_SECONDS for server in servers)
