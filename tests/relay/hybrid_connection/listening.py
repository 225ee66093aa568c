"""Run a listener on a relay emulator, and wait for the statuses that it reports."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_protocol import Accept
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.reconnection import ReconnectionPolicy
from relay.hybrid_connection.rendezvous import AnswerFrame
from relay.hybrid_connection.status import ListenerStatus
from relay.hybrid_connection.websocket import ClientConnection, open_websocket, token_header
from tests.conftest import KEYS

AT_ONCE = ReconnectionPolicy(first=0, cap=0, slow=0)
PATIENCE = 60.0


async def upper(frame: bytes, accept: Accept) -> str:
    """Answer with the frame in capitals."""
    return frame.decode().upper()


async def give_back(frame: bytes, accept: Accept) -> str:
    """Answer with the frame itself."""
    return frame.decode()


class Gate:
    """An `answer` that waits until the test opens the gate."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.open = asyncio.Event()

    async def answer(self, frame: bytes, accept: Accept) -> str:
        """Return `done` once the gate is open."""
        self.asked.set()
        await self.open.wait()
        return "done"


class Statuses:
    """An `on_status` that keeps each status, and lets a test wait for one."""

    def __init__(self) -> None:
        self.seen: list[ListenerStatus] = []
        self._changed = asyncio.Condition()

    def __call__(self, status: ListenerStatus) -> None:
        self.seen.append(status)
        self._notification = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    @property
    def states(self) -> list[str]:
        """The states in their order, without repetitions."""
        states = [status.state for status in self.seen]
        return [state for place, state in enumerate(states) if place == 0 or states[place - 1] != state]

    async def until(self, holds: Callable[[ListenerStatus], bool], patience: float = PATIENCE) -> ListenerStatus:
        """Return the first status for which `holds` is true; wait for it if need be."""
        async with asyncio.timeout(patience), self._changed:
            await self._changed.wait_for(lambda: any(holds(status) for status in self.seen))
        return next(status for status in self.seen if holds(status))

    async def went_offline(self, times: int = 1) -> str:
        """Return the reason of the nth OFFLINE status."""

        def reasons() -> list[str]:
            return [status.why for status in self.seen if status.state == "offline"]

        await self.until(lambda _: len(reasons()) >= times)
        return reasons()[times - 1]

    async def came_back(self, times: int = 1, patience: float = PATIENCE) -> ListenerStatus:
        """Return the first ONLINE status after so many reconnections."""
        return await self.until(lambda status: status.state == "online" and status.reconnects >= times, patience)


@asynccontextmanager
async def listening(
    address: HybridConnectionAddress, answer: AnswerFrame = upper, **options: Any
) -> AsyncIterator[tuple[Listener, Statuses]]:
    """Run a listener that is online until the block ends; its orderly stop is part of every test."""
    statuses, stopping = options.pop("statuses", Statuses()), asyncio.Event()
    settings = {"tokens": KEYS, "reconnection": AT_ONCE, "on_status": statuses, **options}
    listener = Listener(address, answer=answer, **settings)
    running = asyncio.create_task(listener.run(stopping), name="running")
    try:
        await statuses.until(lambda status: status.state == "online")
        yield listener, statuses
    finally:
        stopping.set()
        await asyncio.wait_for(running, 60)


async def offline_reason(address: HybridConnectionAddress, times: int = 1, **options: Any) -> str:
    """Return the reason that a listener on this address gives for being offline, the nth time."""
    statuses, stopping = Statuses(), asyncio.Event()
    settings = {"tokens": KEYS, "reconnection": AT_ONCE, "on_status": statuses, **options}
    running = asyncio.create_task(Listener(address, answer=upper, **settings).run(stopping))
    reason = await statuses.went_offline(times)
    stopping.set()
    await running
    return reason


async def join(address: HybridConnectionAddress) -> ClientConnection:
    """Join a listener as a sender that sends nothing."""
    token = KEYS.token(address.audience)
    return await open_websocket(address.connect_url, "connecting", headers=token_header(token))
