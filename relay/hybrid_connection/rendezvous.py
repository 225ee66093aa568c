"""Serve one sender at its rendezvous (Hybrid Connections protocol: accept, reject)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .address import rejection_url
from .control_protocol import Accept
from .failures import HybridConnectionError
from .rendezvous_limit import LimitReached, RendezvousLimit
from .websocket import ConnectionClosed, FrameLimit, Timeouts, aborted_on_failure, closing, open_websocket

logger = logging.getLogger(__name__)

#: Handles one frame of a sender, and returns the text to reply with.
AnswerFrame = Callable[[bytes, Accept], Awaitable[str]]


@dataclass(frozen=True)
class RendezvousPolicy:
    """How long each phase of a rendezvous or an HTTP request may take (seconds), and how large a frame may be (bytes).

    `join`: to open the rendezvous. With `RendezvousLimit.queue_timeout` it must stay under the 30 s for which a
    rendezvous address lives. `answer`: to handle a frame. `reply`: to send the reply.
    `response`: from receiving an HTTP request to having its response, including the wait for a slot. With `join` it
    must stay under the 60 s for which the service waits. `body`: for the body to follow its request. `keep`: for the
    next HTTP request of a sender to come to a rendezvous that is kept for it. `ping`: between pings; None sends none.

    A frame over `frame_bytes` is answered with `oversize_reply`, without ever being held in memory.
    """

    join: float = 10.0
    answer: float = 60.0
    response: float = 45.0
    body: float = 10.0
    keep: float = 120.0
    ping: float | None = 20.0
    reply: float = 10.0
    frame_bytes: int = 1024 * 1024
    oversize_reply: str = ""

    @property
    def timeouts(self) -> Timeouts:
        """The timeouts of a rendezvous."""
        return Timeouts(self.join, self.ping)

    @property
    def frame_limit(self) -> FrameLimit:
        """The limit for a sender's frame."""
        return FrameLimit(self.frame_bytes, lambda _text: (self.oversize_reply,) if self.oversize_reply else ())


async def serve_sender(accept: Accept, answer: AnswerFrame, limit: RendezvousLimit, policy: RendezvousPolicy) -> None:
    """Join the sender, take one frame, send one reply and close; reject with 503 when the limit is reached.

    Never raises: a bad sender must not end the listener.
    """

    async def serve() -> str:
        try:
            async with limit.acquire():
                websocket = await open_websocket(
                    accept.address, "rendezvous", timeouts=policy.timeouts, limit=policy.frame_limit
                )
                async with aborted_on_failure(websocket):
                    try:
                        async with limit.receiving():
                            # decode=False: a text that is not UTF-8 gets a reply too, instead of a closed socket.
                            frame = await websocket.recv(decode=False)
                    except TimeoutError:
                        frame = None
                    if frame is not None:
                        async with asyncio.timeout(policy.answer):
                            reply = await answer(frame, accept)
                        async with asyncio.timeout(policy.reply):
                            await websocket.send(reply)
        except LimitReached as busy:
            async with limit.rejecting():
                return await reject(accept, 503, str(busy), policy.join)
        # Close outside the limit, since the other side may take its time.
        if frame is None:
            await websocket.close(1008, "no frame came in time")
            return "gave up: the sender sent nothing"
        await websocket.close()
        return "answered"

    await log_outcome("rendezvous", serve(), accept.id)


async def reject(accept: Accept, status: int, description: str, timeout: float) -> str:  # noqa: ASYNC109
    """Reject the sender with an HTTP status and its description; return the outcome for the log.

    Raises HybridConnectionError when the service does not take the rejection.
    """
    try:
        url = rejection_url(accept.address, status, description)
        async with closing(await open_websocket(url, "rejection", timeouts=Timeouts(timeout))):
            pass
    except HybridConnectionError as error:
        if error.status != 410:  # 410 Gone is how the service confirms a rejection
            raise
    return f"rejected with {status}"


async def log_outcome(what: str, work: Awaitable[str], correlation_id: str) -> None:
    """Await `work` and log the outcome it returns, or the error it raises, and how long it took.

    Never raises, except when cancelled.
    """
    started = time.monotonic()
    logger.info("sender accepted", extra={"kind": what, "correlation_id": correlation_id})
    try:
        outcome = await work
    except (HybridConnectionError, LimitReached) as error:
        outcome = str(error)
    except ConnectionClosed as closed:
        oversize = closed.sent is not None and closed.sent.code == 1009
        outcome = "refused: the frame is over the limit" if oversize else "the sender disconnected"
    except TimeoutError:
        outcome = "gave up: the other side took too long"
    except Exception:  # the outermost edge of this task
        logger.exception("rendezvous failed", extra={"correlation_id": correlation_id})
        outcome = "failed"
    milliseconds = int((time.monotonic() - started) * 1000)
    details = {"kind": what, "correlation_id": correlation_id, "outcome": outcome, "ms": milliseconds}
    logger.info("sender served", extra=details)
