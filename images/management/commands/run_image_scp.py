"""Receive images from the machines over DICOM (C-STORE) until SIGTERM or SIGINT."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from core.checks import GATEWAY
from core.daemon import exit_process, stop_event
from core.database import LentConnections
from core.heartbeat import HeartbeatWriter
from core.regular_check import RegularCheck
from dicom.configured_ports import serve_until, start_servers
from images.configuration import DISK_FAILS, RECEIVING
from images.scp import image_context, start_image_server
from images.spool import Spool

logger = logging.getLogger(__name__)

#: How often the disk is looked at: a machine should not be the first to find out that it fails.
DISK_SECONDS = 30.0
#: How much less urgent than the worklist's answers an image is, as `nice` counts.
NICENESS = 10


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until a signal; exit with status 2 if a port or the spool is unavailable."""
        if sys.platform != "win32":
            os.nice(NICENESS)  # before any thread begins, which inherits it
        connections = LentConnections()
        context = image_context(connections.lent)
        left_behind = _prepare(context.spool)
        with stop_event() as stopping:
            servers = start_servers(
                "IMAGE", "The image SCP", lambda host, port, tls: start_image_server(host, port, context, tls)
            )
            for path in left_behind:  # only now: while another server has the port, they are what it is receiving
                path.unlink(missing_ok=True)
            # In a thread, as a disk that fails may not answer for a long time.
            RegularCheck("disk of the images", context.check_disk, DISK_SECONDS, stopping).start()
            heartbeat = HeartbeatWriter("image_scp", RECEIVING, watchdog=True).start()

            def report() -> None:
                last_received_at = context.last_received_at and context.last_received_at.isoformat(timespec="seconds")
                heartbeat.set_state(
                    DISK_FAILS if context.disk_problem else RECEIVING,
                    why=context.disk_problem,
                    associations=context.policy.open_associations(),
                    last_received_at=last_received_at,
                    refused=dict(context.refused),
                )

            serve_until(stopping, servers, heartbeat, report, connections)
            heartbeat.stop(patience=2)
        logger.info("image SCP stopped")
        exit_process()  # a peer that does not read would keep its thread, and with it this process, alive for a while


def _prepare(spool: Spool) -> list[Path]:
    """Make the spool's folders; return what a killed process has left in them half received."""
    try:
        spool.prepare()
        return spool.half_received()
    except OSError as error:
        raise CommandError(
            f"Images cannot be written to {spool.root} ({error.strerror}). Set IMAGE_SPOOL_DIR to another folder",
            returncode=2,
        ) from None
