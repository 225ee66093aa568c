"""Owns what all parts of the emulated service share: times and clock, counts, faults in store, word of each change."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate

from nonprod.relay_emulator.faults import Armoury
from nonprod.relay_emulator.plain_http import HttpResponse
from nonprod.relay_emulator.refusals import Refused, reason_phrase, with_tracking

COUNTED = ("listened", "accepted", "lost", "joined", "rejected", "renewed", "requested", "responded", "refused")


@dataclass(frozen=True)
class Timeouts:
    """How long the service waits. Seconds."""

    rendezvous: float = 30.0
    request: float = 60.0
    #: For a client that has connected to say what it wants, and for one that is to close to do so.
    head: float = 30.0
    closing: float = 2.0


class Service:
    """The emulated service as its parts see it. `namespace` is host and port, `hosts` what tokens may call the host."""

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float]) -> None:
        self.timeouts = timeouts
        self.faults = Armoury(self.tell)
        self.counts = dict.fromkeys(COUNTED, 0)
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
        """The service's idea of the time, Unix seconds."""
        return self._clock() + self.skew

    def date(self) -> str:
        """The time as the Date header of every response has it."""
        return formatdate(self.now(), usegmt=True)

    def count(self, what: str) -> None:
        """One more of these, and everybody who waits for a change hears of it."""
        self.counts[what] += 1
        self.tell()

    def tell(self) -> None:
        """Something has changed."""
        told, self._next_change = self._next_change, asyncio.Event()
        told.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something that is asked of the service holds."""
        while not holds():
            await self._next_change.wait()

    def refusal(self, refused: Refused) -> HttpResponse:
        """The answer to a handshake or request that is refused: the sentence is its reason and its body."""
        self.count("refused")
        text = with_tracking(str(refused), self.namespace, self.now())
        return text_response(refused.status, text)


def text_response(status: int, text: str) -> HttpResponse:
    """A response whose body is also its reason."""
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    return HttpResponse(status, reason_phrase(text, status), headers, text.encode())
