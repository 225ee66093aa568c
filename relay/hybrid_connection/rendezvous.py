"""Owns one meeting with one sender (Hybrid Connections protocol: accept, reject)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from relay.hybrid_connection.address import rejecting
from relay.hybrid_connection.control_channel import Accept
from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.places import NoPlace, Places
from relay.hybrid_connection.websocket import ClientConnection, ConnectionClosed, FrameLimit, Patience, open_websocket

logger = logging.getLogger(__name__)

Answer = Callable[[bytes, Accept], Awaitable[str]]


@dataclass(frozen=True)
class MeetingLimits:
    """How long each phase of a meeting may take, in seconds, and how large a frame may be, in bytes.

    How long the sender may be silent is in Places. The service waits 60 s for the response to an HTTP request, so
    `response` is less. A frame over the limit is answered with `oversize_reply`, without being taken in.
    """

    join: float = 15.0
    answer: float = 60.0
    response: float = 50.0
    reply: float = 20.0
    frame_bytes: int = 1024 * 1024
    oversize_reply: str = ""

    @property
    def frame(self) -> FrameLimit:
        """The limit of a sender's frame."""
        return FrameLimit(self.frame_bytes, lambda _first: (self.oversize_reply,) if self.oversize_reply else ())


async def meet(accept: Accept, answer: Answer, places: Places, limits: MeetingLimits) -> None:
    """Join the sender when there is a place, take one frame, give one text, close; with no place, reject with 503.

    Never raises: a bad sender must not end the listener.
    """
    started = time.monotonic()
    logger.info("rendezvous accepted", extra={"correlation_id": accept.id})
    outcome = await outcome_of(_meet(accept, answer, places, limits), accept.id)
    milliseconds = int((time.monotonic() - started) * 1000)
    logger.info("rendezvous ended", extra={"correlation_id": accept.id, "outcome": outcome, "ms": milliseconds})


async def outcome_of(meeting: Awaitable[str], correlation_id: str) -> str:
    """How a meeting ended, in words for the log. Never raises but when it is cancelled."""
    try:
        return await meeting
    except HybridConnectionError as error:
        return str(error)
    except ConnectionClosed as closed:
        return "refused: the frame is over the limit" if _was_oversize(closed) else "the sender went"
    except TimeoutError:
        return "given up: the other side took too long"
    except Exception:  # the outermost edge of this task
        logger.exception("rendezvous failed", extra={"correlation_id": correlation_id})
        return "failed"


def _was_oversize(closed: ConnectionClosed) -> bool:
    return closed.sent is not None and closed.sent.code == 1009


async def _meet(accept: Accept, answer: Answer, places: Places, limits: MeetingLimits) -> str:
    try:
        async with places.taken():
            return await _meet_in_place(accept, answer, places, limits)
    except NoPlace as busy:
        async with places.refusals:
            return await reject(accept, 503, str(busy))


async def _meet_in_place(accept: Accept, answer: Answer, places: Places, limits: MeetingLimits) -> str:
    websocket = await open_websocket(accept.address, "rendezvous", patience=Patience(limits.join), limit=limits.frame)
    async with closing(websocket):
        try:
            async with places.silence_allowed():
                # decode=False: a text that is not UTF-8 gets an answer, too, instead of a closed socket.
                frame = await websocket.recv(decode=False)
        except TimeoutError:
            await websocket.close(1008, "no frame came in time")
            return "given up: the sender said nothing"
        async with asyncio.timeout(limits.answer):
            reply = await answer(frame, accept)
        async with asyncio.timeout(limits.reply):
            await websocket.send(reply)
        return "answered"


class closing:  # noqa: N801 - as contextlib's
    """Closes a WebSocket politely after good work, and with an abort when the work was cut off."""

    def __init__(self, websocket: ClientConnection) -> None:
        self._websocket = websocket

    async def __aenter__(self) -> ClientConnection:
        return self._websocket

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None or issubclass(kind, ConnectionClosed):
            await self._websocket.close()
        else:
            self._websocket.transport.abort()


async def reject(accept: Accept, status: int, description: str) -> str:
    """Tell the sender why nobody comes; how that went."""
    try:
        websocket = await open_websocket(rejecting(accept.address, status, description), "rejection")
        await websocket.close()
    except HybridConnectionError as error:
        if error.status != 410:  # the service's way to say that the rejection has arrived
            raise
    return f"rejected with {status}"
