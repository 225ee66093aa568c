"""Hold a control channel for a moment, beside the listener's own or in its place.

The relay shares senders out among all open channels, so a sender may arrive on this one. It is served as the listener
would serve it, by the same dispatcher and on the same database: its action is executed here, and only once, even if it
is sent again elsewhere. Refusing it would make a check-in fail because of a probe. The channel is closed as soon as the
caller's block ends.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.hybrid_connection.control_channel import open_control_channel
from relay.hybrid_connection.control_protocol import Unrecognised
from relay.hybrid_connection.listener import Listener


@asynccontextmanager
async def temporary_channel(listener: Listener) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Open a channel for a listener that is not running; raise HybridConnectionError if that fails.

    Yield the tasks that serve senders and HTTP requests. At the end of the block, all of them have their replies.
    """
    channel = await open_control_channel(listener.address, listener.tokens, listener.liveness.ping, listener.clock())
    served: list[asyncio.Task[None]] = []

    async def serve() -> None:
        async for event in channel.events(listener.rendezvous_policy.body):
            if not isinstance(event, Unrecognised):
                task = asyncio.create_task(listener.serve(event, channel), name="sender of a temporary channel")
                served.append(task)
        await asyncio.gather(*served, return_exceptions=True)

    serving = asyncio.create_task(serve(), name="temporary channel")
    try:
        yield served
    finally:
        await channel.close()
        listener.rendezvous_limit.drain()
        await serving
