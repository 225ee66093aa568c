"""Limit how many rendezvous are served at the same time, and queue the rest first come, first served.

A rendezvous moves through up to three stages. It waits in the queue until a slot is free (`acquire`). In its slot it is
idle until the sender's frame has arrived (`receiving`); an idle sender is evicted much sooner once others are waiting.
A rendezvous that finds the queue full, or waits in it too long, gets a slot of a second, separate limit in which
it is rejected (`rejecting`): even a rejection costs a socket.

The rendezvous of HTTP requests stay open for the sender's next request (`keeping`). They hold no slot meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LimitReached(Exception):
    """The rendezvous cannot be served; the message says why and is safe to send to the sender."""


class RendezvousLimit:
    """At most `limit` rendezvous at once, and at most `queue` waiting, each up to `queue_timeout` seconds.

    A rendezvous address lives 30 s, so a longer wait would be in vain. A sender may be idle for `idle_timeout` seconds,
    or `idle_timeout_when_busy` once others are waiting.
    """

    def __init__(
        self,
        limit: int = 64,
        queue: int = 256,
        queue_timeout: float = 15.0,
        idle_timeout: float = 30.0,
        idle_timeout_when_busy: float = 5.0,
    ) -> None:
        self.limit, self.queue, self.queue_timeout = limit, queue, queue_timeout
        self.idle_timeout, self.idle_timeout_when_busy = idle_timeout, idle_timeout_when_busy
        self.waiting = 0
        self._slots = asyncio.Semaphore(limit)
        self._rejection_slots = asyncio.Semaphore(limit + 1)  # a limit of 0 serves nobody and must still reject
        self._rejections = 0
        #: The timeout of each idle sender, and when it became idle (the loop's time).
        self._idle: dict[asyncio.Timeout, float] = {}
        #: The timeout of each rendezvous that is kept for a next request, the longest idle first.
        self._kept: dict[asyncio.Timeout, None] = {}
        self._is_draining = False

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[None]:
        """Hold a slot; raise LimitReached when the queue is full or no slot becomes free within `queue_timeout`."""
        if self._slots.locked():
            await self._wait_for_slot()
        else:
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    async def _wait_for_slot(self) -> None:
        if self.waiting >= self.queue:
            raise LimitReached(
                f"the limit of {self.limit} concurrent senders is reached and {self.waiting} are waiting: try again"
            )
        self.waiting += 1
        self.evict_idle()
        try:
            async with asyncio.timeout(self.queue_timeout):
                await self._slots.acquire()
        except TimeoutError:
            raise LimitReached(
                f"the limit of {self.limit} concurrent senders was still reached after {self.queue_timeout:g} s: "
                "try again"
            ) from None
        finally:
            self.waiting -= 1

    @asynccontextmanager
    async def rejecting(self) -> AsyncIterator[None]:
        """Hold a rejection slot; raise LimitReached if a rejection would come too late."""
        if self._rejections > self.limit + self.queue:
            raise LimitReached("too many senders are being rejected already")
        self._rejections += 1
        try:
            async with self._rejection_slots:
                yield
        finally:
            self._rejections -= 1

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """Wait for the sender's frame in this block; raise TimeoutError when the sender is idle for too long."""
        began = asyncio.get_running_loop().time()
        allowed = self.idle_timeout_when_busy if self.waiting or self._is_draining else self.idle_timeout
        async with asyncio.timeout_at(began + allowed) as timeout:
            self._idle[timeout] = began
            try:
                yield
            finally:
                del self._idle[timeout]

    def evict_idle(self) -> None:
        """Shorten every idle sender's timeout to `idle_timeout_when_busy`, counted from when it became idle."""
        now = asyncio.get_running_loop().time()
        for timeout, began in self._idle.items():
            if not timeout.expired():
                timeout.reschedule(max(now, began + self.idle_timeout_when_busy))

    @asynccontextmanager
    async def keeping(self, idle_timeout: float) -> AsyncIterator[None]:
        """Wait for a sender's next request in this block; raise TimeoutError when the rendezvous is idle for too long.

        Of more than `limit` that are kept, the longest idle is given up.
        """
        async with asyncio.timeout(0 if self._is_draining else idle_timeout) as timeout:
            self._kept[timeout] = None
            if len(self._kept) > self.limit:
                self._give_up_longest_kept()
            try:
                yield
            finally:
                self._kept.pop(timeout, None)

    def drain(self) -> None:
        """Let no sender be idle any longer, for a listener that stops."""
        self._is_draining = True
        self.evict_idle()
        while self._kept:
            self._give_up_longest_kept()

    def _give_up_longest_kept(self) -> None:
        longest = next(iter(self._kept))
        del self._kept[longest]
        if not longest.expired():
            longest.reschedule(asyncio.get_running_loop().time())
