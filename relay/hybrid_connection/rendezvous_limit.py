"""Owns how many senders are served at once, and in which order the others wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class NoPlace(Exception):
    """There is no place, nor will there be one in time; the text says why."""


class Places:
    """`limit` places; who finds none waits in line, first come first served. Times in seconds.

    At most `queue` wait, and each at most `patience`: a rendezvous address does not live much longer. Somebody who has
    a place and says nothing may keep it for `silence`, but only for `silence_when_busy` once others wait.
    """

    def __init__(
        self,
        limit: int = 64,
        queue: int = 256,
        patience: float = 15.0,
        silence: float = 30.0,
        silence_when_busy: float = 5.0,
    ) -> None:
        self.limit, self.queue, self.patience = limit, queue, patience
        self.silence, self.silence_when_busy = silence, silence_when_busy
        self.waiting = 0
        #: Where nobody is served any more, so many at once are told so: each of them costs a socket, too.
        self._refusals = asyncio.Semaphore(limit + 1)
        self._refused = 0
        self._places = asyncio.Semaphore(limit)
        self._listening: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """A place, as soon as it is one's turn; NoPlace when the line is too long or too slow."""
        await self._wait_for_a_place()
        try:
            yield
        finally:
            self._places.release()

    async def _wait_for_a_place(self) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        if self.waiting >= self.queue:
            raise NoPlace(f"{self.limit} senders are served and {self.waiting} wait: try again")
        self.waiting += 1
        self.hurry_the_silent()
        try:
            async with asyncio.timeout(self.patience):
                await self._places.acquire()
        except TimeoutError:
            raise NoPlace(f"no place among {self.limit} within {self.patience:g} s: try again") from None
        finally:
            self.waiting -= 1

    @asynccontextmanager
    async def refusal(self) -> AsyncIterator[None]:
        """A place to be told that there is none; NoPlace when so many are being told already that it would be late."""
        if self._refused > self.limit + self.queue:
            raise NoPlace("nobody is left to say that there is no place")
        self._refused += 1
        try:
            async with self._refusals:
                yield
        finally:
            self._refused -= 1

    @asynccontextmanager
    async def silence_allowed(self) -> AsyncIterator[None]:
        """For whoever has a place and waits for the other side to speak; TimeoutError when that took too long."""
        began = asyncio.get_running_loop().time()
        allowed = self.silence_when_busy if self.waiting else self.silence
        async with asyncio.timeout_at(began + allowed) as timeout:
            self._listening[timeout] = began
            try:
                yield
            finally:
                del self._listening[timeout]

    def hurry_the_silent(self) -> None:
        """Those who say nothing have `silence_when_busy` from when they began, and no more."""
        now = asyncio.get_running_loop().time()
        for timeout, began in self._listening.items():
            if not timeout.expired():
                timeout.reschedule(max(now, began + self.silence_when_busy))
