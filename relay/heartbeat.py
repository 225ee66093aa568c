"""Write the listener's status to its heartbeat."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from core.heartbeat import BEAT_SECONDS, HeartbeatWriter
from relay.hybrid_connection.status import ListenerStatus


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
