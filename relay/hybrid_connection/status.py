"""A listener's state, as it reports it through `on_status`. Pure: no socket, no event loop."""

from dataclasses import dataclass
from enum import StrEnum


class ListenerState(StrEnum):
    """Whether senders can reach the listener."""

    CONNECTING = "connecting"
    """It has not finished its first attempt yet."""
    ONLINE = "online"
    """Its control channel is open."""
    SUSPECT = "suspect"
    """Its control channel is open, but echoes no longer arrive on it; a new channel is being opened."""
    OFFLINE = "offline"
    """It has no control channel, or was stopped."""


@dataclass(frozen=True)
class ListenerStatus:
    """A snapshot of a listener. Times are Unix seconds.

    `why` explains SUSPECT and OFFLINE. `echo` is the outcome of the last of `echoes` echoes (`here`, `elsewhere`,
    `missed` or `forbidden`), `off` when the listener sends none, empty before the first. `last_accept_at` ignores
    the listener's own echoes.
    """

    state: ListenerState = ListenerState.CONNECTING
    why: str = ""
    online_since: float | None = None
    last_accept_at: float | None = None
    last_echo_at: float | None = None
    last_echo_ms: int | None = None
    echo: str = ""
    echoes: int = 0
    renewals: int = 0
    reconnects: int = 0
