"""Owns what a listener says of itself. Pure."""

from dataclasses import dataclass

CONNECTING, ONLINE, SUSPECT, OFFLINE = "connecting", "online", "suspect", "offline"


@dataclass(frozen=True)
class Status:
    """One moment of a listener. Times in Unix seconds.

    `state` is `connecting` until the first try has ended, then `online`, `suspect` (its channel is open, and nothing is
    dispatched to it: the next one is being opened), or `offline`; `why` is told with the last two. `echo` is `off`,
    `forbidden` (no Send right), or what became of the last of so many `echoes`. An accept that was an echo of the
    listener's own is no accept here.
    """

    state: str = CONNECTING
    why: str = ""
    online_since: float | None = None
    last_accept_at: float | None = None
    last_echo_at: float | None = None
    last_echo_ms: int | None = None
    echo: str = ""
    echoes: int = 0
    renewals: int = 0
    reconnects: int = 0
