"""Owns one HTTP request that came through the relay (Hybrid Connections protocol: request, response).

Every request is answered: a listener that lets them time out may be blocked by the service.
"""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable

from relay.hybrid_connection.control_channel import (
    MAX_BODY_BYTES,
    ControlChannel,
    Request,
    RequestElsewhere,
    Response,
    response_messages,
)
from relay.hybrid_connection.places import NoPlace, Places
from relay.hybrid_connection.rendezvous import MeetingLimits, closing, outcome_of
from relay.hybrid_connection.websocket import ClientConnection, FrameLimit, Patience, open_websocket

logger = logging.getLogger(__name__)

Respond = Callable[[Request], Awaitable[Response]]
Messages = tuple[str | bytes, ...]
#: Sends messages one right after the other on the control channel; False where it is not open any more.
SendOnChannel = Callable[[Messages], Awaitable[bool]]


def json_response(status: int, description: str, text: str = "") -> Response:
    """A response of JSON; without a text, one that repeats the description."""
    body = text or json.dumps({"status": "error", "message": description})
    return Response(status, body.encode(), {"Content-Type": "application/json"}, description)


async def nothing_is_served(request: Request) -> Response:
    """404, whatever is asked for."""
    return json_response(404, "Nothing is served here")


async def serve(request: Request, respond: Respond, send: SendOnChannel, places: Places, limits: MeetingLimits) -> None:
    """Answer a request that came on the control channel: there, or at its address if that is too small or is gone."""

    async def answer() -> str:
        response = await _response_in_place(request, respond, places, limits)
        messages = response_messages(request.id, response)
        if len(response.body) > MAX_BODY_BYTES or not await send(messages):
            websocket = await open_websocket(request.address, "response", patience=Patience(limits.join))
            await _send(websocket, messages, limits)
        return f"answered with {response.status}"

    await _logged(answer(), request.correlation_id)


async def serve_elsewhere(event: RequestElsewhere, respond: Respond, places: Places, limits: MeetingLimits) -> None:
    """Fetch a request from its address and answer it there."""

    async def answer() -> str:
        try:
            async with places.taken():
                return await _serve_elsewhere(event, respond, places, limits)
        except NoPlace as busy:
            refusal = json_response(503, str(busy))

            async def refuse(request: Request) -> Response:
                return refusal

            async with places.refusals:
                return await _serve_elsewhere(event, refuse, places, limits)

    await _logged(answer(), event.correlation_id)


async def _serve_elsewhere(event: RequestElsewhere, respond: Respond, places: Places, limits: MeetingLimits) -> str:
    def last_words(first: bytes) -> Messages:
        announced = ControlChannel()
        announced.receive(first.decode(errors="replace"))
        too_large = json_response(413, "Content Too Large", limits.oversize_reply)
        return response_messages(announced.awaited_id, too_large) if announced.awaited_id else ()

    limit = FrameLimit(limits.frame_bytes, last_words)
    websocket = await open_websocket(event.address, "request", patience=Patience(limits.join), limit=limit)
    async with closing(websocket):
        async with places.silence_allowed():
            request = await _receive(websocket)
        response = await _response(request, respond, limits)
        await _send(websocket, response_messages(request.id, response), limits)
        return f"answered with {response.status}"


async def _receive(websocket: ClientConnection) -> Request:
    """The request that comes on a socket of its own, with its body."""
    frames = ControlChannel()
    while True:
        for event in frames.receive(await websocket.recv()):
            if isinstance(event, Request):
                return event


async def _response_in_place(request: Request, respond: Respond, places: Places, limits: MeetingLimits) -> Response:
    try:
        async with places.taken():
            return await _response(request, respond, limits)
    except NoPlace as busy:
        return json_response(503, str(busy))


async def _response(request: Request, respond: Respond, limits: MeetingLimits) -> Response:
    """What is answered, whatever happens."""
    if request.body is None:
        return json_response(400, "The body that was announced did not come")
    try:
        async with asyncio.timeout(limits.response):
            return await respond(request)
    except TimeoutError:
        return json_response(503, "No answer in time: try again")
    except Exception:  # a bug there costs this request only
        logger.exception("request failed", extra={"correlation_id": request.correlation_id})
        return json_response(500, "A fault in the gateway: its log has it")


async def _send(websocket: ClientConnection, messages: Messages, limits: MeetingLimits) -> None:
    async with closing(websocket), asyncio.timeout(limits.reply):
        for message in messages:
            await websocket.send(message)


async def _logged(answering: Awaitable[str], correlation_id: str) -> None:
    started = time.monotonic()
    logger.info("request accepted", extra={"correlation_id": correlation_id})
    outcome = await outcome_of(answering, correlation_id)
    milliseconds = int((time.monotonic() - started) * 1000)
    logger.info("request ended", extra={"correlation_id": correlation_id, "outcome": outcome, "ms": milliseconds})
