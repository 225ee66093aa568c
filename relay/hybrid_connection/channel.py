"""Owns one control channel on its socket: opens it, reads it, renews its token, closes it."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_channel import (
    RENEWAL_FRACTIONS,
    ControlChannel,
    Event,
    renew_token,
    renewal_delay,
)
from relay.hybrid_connection.failures import Failure, HybridConnectionError
from relay.hybrid_connection.liveness import Evidence
from relay.hybrid_connection.tokens import Token, TokenProvider, fresh_token
from relay.hybrid_connection.websocket import (
    ClientConnection,
    ConnectionClosed,
    Patience,
    State,
    closing_failure,
    open_websocket,
    token_header,
)

logger = logging.getLogger(__name__)


@dataclass(eq=False)
class Channel:
    """A control channel that is open. `opened_at` is the loop's time; `evidence` what its echoes say of it."""

    websocket: ClientConnection
    token: Token
    opened_at: float
    evidence: Evidence = field(default_factory=Evidence)

    def __post_init__(self) -> None:
        self._frames = ControlChannel()
        self._sending = asyncio.Lock()

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return asyncio.get_running_loop().time() - self.opened_at

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close it."""
        return self.websocket.state is State.OPEN

    async def events(self) -> AsyncIterator[Event]:
        """What it asks for, until it ends: `failure` then says why."""
        try:
            async for frame in self.websocket:
                for event in self._frames.receive(frame):
                    yield event
        except ConnectionClosed:
            pass

    @property
    def failure(self) -> Failure:
        """Why it has ended."""
        return closing_failure(self.websocket)

    async def send(self, messages: tuple[str | bytes, ...]) -> bool:
        """Send messages with no other in between; False where the channel is not open any more."""
        async with self._sending:
            try:
                for message in messages:
                    await self.websocket.send(message)
            except ConnectionClosed:
                return False
            return True

    async def keep_renewing(
        self,
        tokens: TokenProvider,
        audience: str,
        clock: Callable[[], float],
        renewed: Callable[[], None],
    ) -> None:
        """Give it a new token well before the old one ends, for ever; `renewed` is called each time."""
        while True:
            fraction = random.uniform(*RENEWAL_FRACTIONS)  # noqa: S311 - spreads renewals, hides nothing
            await asyncio.sleep(renewal_delay(self.token.expires_at - clock(), fraction))
            try:
                self.token = await fresh_token(tokens, audience)
            except HybridConnectionError as error:
                logger.warning("token not renewed", extra={"reason": str(error)})
                continue
            if await self.send((renew_token(self.token.value),)):
                renewed()
                logger.info("token renewed")

    def abort(self) -> None:
        """End it without a word, if it has not ended."""
        self.websocket.transport.abort()

    async def close(self) -> None:
        """Say goodbye; whoever reads it reads on until the other side has answered, so that no accept is lost."""
        await self.websocket.close()


def listening_on(address: HybridConnectionAddress) -> str:
    """The phase of what goes wrong with a control channel."""
    return f"listening on {address.namespace}/{address.path}"


async def open_channel(address: HybridConnectionAddress, tokens: TokenProvider, pong: float) -> Channel:
    """A new control channel, which ends when a ping has no answer for `pong` seconds.

    HybridConnectionError names what failed.
    """
    token = await fresh_token(tokens, address.audience)
    headers, patience = token_header(token), Patience(pong=pong)
    websocket = await open_websocket(address.listen_url, listening_on(address), headers=headers, patience=patience)
    return Channel(websocket, token, asyncio.get_running_loop().time())
