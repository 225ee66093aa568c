"""Open a control channel, read its events, renew its token and close it (Hybrid Connections protocol: listen)."""

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
from .liveness import EchoTally
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

#: A channel that takes nothing for this many seconds is dead.
SEND_TIMEOUT = 10.0
#: Far above the protocol's limits: 64 kB for a body, 32 kB for headers.
MAX_MESSAGE_BYTES = 1024 * 1024


@dataclass(eq=False)
class ControlChannel:
    """A control channel.

    `opened_at` is the event loop's time. `seconds_behind` is how far this machine's clock is behind the service's.
    `echoes` is what liveness knows of the channel, and `is_proven` whether an echo has ever arrived on it.
    """

    websocket: ClientConnection
    token: Token
    opened_at: float
    seconds_behind: float = 0.0
    echoes: EchoTally = field(default_factory=EchoTally)
    is_proven: bool = False

    def __post_init__(self) -> None:
        self._protocol = ControlProtocol()
        self._sending = asyncio.Lock()

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return asyncio.get_running_loop().time() - self.opened_at

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close it."""
        return self.websocket.state is State.OPEN

    async def events(self, body_timeout: float) -> AsyncIterator[Event]:
        """Yield events until the channel ends; `failure` then explains why it did.

        A request whose body does not arrive within `body_timeout` seconds is yielded without it.
        """
        async for event in read_events(self.websocket, self._protocol, body_timeout):
            yield event

    @property
    def failure(self) -> Failure:
        """Why it has ended. When the token was refused, this mentions a wrong clock too."""
        failure = closing_failure(self.websocket)
        if failure.kind == "token_ended" and (skew := describe_skew(self.seconds_behind)):
            return replace(failure, sentence=f"{failure.sentence}; {skew}")
        return failure

    async def send(self, messages: tuple[str | bytes, ...]) -> bool:
        """Send messages with no other in between; return False when the channel is no longer open.

        Abort a channel that takes nothing for SEND_TIMEOUT: a ping would not find out, since it waits behind the data.
        """
        try:
            async with asyncio.timeout(SEND_TIMEOUT), self._sending:
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
        """Renew the token well before it expires, for ever; call `renewed` each time."""
        while True:
            fraction = random.uniform(*RENEWAL_FRACTIONS)  # noqa: S311 - spreads renewals, hides nothing
            # Use the service's clock, because the service decides when the token has expired.
            life = self.token.expires_at - (clock() + self.seconds_behind)
            await asyncio.sleep(renewal_delay(life, fraction))
            try:
                self.token = await fresh_token(tokens, audience)
            except HybridConnectionError as error:
                logger.warning("token not renewed", extra={"reason": str(error)})
                continue
            except Exception:  # the outermost edge of this task; if it ended, the channel would end with its token
                logger.exception("token not renewed")
                continue
            if await self.send((renew_token(self.token.value),)):
                renewed()
                logger.info("token renewed")

    def abort(self) -> None:
        """Drop the connection without a closing handshake; does nothing when it is closed already."""
        self.websocket.transport.abort()

    async def close(self) -> None:
        """Close with a handshake. Keep reading `events` until it is complete, or accepts already sent are lost."""
        await self.websocket.close()


async def read_events(
    websocket: ClientConnection, protocol: ControlProtocol, body_timeout: float
) -> AsyncIterator[Event]:
    """Yield the events of a control channel or of a request's rendezvous until the WebSocket is closed.

    A request whose body does not arrive within `body_timeout` seconds is yielded without it.
    """
    loop = asyncio.get_running_loop()
    body_due: float | None = None
    with suppress(ConnectionClosed):
        while True:
            try:
                async with asyncio.timeout_at(body_due):
                    events = protocol.receive(await websocket.recv())
            except TimeoutError:
                events = protocol.give_up_body()
            for event in events:
                yield event
            body_due = (body_due or loop.time() + body_timeout) if protocol.awaited_id else None
    for event in protocol.give_up_body():
        yield event


def listening_on(address: HybridConnectionAddress) -> str:
    """Return the phase named in errors of a control channel."""
    return f"listening on {address.namespace}/{address.path}"


async def open_control_channel(
    address: HybridConnectionAddress, tokens: TokenProvider, ping: float | None, now: float
) -> ControlChannel:
    """Open a control channel that sends a ping every `ping` seconds, and ends when one is not answered in that time.

    With `ping=None`, it sends none. `now` is Unix seconds. Raises HybridConnectionError.
    """
    token = await fresh_token(tokens, address.audience)
    phase = listening_on(address)
    websocket = await open_websocket(
        address.listen_url,
        phase,
        headers=token_header(token),
        timeouts=Timeouts(ping=ping),
        limit=FrameLimit(MAX_MESSAGE_BYTES),
    )
    channel = ControlChannel(websocket, token, asyncio.get_running_loop().time())
    behind = seconds_behind_service(websocket, now)
    if skew := describe_skew(behind):  # a smaller difference may be the Date header's own inaccuracy
        channel.seconds_behind = behind
        logger.warning("the clock is wrong", extra={"reason": f"{phase}: {skew}"})
    return channel
