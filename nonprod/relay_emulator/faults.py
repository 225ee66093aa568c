"""Owns the faults that can be had on demand: their names and what each may say, and those that are stored for later.

A fault strikes what is open now (`Drop`, `HalfOpen`, `Zombie`, …), or is stored and strikes what comes next, so many
times (`Refuse`, `Delay`, …). Channels that are opened after a fault has struck behave well.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from nonprod.relay_emulator.refusals import Refused

if TYPE_CHECKING:
    from nonprod.relay_emulator.channels import Channel
    from nonprod.relay_emulator.port import Connection
    from nonprod.relay_emulator.service import Service

Where = Literal["control", "rendezvous"]
#: A handshake to listen, to connect, to accept (a rendezvous); an HTTP request; a message that calls a listener.
Action = Literal["listen", "connect", "accept", "request"]
DelayedAction = Literal["listen", "connect", "accept", "request", "dispatch"]


class BadFault(ValueError):
    """There is no such fault, or it cannot be had so; the text says what can."""


class Relay(Protocol):
    """What a fault needs of the emulator. An empty path means every hybrid connection."""

    service: "Service"

    def channels_at(self, path: str) -> "list[Channel]":
        """The control channels that are open."""

    def sockets_at(self, where: Where, path: str) -> "list[Connection]":
        """The listeners' control channels that are open, or both ends of each rendezvous that is."""

    def reckon_expiry(self) -> None:
        """See anew when each channel's token ends."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`path` is the hybrid connection that it strikes; empty: every one."""

    path: str = ""

    async def strike(self, relay: Relay) -> None:
        """Do it now, or store it."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Drop(Fault):
    """What is open is closed with `code`, or breaks without a close frame when there is none."""

    where: Where = "control"
    code: int | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.code is not None and not (1000 <= self.code <= 4999 and self.code not in {1004, 1005, 1006, 1015}):
            raise BadFault("code must be one that may stand in a close frame, or null for none")
        if len(self.reason.encode()) > 123:
            raise BadFault("reason must fit into a close frame: 123 bytes")

    async def strike(self, relay: Relay) -> None:
        """Close or break them, all at once."""
        sockets = relay.sockets_at(self.where, self.path)
        if self.code is None:
            for socket in sockets:
                socket.transport.abort()
        else:
            await asyncio.gather(*(socket.close(self.code, self.reason) for socket in sockets))


@dataclass(frozen=True, kw_only=True)
class HalfOpen(Fault):
    """What is open takes bytes and gives none: no message, no pong, no close frame. TCP stays up."""

    where: Where = "control"

    async def strike(self, relay: Relay) -> None:
        """Silence them."""
        for socket in relay.sockets_at(self.where, self.path):
            socket.mute = True
        relay.reckon_expiry()


@dataclass(frozen=True, kw_only=True)
class Zombie(Fault):
    """Open channels answer pings and take new tokens, past their end too, but nothing is dispatched to them.

    `routed`: the service still chooses them, and what is sent there is lost. Otherwise it does not know them.
    """

    routed: bool = True

    async def strike(self, relay: Relay) -> None:
        """Make zombies of them."""
        for channel in relay.channels_at(self.path):
            channel.zombie, channel.routed = True, self.routed
        relay.reckon_expiry()


@dataclass(frozen=True, kw_only=True)
class ExpireTokens(Fault):
    """The tokens of open channels end now."""

    async def strike(self, relay: Relay) -> None:
        """Move their ends."""
        for channel in relay.channels_at(self.path):
            channel.expires_at = relay.service.now()
        relay.reckon_expiry()


@dataclass(frozen=True, kw_only=True)
class ClockSkew(Fault):
    """The service's clock is `seconds` ahead, for tokens and in each Date header; it has no path."""

    seconds: float

    async def strike(self, relay: Relay) -> None:
        """Put the clock forward or back."""
        relay.service.skew = self.seconds
        relay.reckon_expiry()


@dataclass(frozen=True, kw_only=True)
class Stored(Fault):
    """Strikes the next so many `times`; null: until faults are cleared."""

    times: int | None = 1

    async def strike(self, relay: Relay) -> None:
        """Keep it until its time comes."""
        relay.service.faults.store(self)


@dataclass(frozen=True, kw_only=True)
class Refuse(Stored):
    """A handshake or request is refused with `status`, before anything about it is looked at."""

    action: Action
    status: int
    description: str = "The service has trouble of its own"

    def __post_init__(self) -> None:
        if not 300 <= self.status <= 599:
            raise BadFault("status must be from 300 to 599")


