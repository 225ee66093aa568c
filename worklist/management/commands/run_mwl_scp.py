"""Answer modalities' worklist queries and MPPS reports over DICOM until SIGTERM or SIGINT."""

import logging
from typing import Any

from django.core.management.base import BaseCommand

from core.checks import GATEWAY
from core.daemon import exit_process, stop_event
from core.database import LentConnections
from core.heartbeat import HeartbeatWriter
from dicom.association_policy import AssociationPolicy
from dicom.configured_ports import serve_until, start_servers
from dicom.modality_directory import ModalityDirectory
from worklist.configuration import LISTENING, server_config
from worklist.performed_step.abandoned_steps import abandoned_steps_check
from worklist.query.find import WorklistContext
from worklist.scp import start_worklist_server
from worklist.services.create_test_item import old_test_items_check

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve until a signal; exit with status 2 if a port is unavailable."""
        connections = LentConnections()
        policy = AssociationPolicy(server_config(), ModalityDirectory(connection=connections.lent))
        context = WorklistContext(policy, connections.lent)
        with stop_event() as stopping:
            servers = start_servers(
                "MWL", "The worklist", lambda host, port, tls: start_worklist_server(host, port, context, tls)
            )
            context.deliveries.start()
            abandoned_steps_check(stopping).start()
            old_test_items_check(stopping).start()
            heartbeat = HeartbeatWriter("mwl_scp", LISTENING, watchdog=True).start()

            def report() -> None:
                last_query_at = context.last_query_at and context.last_query_at.isoformat(timespec="seconds")
                heartbeat.set_state(LISTENING, associations=policy.open_associations(), last_query_at=last_query_at)

            serve_until(stopping, servers, heartbeat, report, connections)
            context.deliveries.stop()
            heartbeat.stop(patience=2)
        logger.info("worklist SCP stopped")
        exit_process()  # a peer that does not read would keep its thread, and with it this process, alive for a while
