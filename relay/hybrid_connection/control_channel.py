"""Owns one control channel on its socket: opens it, reads it, renews its token, closes it."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from .address import HybridConnectionAddress
from .control_protocol import (
    RENEWAL_FRACTIONS,
    ControlProtocol,
    Event,
    renew_token,
    renewal_delay,
)
from .failures import Failure, HybridConnectionError, describe_skew
from .liveness import Evidence
from .tokens import Token, TokenProvider, fresh_token
from .websocket import (
    ClientConnection,
    ConnectionClosed,
    FrameLimit,
    State,
    Timeouts,
    closing_failure,
    open_websocket,
    seconds_behind_service,
    token_header,
)

logger = logging.getLogger(__name__)

SEND_SECONDS = 10.0
#: Far above what the protocol has: bodies of 64 kB, header metadata of 32 kB.
MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass(eq=False)
class ControlChannel:
    """A control channel that is open.

    `opened_at` is the loop's time; `seconds_behind` by how much this machine's clock is behind the service's;
    `evidence` what its echoes say of it, and `is_proven` whether one of them ever came in here.
    """

    websocket: ClientConnection
    token: Token
    opened_at: float
    seconds_behind: float = 0.0
    evidence: Evidence = field(default_factory=Evidence)
    is_proven: bool = False

    def __post_init__(self) -> None:
        self._frames = ControlProtocol()
        self._sending = asyncio.Lock()

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return asyncio.get_running_loop().time() - self.opened_at

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close it."""
        return self.websocket.state is State.OPEN

    async def events(self, body_patience: float) -> AsyncIterator[Event]:
        """What it asks for, until it ends: `failure` then says why.

        A request whose body does not come within `body_patience` seconds, or before the end, comes without.
        """
        loop = asyncio.get_running_loop()
        body_due: float | None = None
        with suppress(ConnectionClosed):
            while True:
                try:
                    async with asyncio.timeout_at(body_due):
                        events = self._frames.receive(await self.websocket.recv())
                except TimeoutError:
                    events = self._frames.give_up_body()
                for event in events:
                    yield event
                body_due = (body_due or loop.time() + body_patience) if self._frames.awaited_id else None
        for event in self._frames.give_up_body():
            yield event

    @property
    def failure(self) -> Failure:
        """Why it has ended; with a token that has ended a wrong clock is told, too."""
        failure = closing_failure(self.websocket)
        if failure.kind == "token_ended" and (skew := describe_skew(self.seconds_behind)):
            return replace(failure, sentence=f"{failure.sentence}; {skew}")
        return failure

    async def send(self, messages: tuple[str | bytes, ...]) -> bool:
        """Send messages with no other in between; False where the channel is not open any more.

        One that takes nothing for SEND_SECONDS is dead, and is broken off: pings wait behind what is not taken.
        """
        try:
            async with asyncio.timeout(SEND_SECONDS), self._sending:
                for message in messages:
                    await self.websocket.send(message)
        except ConnectionClosed:
            return False
        except TimeoutError:
            self.abort()
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
            # By the service's clock, which is the one that ends it.
            life = self.token.expires_at - (clock() + self.seconds_behind)
            await asyncio.sleep(renewal_delay(life, fraction))
            try:
                self.token = await fresh_token(tokens, audience)
            except HybridConnectionError as error:
                logger.warning("token not renewed", extra={"reason": str(error)})
                continue
            except Exception:  # the outermost edge of this task: without it the channel would end with its token
                logger.exception("token not renewed")
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


async def open_control_channel(
    address: HybridConnectionAddress, tokens: TokenProvider, pong: float, now: float
) -> ControlChannel:
    """A new control channel, which ends when a ping has no answer for `pong` seconds; `now` is Unix seconds.

    HybridConnectionError names what failed.
    """
    token = await fresh_token(tokens, address.audience)
    headers, timeouts, limit = token_header(token), Timeouts(ping=pong), FrameLimit(MAX_MESSAGE_BYTES)
    phase = listening_on(address)
    websocket = await open_websocket(address.listen_url, phase, headers=headers, timeouts=timeouts, limit=limit)
    channel = ControlChannel(websocket, token, asyncio.get_running_loop().time())
    behind = seconds_behind_service(websocket, now)
    if skew := describe_skew(behind):  # less than that is the header's own inaccuracy
        channel.seconds_behind = behind
        logger.warning("the clock is wrong", extra={"reason": f"{phase}: {skew}"})
    return channel
