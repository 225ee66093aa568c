"""Owns the listening socket and what comes out of it, before there is an association: TLS, limits, deadlines.

pynetdicom greets one TLS client after another in the thread that accepts, reads a PDU of any length for any time, and
leaves a socket open that the other end has reset. None of that is so here.
"""

import logging
import ssl
import threading
import time
from typing import Any

from pynetdicom.transport import AssociationSocket, ThreadedAssociationServer

from dicom.association_policy import AssociationPolicy

logger = logging.getLogger(__name__)

GREETING_SECONDS = 10.0  # for TLS, and then for the association request
#: pynetdicom collects garbage after each 60 connections, which costs more than those do.
ROUNDS_BETWEEN_COLLECTIONS = 600
#: PDUs are offered 16 KiB (PS3.8 annex D.1); a proper association request is far shorter than this.
LONGEST_PDU = 1 << 20


class Listener(ThreadedAssociationServer):
    """A DICOM port, in the clear or with TLS."""

    daemon_threads = True  # whoever stops does not wait for a handshake
    policy: AssociationPolicy
    tls: ssl.SSLContext | None = None
    #: When the accepting loop last went round, on the monotonic clock.
    turned_at = float("-inf")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._arriving: set[tuple[str, int]] = set()
        self._arriving_lock = threading.Lock()
        super().__init__(*args, **kwargs)
        self._gc = [0, ROUNDS_BETWEEN_COLLECTIONS]

    def service_actions(self) -> None:
        """Called each time that the accepting loop goes round."""
        super().service_actions()
        self.turned_at = time.monotonic()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Take a connection, unless there are twice as many as there may be associations: then nobody could answer.

        Up to that number those who are too many are told so by an A-ASSOCIATE-RJ.
        """
        peer = _peer(client_address)
        associations = {
            (str(each.requestor.address), int(each.requestor.port or 0)) for each in self.active_associations
        }
        with self._arriving_lock:
            addresses = [address for address, _ in associations | self._arriving]
            fits = len(addresses) < 2 * self.policy.config.max_associations
            fits = fits and addresses.count(peer[0]) < 2 * self.policy.config.max_per_peer
            if fits:
                self._arriving.add(peer)
        if not fits:
            logger.warning("connection closed: too many are open", extra={"address": peer[0], "open": len(addresses)})
        return fits

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, in a thread of its own: the handshake, then pynetdicom's part."""
        try:
            if secured := self._secured(request, client_address):
                super().process_request_thread(secured, client_address)
        finally:
            with self._arriving_lock:
                self._arriving.discard(_peer(client_address))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """socketserver would print the traceback on stderr."""
        logger.exception("connection lost before an association began", extra={"address": str(client_address[0])})

    def _secured(self, request: Any, client_address: Any) -> Any:
        """The connection, with TLS around it where this port has it; None where the handshake failed."""
        if self.tls is None:
            return request
        try:
            request.settimeout(GREETING_SECONDS)
            return self.tls.wrap_socket(request, server_side=True)
        except OSError as error:
            reason = error.reason if isinstance(error, ssl.SSLError) else type(error).__name__
            extra = {"address": str(client_address[0]), "reason": reason}
            logger.warning("TLS handshake failed: the modality's certificate, version or port is wrong", extra=extra)
            self.shutdown_request(request)
            return None


def _peer(client_address: Any) -> tuple[str, int]:
    return str(client_address[0]), int(client_address[1])


class Transport(AssociationSocket):
    """A connection on which no PDU is longer, or takes longer, than a proper one."""

    def recv(self, nr_bytes: int) -> bytearray:
        """So many bytes, or fewer when the other end closes; OSError ends the association."""
        if nr_bytes > LONGEST_PDU:
            raise OSError("a PDU is too long")
        assert self.socket is not None  # noqa: S101 - pynetdicom reads where there is one
        deadline = time.monotonic() + (self.socket.gettimeout() or GREETING_SECONDS)
        read = bytearray()
        while len(read) < nr_bytes:
            if time.monotonic() > deadline:
                raise TimeoutError("a PDU takes too long")
            part = self.socket.recv(nr_bytes - len(read))
            if not part:
                break
            read += part
        return read

    def _shutdown_socket(self) -> None:
        """Close it even where it cannot be shut down, as the other end has reset it."""
        connection = self.socket
        super()._shutdown_socket()
        if connection is not None:
            connection.close()
