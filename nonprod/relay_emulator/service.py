"""The state that all parts of the emulated service share: timeouts, clock, counters and stored faults."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from nonprod.relay_emulator.faults import StoredFaults
from nonprod.relay_emulator.http_messages import HttpResponse, Refused, text_response, with_tracking

COUNTERS = (
    "listened",
    "accepted",
    "lost",
    "joined",
    "rejected",
    "renewed",
    "requested",
    "kept",
    "responded",
    "refused",
)


@dataclass(frozen=True)
class Timeouts:
    """How long the service waits, in seconds."""

    rendezvous: float = 30.0
    request: float = 60.0
    #: For a client to send the head of its request after it has connected.
    head: float = 30.0
    #: For a client to complete the closing handshake.
    closing: float = 2.0


class Service:
    """The shared state of one emulated namespace.

    `namespace` is its host and port; `hosts` are the host names that a token's resource URI may contain.
    """

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float]) -> None:
        self.timeouts = timeouts
        self.faults = StoredFaults(self.notify)
        self.counts = dict.fromkeys(COUNTERS, 0)
        self.scheme = "ws"
        self.namespace = ""
        self.hosts = frozenset({"127.0.0.1", "localhost"})
        #: Seconds by which the service's clock is ahead of the real one.
        self.skew = 0.0
        self._clock = clock
        self._next_change = asyncio.Event()

    @property
    def base(self) -> str:
        """Scheme and namespace of a rendezvous address."""
        return f"{self.scheme}://{self.namespace}"

    def now(self) -> float:
        """Return the time on the service's clock, in Unix seconds."""
        return self._clock() + self.skew

    def date(self) -> str:
        """Return the service's time in the format of the Date header."""
        return formatdate(self.now(), usegmt=True)

    def increment(self, counter: str) -> None:
        """Add one to a counter, and notify everyone who waits for a change."""
        self.counts[counter] += 1
        self.notify()

    def notify(self) -> None:
        """Let everyone in `until` check their condition again."""
        changed, self._next_change = self._next_change, asyncio.Event()
        changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on the service's state is true."""
        while not condition():
            await self._next_change.wait()

    def refusal(self, refused: Refused) -> HttpResponse:
        """Return the response to a refused handshake or request; its reason and body are the same sentence."""
        self.increment("refused")
        return text_response(refused.status, with_tracking(str(refused), self.namespace, self.now()))
