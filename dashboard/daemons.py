"""Describe the relay listener and the worklist server by their heartbeats, and Manage's last action.

Several processes may run in one role. The best of them counts: one in a working state, or else the one with the latest
heartbeat. A daemon that is not in a working state is a problem. The daemons for images are in dashboard/images.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from core.concerns import Severity
from core.heartbeat import DAEMONS, STALE_AFTER, is_working
from core.models import Heartbeat
from relay.hybrid_connection.status import ListenerState
from relay.models import FAILURES, ReceivedAction
from worklist.configuration import LISTENING

LISTENER, SERVER = "relay_listener", "mwl_scp"


class StateWords(NamedTuple):
    """A daemon's state in words, and what to do about it."""

    severity: Severity
    words: str
    what_to_do: str = ""


#: State in the heartbeat → its words; "" without a living process.
RELAY_WORDS: Mapping[str, StateWords] = {
    ListenerState.ONLINE: StateWords(Severity.OK, "Connected"),
    ListenerState.CONNECTING: StateWords(
        Severity.PROBLEM, "Connecting", "It connects automatically. This usually takes a few seconds."
    ),
    ListenerState.SUSPECT: StateWords(
        Severity.PROBLEM,
        "Connected, but nothing arrives",
        "It opens another connection automatically. If this lasts for more than 2 minutes, call support.",
    ),
    ListenerState.OFFLINE: StateWords(
        Severity.PROBLEM,
        "Not connected",
        "New women do not reach the machines; women already listed stay listed. It tries again automatically. "
        "Support: run manage.py probe_relay to find the cause.",
    ),
    "": StateWords(
        Severity.PROBLEM,
        "Not running",
        "New women do not reach the machines; women already listed stay listed. Support: start run_relay_listener.",
    ),
}
WORKLIST_WORDS = {
    LISTENING: StateWords(Severity.OK, "Working"),
    "": StateWords(
        Severity.PROBLEM,
        "Not running",
        "The machines get no worklist. Enter women’s details at the machine. Support: start run_mwl_scp.",
    ),
}


#: The listener's `echo` detail → why it sends no echoes.
NO_ECHO = {"off": "none, they are switched off", "forbidden": "not possible, the listener has no Send right"}


@dataclass(frozen=True)
class DaemonStatus:
    """A daemon's state. `since` is when the state began; without a living process, when the last one was alive."""

    severity: Severity
    state: str
    words: str
    what_to_do: str
    since: datetime | None
    processes: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def why(self) -> str:
        return str(self.details.get("why") or "")

    @property
    def online_since(self) -> datetime | None:
        return _parsed(self.details.get("online_since"))

    @property
    def can_echo(self) -> bool | None:
        """Return whether the listener sends echoes and has the right to; None when no listener is running."""
        return not self.why_no_echo if self.processes else None

    @property
    def why_no_echo(self) -> str:
        """Return why the listener sends no echoes; empty if it does."""
        return NO_ECHO.get(str(self.details.get("echo")), "")

    @property
    def last_echo_at(self) -> datetime | None:
        return _parsed(self.details.get("last_echo_at"))

    @property
    def last_echo_ms(self) -> int | None:
        return self.details.get("last_echo_ms")

    @property
    def associations(self) -> int:
        """Return how many associations the worklist server has open."""
        return int(self.details.get("associations") or 0)


def _parsed(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def heartbeats() -> list[Heartbeat]:
    """Return the last heartbeats of all daemons, the latest first."""
    return list(Heartbeat.objects.filter(role__in=list(DAEMONS)).order_by("-beat_at"))


def relay_listener(beats: Iterable[Heartbeat], now: datetime) -> DaemonStatus:
    """Describe the connection to Manage."""
    return daemon_status(LISTENER, RELAY_WORDS, ListenerState.OFFLINE, beats, now)


def worklist_server(beats: Iterable[Heartbeat], now: datetime) -> DaemonStatus:
    """Describe the worklist server."""
    return daemon_status(SERVER, WORKLIST_WORDS, "", beats, now)


def daemon_status(
    role: str, words: Mapping[str, StateWords], unknown: str, beats: Iterable[Heartbeat], now: datetime
) -> DaemonStatus:
    """Describe the best process of a role; a state without words is described as the state `unknown`."""
    ours = sorted((beat for beat in beats if beat.role == role), key=lambda beat: beat.beat_at, reverse=True)
    living = [beat for beat in ours if beat.beat_at >= now - STALE_AFTER]
    if not living:
        severity, shown, what_to_do = words[""]
        return DaemonStatus(severity, "", shown, what_to_do, ours[0].beat_at if ours else None)
    best = next(filter(is_working, living), living[0])
    severity, shown, what_to_do = words.get(best.state, words[unknown])
    return DaemonStatus(severity, best.state, shown, what_to_do, best.state_since, len(living), best.details)


@dataclass(frozen=True)
class LastAction:
    """The last action that came from Manage."""

    at: datetime
    action_type: str
    outcome: str

    @property
    def failed(self) -> bool:
        """Tell whether it was refused or failed."""
        return self.outcome in FAILURES


def last_action() -> LastAction | None:
    """Return the last action that came from Manage."""
    row = ReceivedAction.objects.values("received_at", "action_type", "outcome").first()
    return LastAction(row["received_at"], row["action_type"], row["outcome"]) if row else None
