"""Receive images from the machines over DICOM (C-STORE) until SIGTERM or SIGINT."""

import logging
import ssl
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.checks import GATEWAY
from core.daemon import exit_process, stop_event
from core.heartbeat import BEAT_SECONDS, HeartbeatWriter
from dicom.server import DicomServer, PortUnavailable, is_accepting, stop_server
from dicom.tls import server_context
from images.configuration import RECEIVING
from images.scp import image_context, start_image_server
from images.spool import Spool
from images.storage import ImageContext

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until a signal; exit with status 2 if a port or the spool is unavailable."""
        context = image_context()
        _prepare(context.spool)
        with stop_event() as stopping:
            servers = _start_servers(context)
            heartbeat = HeartbeatWriter("image_scp", RECEIVING, watchdog=True).start()
            while not stopping.is_set():
                if is_accepting(*servers):  # this loop still running does not prove that the servers are
                    heartbeat.keep_alive()
                last_received_at = context.last_received_at and context.last_received_at.isoformat(timespec="seconds")
                associations = context.policy.open_associations()
                heartbeat.set_state(RECEIVING, associations=associations, last_received_at=last_received_at)
                stopping.wait(BEAT_SECONDS)
            stop_server(*servers)
            heartbeat.stop(patience=2)
        logger.info("image SCP stopped")
        exit_process()  # a peer that does not read would keep its thread, and with it this process, alive for a while


def _prepare(spool: Spool) -> None:
    """Make the spool's folders, and delete what a killed process was receiving."""
    try:
        spool.prepare()
        spool.clear_incoming()
    except OSError as error:
        raise CommandError(
            f"Images cannot be written to {spool.root} ({error.strerror}). Set IMAGE_SPOOL_DIR to another folder",
            returncode=2,
        ) from None


def _start_servers(context: ImageContext) -> list[DicomServer]:
    """Start a server on each configured port; CommandError with exit status 2 if one is unavailable."""
    ports: list[tuple[str, int, ssl.SSLContext | None]] = []
    if settings.IMAGE_PORT:
        ports.append(("IMAGE_PORT", settings.IMAGE_PORT, None))
    if settings.IMAGE_TLS_PORT:
        files = (settings.IMAGE_TLS_CERTIFICATE_PATH, settings.IMAGE_TLS_KEY_PATH, settings.IMAGE_TLS_CLIENT_CA_PATH)
        ports.append(("IMAGE_TLS_PORT", settings.IMAGE_TLS_PORT, server_context(*files)))
    servers: list[DicomServer] = []
    for setting, port, tls in ports:
        try:
            server = start_image_server(settings.IMAGE_HOST, port, context, tls)
        except PortUnavailable as reason:
            stop_server(*servers)
            raise CommandError(
                f"The image SCP cannot listen on {settings.IMAGE_HOST}:{port} ({reason}). "
                f"Set {setting} to another port",
                returncode=2,
            ) from None
        servers.append(server)
        address = {"host": settings.IMAGE_HOST, "port": server.server_address[1], "tls": tls is not None}
        logger.info("listening", extra={"ae_title": settings.IMAGE_AE_TITLE, **address})
    return servers