@dataclass(frozen=True, kw_only=True)
class Delay(Stored):
    """A handshake, a request, or (`dispatch`) the message that calls a listener, comes so many `seconds` later."""

    action: DelayedAction
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DuplicateAccept(Stored):
    """An accept message is sent twice."""


@dataclass(frozen=True, kw_only=True)
class CutMidFrame(Stored):
    """Half a frame, and then the TCP connection breaks: on open channels now, or in the next reply to a sender."""

    where: Where = "control"

    async def strike(self, relay: Relay) -> None:
        """Cut the channels, or keep it for the next reply."""
        if self.where == "rendezvous":
            return await super().strike(relay)
        for socket in relay.sockets_at("control", self.path):
            socket.cut('{"accept": {}}')
        return None


FAULTS: Mapping[str, type[Fault]] = {
    "drop": Drop,
    "half_open": HalfOpen,
    "zombie": Zombie,
    "expire_tokens": ExpireTokens,
    "clock_skew": ClockSkew,
    "refuse": Refuse,
    "delay": Delay,
    "duplicate_accept": DuplicateAccept,
    "cut_mid_frame": CutMidFrame,
}
NAMES: Mapping[type[Fault], str] = {kind: name for name, kind in FAULTS.items()}


def read_fault(value: Any) -> Fault:
    """The fault that an object such as {"fault": "drop", "code": 1011} asks for; BadFault if there is none."""
    if not isinstance(value, Mapping) or str(value.get("fault")) not in FAULTS:
        raise BadFault(f'an object with "fault" is needed, which is one of: {", ".join(FAULTS)}')
    kind = FAULTS[str(value["fault"])]
    hints = get_type_hints(kind)
    given = {name: what for name, what in value.items() if name != "fault"}
    for name, what in given.items():
        if name not in hints:
            raise BadFault(f"{value['fault']} has no {name!r}; it has: {', '.join(hints)}")
        if not _fits(what, hints[name]):
            raise BadFault(f"{name} cannot be {what!r}{_choices(hints[name])}")
    try:
        return kind(**given)
    except TypeError:
        needed = [item.name for item in fields(kind) if item.name not in given]
        raise BadFault(f"{value['fault']} lacks one of: {', '.join(needed)}") from None


def _fits(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if isinstance(value, bool) or hint is bool:
        return isinstance(value, bool) and hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def _choices(hint: Any) -> str:
    return f"; it may be: {', '.join(get_args(hint))}" if get_origin(hint) is Literal else ""


def show_fault(fault: Fault) -> dict[str, Any]:
    """A fault as the object that asks for it."""
    return {"fault": NAMES[type(fault)], **asdict(fault)}


S = TypeVar("S", bound=Stored)


class Armoury:
    """The faults that are stored, in the order in which they came, each with how often it still strikes.

    `changed` is called when there are others.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._left: dict[int, tuple[Stored, int | None]] = {}
        self._next = 0
        self._cleared = asyncio.Event()

    def store(self, fault: Stored) -> None:
        """Keep a fault."""
        self._left[self._next] = (fault, fault.times)
        self._next += 1
        self._changed()

    def clear(self) -> None:
        """Forget them all; what is late because of one goes on now."""
        self._left.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()
        self._changed()

    def shown(self) -> list[dict[str, Any]]:
        """Those that are left, as objects."""
        return [{**show_fault(fault), "times": left} for fault, left in self._left.values()]

    def take(self, kind: type[S], path: str, action: str = "") -> S | None:
        """The first stored fault of a kind that strikes here, once less from now on."""
        for number, (fault, left) in self._left.items():
            fits = isinstance(fault, kind) and fault.path in {"", path} and getattr(fault, "action", action) == action
            if fits and isinstance(fault, kind):
                if left is None or left > 1:
                    self._left[number] = (fault, left and left - 1)
                else:
                    del self._left[number]
                self._changed()
                return fault
        return None

    async def at(self, action: str, path: str) -> None:
        """Whatever is to happen to this action here: it is late, or Refused, or both."""
        if delay := self.take(Delay, path, action):
            await self._wait(delay.seconds)
        if refuse := self.take(Refuse, path, action):
            raise Refused(refuse.status, refuse.description)

    async def _wait(self, seconds: float) -> None:
        cleared = self._cleared
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await cleared.wait()
