"""Listeners' control channels: register them, watch their tokens' expiry, and choose one for each sender.

Hybrid Connections protocol: control channel messages, close codes, limits.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from websockets.exceptions import ConnectionClosed

from nonprod.relay_emulator.control_messages import (
    ListenerResponse,
    MessageReader,
    RenewToken,
    with_extra_keys,
)
from nonprod.relay_emulator.faults import DropOnPing, DuplicateAccept, ExtraKeys
from nonprod.relay_emulator.http_messages import Refused, tracking_id
from nonprod.relay_emulator.port import Connection, is_open
from nonprod.relay_emulator.service import Service

logger = logging.getLogger(__name__)

#: For each hybrid connection.
MAX_LISTENERS = 25
#: Of a message body on the control channel.
MAX_BODY_BYTES = 64 * 1024
#: Of the reason in a close frame (RFC 6455, 5.5: 125 bytes with the code).
MAX_REASON_BYTES = 123


class NoListener(Exception):
    """No listener is connected."""


class BodyTooLarge(Exception):
    """A response's body is too large for the control channel."""


@dataclass(eq=False)
class ControlChannel:
    """One listener's control channel; its token expires at `expires_at` (Unix seconds).

    A `zombie` receives no messages and stays open after its token has expired. Unless it is `routed`, the service does
    not choose it either.
    """

    websocket: Connection
    expires_at: float
    zombie: bool = False
    routed: bool = True
    deadline: asyncio.Timeout | None = None
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def loses_messages(self) -> bool:
        """Whether messages to this channel never arrive, and nobody notices."""
        return self.zombie or self.websocket.half_open

    def reset_deadline(self, now: float) -> None:
        """Move the deadline to the token's expiry; remove it if the channel outlives its token."""
        if self.deadline and not self.deadline.expired():
            left = math.inf if self.loses_messages else self.expires_at - now
            self.deadline.reschedule(None if math.isinf(left) else asyncio.get_running_loop().time() + left)

    async def send(self, *frames: str | bytes) -> None:
        """Send these frames with no others between them."""
        async with self.sending:
            for frame in frames:
                await self.websocket.send(frame)

    def as_dict(self, now: float) -> dict[str, Any]:
        """Return the channel's state for /$emulator."""
        left = self.expires_at - now
        state = "half-open" if self.websocket.half_open else "zombie" if self.zombie else "open"
        return {"state": state, "token_ends_in_seconds": None if math.isinf(left) else round(left)}


class ControlChannels:
    """All control channels, by the path of their hybrid connection.

    `renew` checks a new token for a path and returns its expiry, or raises Refused. `on_response` takes a listener's
    response to an HTTP request.
    """

    def __init__(
        self,
        service: Service,
        paths: Iterable[str],
        renew: Callable[[str, str], float],
        on_response: Callable[[ListenerResponse], None],
    ) -> None:
        self.service = service
        self.by_path: dict[str, list[ControlChannel]] = {path: [] for path in paths}
        self.responses: list[Any] = []
        self._registered: dict[str, set[Connection]] = {path: set() for path in self.by_path}
        self._renew, self._on_response = renew, on_response

    def register(self, path: str, connection: Connection) -> None:
        """Count a listener from its handshake until it disconnects; raises Refused if there are too many."""
        registered = self._registered[path]
        if len(registered) >= MAX_LISTENERS:
            raise Refused(403, f"QuotaExceeded: There are {MAX_LISTENERS} listeners already")
        registered.add(connection)
        connection.connection_lost_waiter.add_done_callback(lambda _: registered.discard(connection))

    async def dispatch(self, path: str, text: str, *body: bytes, is_accept: bool = False) -> None:
        """Send a message to one listener, chosen at random; raises NoListener if none is connected."""
        await self.service.faults.apply_to("dispatch", path)
        frames: tuple[str | bytes, ...] = (self.written(path, text), *body)
        candidates = [channel for channel in self.by_path[path] if is_open(channel.websocket) and channel.routed]
        random.shuffle(candidates)
        for channel in candidates:
            with suppress(ConnectionClosed):  # it has just disconnected: try the next one
                return await self._send(channel, path, frames, is_accept)
        raise NoListener

    def written(self, path: str, text: str) -> str:
        """Return a message to a listener as it is sent: with extra keys if a fault says so."""
        return with_extra_keys(text) if self.service.faults.take(ExtraKeys, path) else text

    async def _send(self, channel: ControlChannel, path: str, frames: tuple[str | bytes, ...], is_accept: bool) -> None:
        duplicate = is_accept and self.service.faults.take(DuplicateAccept, path)
        for _ in range(2 if duplicate else 1):
            if channel.loses_messages:
                self.service.increment("lost")
            else:
                # A message must not be separated from its body, even if the sender disconnects between the two.
                await asyncio.shield(channel.send(*frames))
            self.service.increment("accepted" if is_accept else "requested")

    async def serve(self, path: str, channel: ControlChannel) -> None:
        """Read a channel until it closes, its token expires, or a new token is refused."""

        def drop_if_asked() -> None:
            if self.service.faults.take(DropOnPing, path):
                channel.websocket.transport.abort()

        channel.websocket.on_ping = drop_if_asked
        self.by_path[path].append(channel)
        self.service.increment("listened")
        logger.info("listener connected", extra={"path": path, "listeners": len(self.by_path[path])})
        try:
            await self._read(path, channel)
        finally:
            channel.deadline = None
            self.by_path[path].remove(channel)
            self.service.notify()
            extra = {"path": path, "close_code": channel.websocket.close_code}
            logger.info("listener disconnected", extra=extra)

    async def _read(self, path: str, channel: ControlChannel) -> None:
        reader = MessageReader()
        try:
            async with asyncio.timeout(None) as channel.deadline:
                channel.reset_deadline(self.service.now())
                while True:
                    match reader.read(await channel.websocket.recv()):
                        case RenewToken(token):
                            channel.expires_at = self._renew(path, token)
                            channel.reset_deadline(self.service.now())
                            self.service.increment("renewed")
                        case ListenerResponse() as response:
                            self._take_response(response)
        except TimeoutError:
            await close_with_tracking_id(channel.websocket, 1008, "The token has expired")
        except Refused as refused:
            await close_with_tracking_id(channel.websocket, 1008, str(refused))
        except BodyTooLarge:
            text = "A response of more than 64 kB must go through its rendezvous address"
            await close_with_tracking_id(channel.websocket, 1009, text)
        except ConnectionClosed:
            pass

    def _take_response(self, response: ListenerResponse) -> None:
        self.responses.append(response.raw)
        too_large = len(response.body) > MAX_BODY_BYTES
        self._on_response(replace(response, status=0, body=b"") if too_large else response)
        if too_large:
            raise BodyTooLarge
        self.service.notify()

    def reset_deadlines(self) -> None:
        """Recompute when each channel's token expires, after a change of the clock or of the tokens."""
        for channels in self.by_path.values():
            for channel in channels:
                channel.reset_deadline(self.service.now())
        self.service.notify()


async def close_with_tracking_id(websocket: Connection, code: int, reason: str) -> None:
    """Close a socket as the service does: with a tracking id in the reason, which is cut to fit."""
    suffix = f". TrackingId:{tracking_id()}"
    shortened = reason.encode()[: MAX_REASON_BYTES - len(suffix)].decode(errors="ignore")
    await websocket.close(code, f"{shortened}{suffix}")
