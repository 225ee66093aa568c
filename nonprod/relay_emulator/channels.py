"""Owns the listeners' control channels: who is there, when their tokens end, which of them is called.

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

from nonprod.relay_emulator.faults import DuplicateAccept
from nonprod.relay_emulator.messages import Answer, Reader, Renewal
from nonprod.relay_emulator.port import Connection, is_open
from nonprod.relay_emulator.refusals import Refused, tracking_id
from nonprod.relay_emulator.service import Service

logger = logging.getLogger(__name__)

LISTENERS_AT_MOST = 25
#: Of a body on the control channel.
MAX_BODY_BYTES = 64 * 1024
#: Of the reason in a close frame.
MAX_REASON_BYTES = 123


class NobodyListens(Exception):
    """No listener can be called."""


class TooBig(Exception):
    """A response has a body that is too long for the control channel."""


@dataclass(eq=False)
class Channel:
    """One listener's control channel, and when its token ends (Unix seconds).

    A `zombie` gets nothing that is dispatched, and lives on when its token has ended; unless it is `routed`, it is not
    even chosen.
    """

    websocket: Connection
    expires_at: float
    zombie: bool = False
    routed: bool = True
    deadline: asyncio.Timeout | None = None
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def can_be_chosen(self) -> bool:
        """Whether the service believes that a listener is there."""
        return is_open(self.websocket) and self.routed

    @property
    def loses_all(self) -> bool:
        """Whether what is sent there never arrives, and nobody is told."""
        return self.zombie or self.websocket.mute

    def seconds_left(self, now: float) -> float:
        """Until the service closes the channel."""
        return math.inf if self.loses_all else self.expires_at - now

    def reckon(self, now: float) -> None:
        """Move the deadline to where it belongs by now."""
        if self.deadline and not self.deadline.expired():
            left = self.seconds_left(now)
            self.deadline.reschedule(None if math.isinf(left) else asyncio.get_running_loop().time() + left)

    async def send(self, *frames: str | bytes) -> None:
        """These frames, with no others between them."""
        async with self.sending:
            for frame in frames:
                await self.websocket.send(frame)

    def shown(self, now: float) -> dict[str, Any]:
        """What the page shows of it."""
        left = self.expires_at - now
        state = "half-open" if self.websocket.mute else "zombie" if self.zombie else "open"
        return {"state": state, "token_ends_in_seconds": None if math.isinf(left) else round(left)}


class Listeners:
    """All the control channels, by hybrid connection.

    `renew` checks a new token for a hybrid connection, and says when it ends; `answered` takes a response.
    """

    def __init__(
        self,
        service: Service,
        paths: Iterable[str],
        renew: Callable[[str, str], float],
        answered: Callable[[Answer], None],
    ) -> None:
        self.service = service
        self.channels: dict[str, list[Channel]] = {path: [] for path in paths}
        self.responses: list[Any] = []
        self._places: dict[str, set[Connection]] = {path: set() for path in self.channels}
        self._renew, self._answered = renew, answered

    def reserve_place(self, path: str, connection: Connection) -> None:
        """A place for a listener, from its handshake until it has gone; Refused when there is none left."""
        places = self._places[path]
        if len(places) >= LISTENERS_AT_MOST:
            raise Refused(403, f"QuotaExceeded: There are {LISTENERS_AT_MOST} listeners already")
        places.add(connection)
        connection.connection_lost_waiter.add_done_callback(lambda _: places.discard(connection))

    async def dispatch(self, path: str, *frames: str | bytes, is_accept: bool = False) -> None:
        """Call one listener, any; NobodyListens when there is none. One that goes just now is not called."""
        await self.service.faults.at("dispatch", path)
        chosen = [channel for channel in self.channels[path] if channel.can_be_chosen]
        random.shuffle(chosen)
        for channel in chosen:
            with suppress(ConnectionClosed):
                return await self._call(channel, path, frames, is_accept)
        raise NobodyListens

    async def _call(self, channel: Channel, path: str, frames: tuple[str | bytes, ...], is_accept: bool) -> None:
        counted = "accepted" if is_accept else "requested"
        twice = is_accept and self.service.faults.take(DuplicateAccept, path)
        for _ in range(2 if twice else 1):
            if channel.loses_all:
                self.service.count("lost")
            else:
                # A message and its body belong together, even when the sender goes between them.
                await asyncio.shield(channel.send(*frames))
            self.service.count(counted)

    async def hold(self, path: str, channel: Channel) -> None:
        """Keep a channel until it is closed, its token ends, or it brings one that is no good."""
        self.channels[path].append(channel)
        self.service.count("listened")
        logger.info("listener connected", extra={"path": path, "listeners": len(self.channels[path])})
        try:
            await self._listen(path, channel)
        finally:
            channel.deadline = None
            self.channels[path].remove(channel)
            self.service.tell()
            extra = {"path": path, "close_code": channel.websocket.close_code}
            logger.info("listener disconnected", extra=extra)

    async def _listen(self, path: str, channel: Channel) -> None:
        reader = Reader()
        try:
            async with asyncio.timeout(None) as channel.deadline:
                channel.reckon(self.service.now())
                while True:
                    self._take(path, channel, reader.read(await channel.websocket.recv()))
        except TimeoutError:
            await close(channel.websocket, 1008, "The token has expired")
        except Refused as refused:
            await close(channel.websocket, 1008, str(refused))
        except TooBig:
            await close(channel.websocket, 1009, "A response of more than 64 kB must go through its address")
        except ConnectionClosed:
            pass

    def _take(self, path: str, channel: Channel, message: Renewal | Answer | None) -> None:
        match message:
            case Renewal(token):
                channel.expires_at = self._renew(path, token)
                channel.reckon(self.service.now())
                self.service.count("renewed")
            case Answer():
                self.responses.append(message.raw)
                self._take_answer(message)
                self.service.tell()

    def _take_answer(self, answer: Answer) -> None:
        if len(answer.body) > MAX_BODY_BYTES:
            self._answered(replace(answer, status=0, body=b""))
            raise TooBig
        self._answered(answer)

    def reckon_expiry(self) -> None:
        """The clock has changed, or what it is held against."""
        for channel in [channel for channels in self.channels.values() for channel in channels]:
            channel.reckon(self.service.now())
        self.service.tell()


async def close(websocket: Connection, code: int, sentence: str) -> None:
    """Close a socket as the service does: the reason has a tracking id."""
    tracked = f". TrackingId:{tracking_id()}"
    short = sentence.encode()[: MAX_REASON_BYTES - len(tracked)].decode(errors="ignore")
    await websocket.close(code, f"{short}{tracked}")
