"""Owns one meeting with one sender (Hybrid Connections protocol: accept, reject)."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from websockets.exceptions import ConnectionClosed

from relay.hybrid_connection.address import rejecting
from relay.hybrid_connection.control_channel import Accept
from relay.hybrid_connection.websocket import HybridConnectionError, open_websocket

logger = logging.getLogger(__name__)

#: A frame up to this size is received, so that one over the contract's limit can still be told so. Bytes.
MAX_FRAME_BYTES = 16 * 1024 * 1024
RECEIVE_TIMEOUT = 30.0

Answer = Callable[[bytes, Accept], Awaitable[str]]


async def meet(accept: Accept, answer: Answer) -> None:
    """Join the sender, take one frame, give one text, close. Never raises: a bad sender must not end the listener."""
    started = time.monotonic()
    logger.info("rendezvous accepted", extra={"correlation_id": accept.id})
    try:
        outcome = await _meet(accept, answer)
    except (HybridConnectionError, ConnectionClosed, TimeoutError) as error:
        outcome = str(error) if isinstance(error, HybridConnectionError) else f"sender lost ({type(error).__name__})"
    except Exception:  # the outermost edge of this task
        logger.exception("rendezvous failed", extra={"correlation_id": accept.id})
        return
    milliseconds = int((time.monotonic() - started) * 1000)
    logger.info("rendezvous ended", extra={"correlation_id": accept.id, "outcome": outcome, "ms": milliseconds})


async def _meet(accept: Accept, answer: Answer) -> str:
    websocket = await open_websocket(accept.address, "rendezvous", max_size=MAX_FRAME_BYTES)
    async with websocket:
        async with asyncio.timeout(RECEIVE_TIMEOUT):
            # decode=False: a text that is not UTF-8 gets an answer, too, instead of a closed socket.
            frame = await websocket.recv(decode=False)
        reply = await answer(frame, accept)
        await websocket.send(reply)
        return "answered"


async def reject(accept: Accept, status: int, description: str) -> None:
    """Tell the sender why nobody comes. It never raises."""
    try:
        websocket = await open_websocket(rejecting(accept.address, status, description), "rejection")
        await websocket.close()
    except HybridConnectionError as error:
        expected = error.status == 410  # the service's way to say that the rejection has arrived
        logger.log(
            logging.INFO if expected else logging.WARNING,
            "rendezvous rejected",
            extra={"correlation_id": accept.id, "status": status},
        )
