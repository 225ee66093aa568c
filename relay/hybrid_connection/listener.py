"""Owns the control channel: holds it, renews its token, comes back when it is lost, starts a task for each sender."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed

from relay.hybrid_connection import control_channel
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_channel import Accept, Request, Unrecognised
from relay.hybrid_connection.reconnection import Backoff
from relay.hybrid_connection.rendezvous import Answer, meet, reject
from relay.hybrid_connection.tokens import Token, TokenError, TokenProvider
from relay.hybrid_connection.websocket import ClientConnection, HybridConnectionError, open_websocket, token_header

logger = logging.getLogger(__name__)

CLOSING_SECONDS = 5.0

StateListener = Callable[[str, str], None]


@dataclass
class Listener:
    """A listener on one hybrid connection.

    `answer` is awaited with each frame of a sender and returns the text to give back. `on_state` hears of every change:
    `connecting`, `online` or `offline`, and why. At most `max_rendezvous` senders are served at once; more are
    rejected with 503. Times in seconds.
    """

    address: HybridConnectionAddress
    tokens: TokenProvider
    answer: Answer
    backoff: Backoff = field(default_factory=Backoff)
    max_rendezvous: int = 64
    stop_grace: float = 20.0
    on_state: StateListener = lambda _state, _why: None
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        self._channel: ClientConnection | None = None
        self._meetings: set[asyncio.Task[None]] = set()
        self._seen_unrecognised: set[str] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Listen until `stopping` is set; then let the senders in hand finish, at most `stop_grace` seconds."""
        keeping = asyncio.create_task(self._keep_listening(stopping), name="control-channel")
        await stopping.wait()
        if self._channel:
            # The senders that were called before the service hears of it are met: the loop reads on until it closes.
            await self._channel.close()
            await asyncio.wait({keeping}, timeout=CLOSING_SECONDS)
        await _cancel(keeping)
        await self._finish_meetings()
        self.on_state("offline", "stopped")

    async def _keep_listening(self, stopping: asyncio.Event) -> None:
        failures = 0
        while not stopping.is_set():
            opened_at = time.monotonic()
            try:
                await self._listen_once()
            except HybridConnectionError as error:
                reason = str(error)
            except Exception as error:  # the outermost edge: nothing at all may end the listener
                logger.exception("control channel failed")
                reason = type(error).__name__
            if stopping.is_set():
                return
            lived = time.monotonic() - opened_at
            failures = 1 if lived >= self.backoff.forgiven_after else failures + 1
            delay = self.backoff.delay(failures)
            self.on_state("offline", reason)
            logger.warning("listener offline", extra={"reason": reason, "next_attempt_in_seconds": round(delay, 1)})
            await asyncio.sleep(delay)

    async def _listen_once(self) -> None:
        self.on_state("connecting", "")
        token = await self._fresh_token()
        phase = f"listening on {self.address.namespace}/{self.address.path}"
        websocket = await open_websocket(self.address.listen_url, phase, headers=token_header(token))
        self._channel = websocket
        self.on_state("online", "")
        logger.info("listener online", extra={"namespace": self.address.namespace, "path": self.address.path})
        renewing = asyncio.create_task(self._keep_renewing(websocket, token), name="token-renewal")
        try:
            async for text in websocket:
                await self._handle(control_channel.read(text), websocket)
        except ConnectionClosed:
            pass  # told below, as an orderly close is
        finally:
            self._channel = None
            await _cancel(renewing)
            await websocket.close()
        raise HybridConnectionError(
            phase, f"the service closed the channel ({websocket.close_code} {websocket.close_reason or ''})".rstrip()
        )

    async def _handle(self, event: control_channel.Event, websocket: ClientConnection) -> None:
        match event:
            case Accept() if len(self._meetings) < self.max_rendezvous:
                self._spawn(meet(event, self.answer))
            case Accept():
                self._spawn(reject(event, 503, f"{self.max_rendezvous} senders are being served: try again"))
            case Request():
                await websocket.send(control_channel.refuse_request(event))
            case Unrecognised(key) if key not in self._seen_unrecognised and len(self._seen_unrecognised) < 100:
                self._seen_unrecognised.add(key)
                logger.warning("control channel message not understood", extra={"key": key})

    def _spawn(self, meeting: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(meeting, name="rendezvous")
        self._meetings.add(task)
        task.add_done_callback(self._meetings.discard)

    async def _keep_renewing(self, websocket: ClientConnection, token: Token) -> None:
        while True:
            await asyncio.sleep(control_channel.renewal_delay(self.clock(), token.expires_at))
            try:
                token = await self._fresh_token()
                await websocket.send(control_channel.renew_token(token.value))
                logger.info("token renewed")
            except HybridConnectionError as error:
                logger.warning("token not renewed", extra={"reason": str(error)})
            except ConnectionClosed:
                return

    async def _fresh_token(self) -> Token:
        try:
            return await asyncio.to_thread(self.tokens.token, self.address.audience)
        except TokenError as error:
            raise HybridConnectionError("getting a token", str(error)) from None

    async def _finish_meetings(self) -> None:
        if self._meetings:
            logger.info("finishing", extra={"rendezvous": len(self._meetings), "grace_seconds": self.stop_grace})
            _, late = await asyncio.wait(set(self._meetings), timeout=self.stop_grace)
            await _cancel(*late)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
