"""The faults that a test can ask for: their names, their options, and those stored for later. Pure.

Some faults act on what is open now (`Drop`, `HalfOpen`, `Zombie`, …); `fault_injection` applies them. The others are
stored and act on the next handshakes, requests or messages (`Refuse`, `Delay`, …). Channels opened after a fault has
acted behave normally.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from nonprod.relay_emulator.http_messages import Refused

SocketKind = Literal["control", "rendezvous"]
#: A handshake to listen, connect or accept; an HTTP request.
Action = Literal["listen", "connect", "accept", "request"]
#: The same, or the message that calls a listener.
DelayedAction = Literal["listen", "connect", "accept", "request", "dispatch"]


class BadFault(ValueError):
    """The fault is unknown or its options are invalid; the text says what is valid."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault on one hybrid connection, or on all of them if `path` is empty."""

    path: str = ""


@dataclass(frozen=True, kw_only=True)
class Drop(Fault):
    """Close open sockets with `code`; without a code, break them without a close frame."""

    where: SocketKind = "control"
    code: int | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if self.code is not None and not (1000 <= self.code <= 4999 and self.code not in {1004, 1005, 1006, 1015}):
            raise BadFault("code must be valid in a close frame, or null for no close frame")
        if len(self.reason.encode()) > 123:
            raise BadFault("reason must fit into a close frame: at most 123 bytes")


@dataclass(frozen=True, kw_only=True)
class HalfOpen(Fault):
    """Open sockets receive bytes but send none: no message, no pong, no close frame. TCP stays up."""

    where: SocketKind = "control"


@dataclass(frozen=True, kw_only=True)
class Zombie(Fault):
    """Open control channels answer pings and take new tokens, even after theirs expired, but receive no messages.

    If `routed`, the service still chooses them, and its messages are lost. If not, the service behaves as if they were
    not connected.
    """

    routed: bool = True


@dataclass(frozen=True, kw_only=True)
class ExpireTokens(Fault):
    """The tokens of open control channels expire now."""


@dataclass(frozen=True, kw_only=True)
class ClockSkew(Fault):
    """The service's clock is `seconds` ahead, for tokens and Date headers. Applies to the whole namespace."""

    seconds: float


@dataclass(frozen=True, kw_only=True)
class StoredFault(Fault):
    """A fault that acts on the next `times` occasions; null: until faults are cleared."""

    times: int | None = 1


@dataclass(frozen=True, kw_only=True)
class Refuse(StoredFault):
    """Refuse a handshake or request with `status`, before checking anything else about it."""

    action: Action
    status: int
    description: str = "The service has an internal problem"

    def __post_init__(self) -> None:
        if not 300 <= self.status <= 599:
            raise BadFault("status must be from 300 to 599")


@dataclass(frozen=True, kw_only=True)
class Delay(StoredFault):
    """Delay a handshake, a request, or (`dispatch`) the message that calls a listener."""

    action: DelayedAction
    seconds: float


@dataclass(frozen=True, kw_only=True)
class DuplicateAccept(StoredFault):
    """Send an accept message twice."""


@dataclass(frozen=True, kw_only=True)
class CutMidFrame(StoredFault):
    """Send half a frame, then break the TCP connection: open control channels now, or the next reply to a sender.

    With `containing`, only a reply with this text is cut; the reply to a listener's own echo may come first.
    """

    where: SocketKind = "control"
    containing: str = ""

    def __post_init__(self) -> None:
        if self.containing and self.where == "control":
            raise BadFault("containing is about replies: where must be rendezvous")


@dataclass(frozen=True, kw_only=True)
class DropOnPing(StoredFault):
    """Break a control channel without a close frame as soon as its listener sends a ping."""


@dataclass(frozen=True, kw_only=True)
class KeepRendezvous(StoredFault):
    """Keep the rendezvous of the next HTTP request, and send the next ones of all senders over it, each at once.

    If `forced`, that request goes through a rendezvous whatever its size. The service closes it once no sender is
    connected any more. If the listener closes it, the senders are cut off.
    """

    forced: bool = True


