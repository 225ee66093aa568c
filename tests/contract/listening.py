"""Our listener, online on the emulator, for Microsoft's clients to send to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_protocol import Accept
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.rendezvous import Answer
from relay.hybrid_connection.status import ListenerState, ListenerStatus
from tests.conftest import KEYS

PATIENCE = 20


async def give_back(data: bytes, accept: Accept) -> str:
    """Answers with what it got."""
    return data.decode()


@asynccontextmanager
async def listening(
    address: HybridConnectionAddress, answer: Answer = give_back, **options: Any
) -> AsyncIterator[None]:
    """Our listener, until the block ends; an orderly stop is part of every test."""
    online, stopping = asyncio.Event(), asyncio.Event()

    def on_status(status: ListenerStatus) -> None:
        if status.state is ListenerState.ONLINE:
            online.set()

    running = asyncio.create_task(Listener(address, KEYS, answer, on_status=on_status, **options).run(stopping))
    try:
        await asyncio.wait_for(online.wait(), PATIENCE)
        yield
    finally:
        stopping.set()
        await asyncio.wait_for(running, PATIENCE)
