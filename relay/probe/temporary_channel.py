"""Hold a control channel for a moment, beside the listener's own or in its place.

The relay shares senders out among all open channels, so a sender may arrive on this one. It is served as the listener
would serve it, by the same dispatcher and on the same database: its action is executed here, and only once, even if it
is sent again elsewhere. Refusing it would make a check-in fail because of a probe. The channel is closed as soon as the
caller's block ends.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.hybrid_connection.control_channel import ControlChannel, open_control_channel
from relay.hybrid_connection.control_protocol import Unrecognised
from relay.hybrid_connection.listener import Listener


class TemporaryChannel:
    """An open control channel. `served` counts its senders and HTTP requests; it is set when the channel has ended."""

    def __init__(self, channel: ControlChannel, listener: Listener) -> None:
        self.served = 0
        self._channel = channel
        self._listener = listener

    async def serve(self) -> None:
        """Serve senders and HTTP requests until the channel has ended and all of them have their replies."""
        tasks = [
            asyncio.create_task(self._listener.serve(event, self._channel), name="sender of a temporary channel")
            async for event in self._channel.events(self._listener.rendezvous_policy.body)
            if not isinstance(event, Unrecognised)
        ]
        self.served = len(tasks)
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def temporary_channel(listener: Listener) -> AsyncIterator[TemporaryChannel]:
    """Open a channel for a listener that is not running; raise HybridConnectionError if that fails."""
    channel = await open_control_channel(listener.address, listener.tokens, listener.liveness.ping, listener.clock())
    temporary = TemporaryChannel(channel, listener)
    serving = asyncio.create_task(temporary.serve(), name="temporary channel")
    try:
        yield temporary
    finally:
        await channel.close()
        listener.rendezvous_limit.drain()
        await serving
