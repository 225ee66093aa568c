"""Listen on the hybrid connection and execute the actions it receives, until SIGTERM or SIGINT.

The first signal lets the connected senders finish; a second one stops at once. SIGHUP replaces the control channel by a
new one without a gap.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand

from core.daemon import Signals, exit_process
from core.heartbeat import HeartbeatWriter
from relay.configuration import configured_listener
from relay.heartbeat import details_of, keep_alive
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.status import ListenerState, ListenerStatus

logger = logging.getLogger(__name__)


class Command(BaseCommand):
    """`python manage.py run_relay_listener`"""

    help = __doc__

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(self.listen())

    def listener(self, on_status: Callable[[ListenerStatus], None]) -> Listener:
        """Build the listener from the settings."""
        return configured_listener(on_status)

    async def listen(self) -> None:
        """Run the listener: signals stop it, and the heartbeat reports its status."""
        heartbeat = HeartbeatWriter("relay_listener", ListenerState.CONNECTING, watchdog=True).start()
        listener = self.listener(lambda status: heartbeat.set_state(status.state, **details_of(status)))
        signals = Signals.of_loop(reload=listener.replace_channel)
        feeding = asyncio.create_task(keep_alive(heartbeat), name="heartbeat-watchdog")
        await listener.run(signals.stopping, signals.aborting)
        feeding.cancel()
        heartbeat.stop(patience=1 if signals.aborting.is_set() else 2)
        logger.info("listener stopped")
        exit_process()