@dataclass(frozen=True, kw_only=True)
class ExtraKeys(StoredFault):
    """Write a message to a listener with keys that are null or not in the protocol, before and between the others."""


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
    "drop_on_ping": DropOnPing,
    "keep_rendezvous": KeepRendezvous,
    "extra_keys": ExtraKeys,
}
NAMES: Mapping[type[Fault], str] = {kind: name for name, kind in FAULTS.items()}


def read_fault(value: Any) -> Fault:
    """Read a fault from an object such as {"fault": "drop", "code": 1011}; raises BadFault if it is invalid."""
    if not isinstance(value, Mapping) or str(value.get("fault")) not in FAULTS:
        raise BadFault(f'send an object whose "fault" is one of: {", ".join(FAULTS)}')
    kind = FAULTS[str(value["fault"])]
    hints = get_type_hints(kind)
    options = {name: option for name, option in value.items() if name != "fault"}
    for name, option in options.items():
        if name not in hints:
            raise BadFault(f"{value['fault']} has no {name!r}; it has: {', '.join(hints)}")
        if not _matches_type(option, hints[name]):
            choices = get_args(hints[name]) if get_origin(hints[name]) is Literal else ()
            allowed = f"; it may be: {', '.join(choices)}" if choices else ""
            raise BadFault(f"{name} cannot be {option!r}{allowed}")
    try:
        return kind(**options)
    except TypeError:
        missing = [item.name for item in fields(kind) if item.name not in options]
        raise BadFault(f"{value['fault']} lacks one of: {', '.join(missing)}") from None


def _matches_type(value: Any, hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if isinstance(value, bool) or hint is bool:  # Python counts a bool as an int
        return isinstance(value, bool) and hint is bool
    return isinstance(value, (int, float) if hint is float else hint)


def fault_as_dict(fault: Fault) -> dict[str, Any]:
    """Return the object from which `read_fault` reads this fault."""
    return {"fault": NAMES[type(fault)], **asdict(fault)}


S = TypeVar("S", bound=StoredFault)


class StoredFaults:
    """Stored faults in the order of their arrival, each with the number of times left.

    `changed` is called after each change.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._left: dict[int, tuple[StoredFault, int | None]] = {}
        self._next_key = 0
        self._cleared = asyncio.Event()

    def store(self, fault: StoredFault) -> None:
        self._left[self._next_key] = (fault, fault.times)
        self._next_key += 1
        self._changed()

    def clear(self) -> None:
        """Remove all faults; whatever one of them delays continues at once."""
        self._left.clear()
        self._cleared.set()
        self._cleared = asyncio.Event()
        self._changed()

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the stored faults as objects; `times` is the number of times left."""
        return [{**fault_as_dict(fault), "times": left} for fault, left in self._left.values()]

    def take(self, kind: type[S], path: str, action: str = "", text: str = "") -> S | None:
        """Return the first stored fault of this kind for the path, action and message, and use it up once."""
        for key, (fault, left) in self._left.items():
            fits = fault.path in {"", path} and getattr(fault, "action", action) == action
            if fits and isinstance(fault, kind) and getattr(fault, "containing", "") in text:
                if left is None or left > 1:
                    self._left[key] = (fault, left and left - 1)
                else:
                    del self._left[key]
                self._changed()
                return fault
        return None

    async def apply_to(self, action: str, path: str) -> None:
        """Delay the action if a fault says so, then raise Refused if a fault says so."""
        if delay := self.take(Delay, path, action):
            cleared = self._cleared
            with suppress(TimeoutError):
                async with asyncio.timeout(delay.seconds):
                    await cleared.wait()
        if refuse := self.take(Refuse, path, action):
            raise Refused(refuse.status, refuse.description)
