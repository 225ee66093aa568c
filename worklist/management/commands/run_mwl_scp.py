"""Answers modalities' worklist queries over DICOM, until SIGTERM or SIGINT."""

import logging
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.daemon import stop_event
from core.health import Pulse
from worklist.scp.server import PortTaken, start_server, stop_server

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """`python manage.py run_mwl_scp`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop; exit 2 when the port is taken."""
        host, port, ae_title = settings.MWL_HOST, settings.MWL_PORT, settings.MWL_AE_TITLE
        with stop_event() as stopping:
            try:
                server = start_server(host, port, ae_title, settings.MWL_MAX_ASSOCIATIONS)
            except PortTaken as reason:
                problem = f"The worklist cannot listen on {host}:{port} ({reason}); another port goes in MWL_PORT"
                raise CommandError(problem, returncode=2) from None
            pulse = Pulse("mwl_scp", "listening").start()
            logger.info("listening", extra={"ae_title": ae_title, "host": host, "port": server.server_address[1]})
            stopping.wait()
            stop_server(server)
            pulse.stop()
        logger.info("worklist SCP stopped")
