"""Listen on the hybrid connection and execute the actions it receives, until SIGTERM or SIGINT.

The first signal lets the connected senders finish; a second one stops at once. SIGHUP replaces the control channel by a
new one without a gap.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand

from core.checks import GATEWAY
from core.daemon import Signals, exit_process
from core.database import LentConnections
from core.heartbeat import BEAT_SECONDS, HeartbeatWriter
from relay.configuration import configured_listener
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.status import ListenerState, ListenerStatus

logger = logging.getLogger(__name__)

#: How long a database connection is kept for the next action.
IDLE_SECONDS = 5.0


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.connections = LentConnections()

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(self.listen())

    def listener(self, on_status: Callable[[ListenerStatus], None]) -> Listener:
        """Build the listener from the settings."""
        return configured_listener(on_status, self.connections.lent)

    async def close_idle_connections(self) -> None:
        """Close the database connections that no action has used for a while, for ever."""
        while True:
            await asyncio.sleep(IDLE_SECONDS)
            await asyncio.to_thread(self.connections.close_idle, IDLE_SECONDS)

    async def listen(self) -> None:
        """Run the listener: signals stop it, and the heartbeat reports its status."""
        heartbeat = HeartbeatWriter("relay_listener", ListenerState.CONNECTING, watchdog=True).start()
        listener = self.listener(lambda status: heartbeat.set_state(status.state, **details_of(status)))
        signals = Signals.of_loop(reload=listener.replace_channel)
        feeding = asyncio.create_task(keep_alive(heartbeat), name="heartbeat-watchdog")
        closing = asyncio.create_task(self.close_idle_connections(), name="idle-connections")
        await listener.run(signals.stopping, signals.aborting)
        feeding.cancel()
        closing.cancel()
        await asyncio.to_thread(self.connections.close_idle)
        heartbeat.stop(patience=1 if signals.aborting.is_set() else 2)
        logger.info("listener stopped")
        exit_process()


def details_of(status: ListenerStatus) -> dict[str, Any]:
    """Return everything but the state, ready for JSON: times are ISO 8601 in UTC."""
    return {
        "why": status.why,
        "online_since": _iso(status.online_since),
        "last_accept_at": _iso(status.last_accept_at),
        "last_echo_at": _iso(status.last_echo_at),
        "last_echo_ms": status.last_echo_ms,
        "echo": status.echo,
        "echoes": status.echoes,
        "renewals": status.renewals,
        "reconnects": status.reconnects,
    }


async def keep_alive(heartbeat: HeartbeatWriter) -> None:
    """Reset the heartbeat's watchdog for ever: it expires when this event loop hangs, and the listener with it."""
    while True:
        heartbeat.keep_alive()
        await asyncio.sleep(BEAT_SECONDS)


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
