"""Owns one meeting with one sender (Hybrid Connections protocol: accept, reject)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .address import rejecting
from .control_channel import Accept
from .failures import HybridConnectionError
from .rendezvous_limit import NoPlace, Places
from .websocket import (
    ClientConnection,
    ConnectionClosed,
    FrameLimit,
    Patience,
    aborted_on_failure,
    closing,
    open_websocket,
)

logger = logging.getLogger(__name__)

Answer = Callable[[bytes, Accept], Awaitable[str]]


@dataclass(frozen=True)
class MeetingLimits:
    """How long each phase of a meeting may take, in seconds, and how large a frame may be, in bytes.

    How long one may wait for a place, and be silent in it, is in Places; with `join` that is less than the 30 s for
    which a rendezvous address lives. `response` is all that an HTTP request may take until it is answered, the wait for
    a place included: with `join`, where it is answered at its address, less than the 60 s for which the service waits.
    `body` is how long the body of a request may come after it. A frame over the limit is answered with
    `oversize_reply`, without being taken in.
    """

    join: float = 10.0
    answer: float = 60.0
    response: float = 45.0
    body: float = 10.0
    reply: float = 10.0
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
    await told("rendezvous", _meet(accept, answer, places, limits), accept.id)


async def told(what: str, work: Awaitable[str], correlation_id: str) -> None:
    """Do the work and log how it ended and how long it took. Never raises but when it is cancelled."""
    started = time.monotonic()
    logger.info("%s accepted", what, extra={"correlation_id": correlation_id})
    outcome = await _outcome_of(work, correlation_id)
    milliseconds = int((time.monotonic() - started) * 1000)
    logger.info("%s ended", what, extra={"correlation_id": correlation_id, "outcome": outcome, "ms": milliseconds})


async def _outcome_of(work: Awaitable[str], correlation_id: str) -> str:
    try:
        return await work
    except (HybridConnectionError, NoPlace) as error:
        return str(error)
    except ConnectionClosed as closed:
        return "refused: the frame is over the limit" if _was_oversize(closed) else "the sender went"
    except TimeoutError:
        return "given up: the other side took too long"
    except Exception:  # the outermost edge of this task
        logger.exception("failed", extra={"correlation_id": correlation_id})
        return "failed"


def _was_oversize(closed: ConnectionClosed) -> bool:
    return closed.sent is not None and closed.sent.code == 1009


@dataclass(frozen=True)
class Farewell:
    """How a meeting ends: what became of the sender, and how his socket is closed."""

    websocket: ClientConnection
    outcome: str
    code: int = 1000
    reason: str = ""


async def _meet(accept: Accept, answer: Answer, places: Places, limits: MeetingLimits) -> str:
    try:
        async with places.taken():
            farewell = await _serve(accept, answer, places, limits)
    except NoPlace as busy:
        async with places.refusal():
            return await reject(accept, 503, str(busy), limits.join)
    # In nobody's place: the other side may take its time.
    await farewell.websocket.close(farewell.code, farewell.reason)
    return farewell.outcome


async def _serve(accept: Accept, answer: Answer, places: Places, limits: MeetingLimits) -> Farewell:
    patience = Patience(limits.join)
    websocket = await open_websocket(accept.address, "rendezvous", patience=patience, limit=limits.frame)
    async with aborted_on_failure(websocket):
        try:
            async with places.silence_allowed():
                # decode=False: a text that is not UTF-8 gets an answer, too, instead of a closed socket.
                frame = await websocket.recv(decode=False)
        except TimeoutError:
            return Farewell(websocket, "given up: the sender said nothing", 1008, "no frame came in time")
        async with asyncio.timeout(limits.answer):
            reply = await answer(frame, accept)
        async with asyncio.timeout(limits.reply):
            await websocket.send(reply)
        return Farewell(websocket, "answered")


async def reject(accept: Accept, status: int, description: str, join: float) -> str:
    """Tell the sender why nobody comes; how that went."""
    try:
        address = rejecting(accept.address, status, description)
        async with closing(await open_websocket(address, "rejection", patience=Patience(join))):
            pass
    except HybridConnectionError as error:
        if error.status != 410:  # the service's way to say that the rejection has arrived
            raise
    return f"rejected with {status}"
