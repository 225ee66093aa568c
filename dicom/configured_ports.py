"""Start a DICOM server on each port that the settings name, without TLS and with it, and serve until a signal."""

import logging
import ssl
import threading
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from core.database import LentConnections, import_driver
from core.heartbeat import BEAT_SECONDS, HeartbeatWriter
from dicom.checks import TLS_FILES
from dicom.server import DicomServer, PortUnavailable, is_accepting, stop_server
from dicom.tls import server_context

logger = logging.getLogger(__name__)

#: How long a database connection is kept for the next request: a modality asks for its list every minute, and the
#: images of one woman come within minutes.
IDLE_SECONDS = 65.0
#: Starts a server on a host and a port, with TLS if there is a context.
Start = Callable[[str, int, ssl.SSLContext | None], DicomServer]


def start_servers(prefix: str, what: str, start: Start) -> list[DicomServer]:
    """Start a server on each configured port; CommandError with exit status 2 if one is unavailable.

    `prefix` is what the names of the settings begin with, MWL or IMAGE, and `what` names the server in the error.
    """
    import_driver()  # no modality should wait for that, and be told that the database is not available

    def setting(name: str) -> Any:
        return getattr(settings, f"{prefix}_{name}")

    ports: list[tuple[str, ssl.SSLContext | None]] = []
    if setting("PORT"):
        ports.append(("PORT", None))
    if setting("TLS_PORT"):
        ports.append(("TLS_PORT", server_context(*map(setting, TLS_FILES))))
    host = setting("HOST")
    servers: list[DicomServer] = []
    for name, tls in ports:
        port = setting(name)
        try:
            server = start(host, port, tls)
        except PortUnavailable as reason:
            stop_server(*servers)
            raise CommandError(
                f"{what} cannot listen on {host}:{port} ({reason}). Set {prefix}_{name} to another port", returncode=2
            ) from None
        servers.append(server)
        address = {"host": host, "port": server.server_address[1], "tls": tls is not None}
        logger.info("listening", extra={"ae_title": setting("AE_TITLE"), **address})
    return servers


def serve_until(
    stopping: threading.Event,
    servers: list[DicomServer],
    heartbeat: HeartbeatWriter,
    report: Callable[[], None],
    connections: LentConnections,
) -> None:
    """Serve until `stopping` is set, then stop the servers. `report` is called at each beat, to set its state."""
    while not stopping.is_set():
        if is_accepting(*servers):  # this loop still running does not prove that the servers are
            heartbeat.keep_alive()
        report()
        connections.close_idle(IDLE_SECONDS)
        stopping.wait(BEAT_SECONDS)
    stop_server(*servers)
    connections.close_idle()
