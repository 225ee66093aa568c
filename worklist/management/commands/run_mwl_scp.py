"""Answers modalities' worklist queries and their reports (MPPS) over DICOM, until SIGTERM or SIGINT."""

import logging
import ssl
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.daemon import leave, stop_event
from core.health import BEAT_SECONDS, Pulse
from dicom.association_policy import AssociationPolicy
from dicom.listener import Listener
from dicom.server import PortTaken, stop_server, takes_connections
from dicom.tls import server_context
from worklist.configuration import server_config
from worklist.performed_step.abandoned_steps import AbandonedStepsCheck
from worklist.query.find import WorklistContext
from worklist.scp import start_worklist_server

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """`python manage.py run_mwl_scp`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until told to stop; exit 2 when a port is taken."""
        context = WorklistContext(AssociationPolicy(server_config()))
        with stop_event() as stopping:
            servers = _servers(context)
            context.deliveries.start()
            AbandonedStepsCheck(stopping).start()
            pulse = Pulse("mwl_scp", "listening", must_be_fed=True).start()
            while not stopping.is_set():
                _tell(pulse, context, servers)
                stopping.wait(BEAT_SECONDS)
            stop_server(*servers)
            context.deliveries.stop()
            pulse.stop(patience=2)
        logger.info("worklist SCP stopped")
        leave()  # a connection that nobody reads at the other end would keep its thread, and this process, for a while


def _servers(context: WorklistContext) -> list[Listener]:
    """A server on each port that is on; CommandError with exit status 2 where one cannot be had."""
    servers: list[Listener] = []
    for name, port, tls in _ports():
        try:
            server = start_worklist_server(settings.MWL_HOST, port, context, tls)
        except PortTaken as reason:
            stop_server(*servers)
            address = f"{settings.MWL_HOST}:{port}"
            problem = f"The worklist cannot listen on {address} ({reason}); another port goes in {name}"
            raise CommandError(problem, returncode=2) from None
        servers.append(server)
        where = {"host": settings.MWL_HOST, "port": server.server_address[1], "tls": tls is not None}
        logger.info("listening", extra={"ae_title": settings.MWL_AE_TITLE, **where})
    return servers


def _ports() -> Iterator[tuple[str, int, ssl.SSLContext | None]]:
    """The name of the setting, the port and its TLS, of each port that is on."""
    if settings.MWL_PORT:
        yield "MWL_PORT", settings.MWL_PORT, None
    if settings.MWL_TLS_PORT:
        files = (settings.MWL_TLS_CERTIFICATE_PATH, settings.MWL_TLS_KEY_PATH, settings.MWL_TLS_CLIENT_CA_PATH)
        yield "MWL_TLS_PORT", settings.MWL_TLS_PORT, server_context(*files)


def _tell(pulse: Pulse, context: WorklistContext, servers: list[Listener]) -> None:
    """Say how it goes, as long as the accepting loops go round: this thread alone would prove nothing."""
    if takes_connections(*servers):
        pulse.feed()
    pulse.set_state(
        "listening", associations=context.policy.open_associations(), last_query_at=_text(context.last_query_at)
    )


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
