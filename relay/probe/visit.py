"""Owns a control channel that is held for a moment, beside the listener's own or in its place.

The relay shares senders out among the channels that are open. Whoever is sent to this one is served as by the listener
that would have had him, by the same dispatcher on the same database: an action that comes in here is executed here, and
executed once, whoever sends it where again. To refuse it would fail a check-in for the sake of a probe. The channel is
closed as soon as the question is answered.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from relay.hybrid_connection.control_channel import ControlChannel, open_control_channel
from relay.hybrid_connection.control_protocol import Unrecognised
from relay.hybrid_connection.listener import Listener


class Visit:
    """A channel that is open; `served` is how many senders came to it."""

    def __init__(self, channel: ControlChannel, listener: Listener) -> None:
        self.served = 0
        self._channel = channel
        self._listener = listener

    async def serve(self) -> None:
        """Serve whoever comes, until the channel has ended and nobody is left."""
        meetings = [
            asyncio.create_task(self._listener.serve(event, self._channel), name="visitor")
            async for event in self._channel.events(self._listener.rendezvous_policy.body)
            if not isinstance(event, Unrecognised)
        ]
        self.served = len(meetings)
        await asyncio.gather(*meetings, return_exceptions=True)


@asynccontextmanager
async def visiting(listener: Listener) -> AsyncIterator[Visit]:
    """A visit to the hybrid connection of a listener that does not run; HybridConnectionError names what failed."""
    channel = await open_control_channel(listener.address, listener.tokens, listener.liveness.ping, listener.clock())
    visit = Visit(channel, listener)
    serving = asyncio.create_task(visit.serve(), name="visit")
    try:
        yield visit
    finally:
        await channel.close()
        await serving
