"""Owns what is told of the two daemons: the relay listener and the worklist server, by their heartbeats."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from core.heartbeat import STALE_AFTER, is_working
from core.models import Heartbeat
from dashboard.severity import Level
from relay.models import FAILURES, ReceivedAction

LISTENER, SERVER = "relay_listener", "mwl_scp"


class Said(NamedTuple):
    """A state in words, and what to do about it."""

    level: Level
    words: str
    what_to_do: str = ""


#: State of the heartbeat → what is said of the listener; "" without any heartbeat.
RELAY = {
    "online": Said(Level.OK, "Connected"),
    "connecting": Said(Level.WARNING, "Connecting", "It tries by itself; this takes a few seconds."),
    "suspect": Said(
        Level.WARNING,
        "Connected, but nothing arrives",
        "It opens another connection by itself. If this lasts for more than two minutes, call support.",
    ),
    "offline": Said(
        Level.PROBLEM,
        "Not connected",
        "New women do not reach the machines; those that are listed stay. It tries again by itself. "
        "Support: manage.py probe_relay says what is wrong.",
    ),
    "": Said(
        Level.PROBLEM,
        "Not running",
        "New women do not reach the machines; those that are listed stay. Support: start run_relay_listener.",
    ),
}
WORKLIST = {
    "listening": Said(Level.OK, "Answering"),
    "": Said(
        Level.PROBLEM,
        "Not running",
        "The machines get no worklist: enter women by hand. Support: start run_mwl_scp.",
    ),
}


@dataclass(frozen=True)
class LastAction:
    """The last action that came from Manage."""

    at: datetime
    action_type: str
    outcome: str

    @property
    def failed(self) -> bool:
        """Whether it was refused or went wrong."""
        return self.outcome in FAILURES


@dataclass(frozen=True)
class RelayPart:
    """The connection to Manage. `since` is since when it has been so; `why` is the listener's own words."""

    level: Level
    state: str
    words: str
    what_to_do: str
    since: datetime | None
    why: str = ""
    online_since: datetime | None = None
    last_action: LastAction | None = None
    last_echo_at: datetime | None = None
    last_echo_ms: int | None = None
    listeners: int = 0


@dataclass(frozen=True)
class WorklistPart:
    """The worklist server."""

    level: Level
    state: str
    words: str
    what_to_do: str
    since: datetime | None
    associations: int = 0
    servers: int = 0


def relay_part(beats: Iterable[Heartbeat], now: datetime, last_action: LastAction | None) -> RelayPart:
    """How the listeners stand: as the best of them."""
    living, told = _living(beats, LISTENER, now)
    said = RELAY.get(told.state, RELAY["offline"])
    details: Mapping[str, Any] = told.details
    return RelayPart(
        level=said.level,
        state=told.state,
        words=said.words,
        what_to_do=said.what_to_do,
        since=told.since,
        why=str(details.get("why") or ""),
        online_since=_parsed(details.get("online_since")),
        last_action=last_action,
        last_echo_at=_parsed(details.get("last_echo_at")),
        last_echo_ms=details.get("last_echo_ms"),
        listeners=living,
    )


def worklist_part(beats: Iterable[Heartbeat], now: datetime) -> WorklistPart:
    """How the worklist servers stand: as the best of them."""
    living, told = _living(beats, SERVER, now)
    said = WORKLIST.get(told.state, WORKLIST[""])
    inside = told.details.get("associations")
    return WorklistPart(
        said.level,
        told.state,
        said.words,
        said.what_to_do,
        told.since,
        inside if isinstance(inside, int) else 0,
        living,
    )


def last_action() -> LastAction | None:
    """The last action that came."""
    row = ReceivedAction.objects.values("received_at", "action_type", "outcome").first()
    return LastAction(row["received_at"], row["action_type"], row["outcome"]) if row else None


class _Told(NamedTuple):
    state: str
    since: datetime | None
    details: Mapping[str, Any]


def _living(beats: Iterable[Heartbeat], role: str, now: datetime) -> tuple[int, _Told]:
    """How many live, and what the best of them says; of one that is gone its last sign of life."""
    ours = sorted((beat for beat in beats if beat.role == role), key=lambda beat: beat.beat_at, reverse=True)
    living = [beat for beat in ours if beat.beat_at >= now - STALE_AFTER]
    if not living:
        return 0, _Told("", ours[0].beat_at if ours else None, {})
    working = [beat for beat in living if is_working(beat)]
    best = (working or living)[0]
    return len(living), _Told(best.state, best.state_since, best.details)


def _parsed(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
