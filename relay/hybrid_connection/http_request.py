"""Owns one HTTP request that came through the relay (Hybrid Connections protocol: request, response).

Every request is answered: a listener that lets them time out may be blocked by the service.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from .control_channel import MAX_BODY_BYTES, ControlChannel, Request, RequestElsewhere, Response, response_messages
from .failures import HybridConnectionError
from .rendezvous import MeetingLimits, told
from .rendezvous_limit import NoPlace, Places
from .websocket import ClientConnection, FrameLimit, Patience, closing, open_websocket

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
        if len(response.body) > MAX_BODY_BYTES:
            return await _deliver_large(request, response, send, limits)
        if not await send(response_messages(request.id, response)):
            await _deliver_at_address(request, response, limits)
        return f"answered with {response.status}"

    await told("request", answer(), request.correlation_id)


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

            async with places.refusal():
                return await _serve_elsewhere(event, refuse, places, limits)

    await told("request", answer(), event.correlation_id)


async def _serve_elsewhere(event: RequestElsewhere, respond: Respond, places: Places, limits: MeetingLimits) -> str:
    def last_words(first: bytes) -> Messages:
        announced = ControlChannel()
        announced.receive(first.decode(errors="replace"))
        too_large = json_response(413, "Content Too Large", limits.oversize_reply)
        return response_messages(announced.awaited_id, too_large) if announced.awaited_id else ()

    limit, patience = FrameLimit(limits.frame_bytes, last_words), Patience(limits.join)
    websocket = await open_websocket(event.address, "request", patience=patience, limit=limit)
    async with closing(websocket):
        request = await _receive(websocket, places)
        response = await _response(request, respond, limits)
        await _send(websocket, response_messages(request.id, response), limits)
        return f"answered with {response.status}"


async def _receive(websocket: ClientConnection, places: Places) -> Request:
    """The request that comes on a socket of its own, with its body if that comes in time."""
    frames = ControlChannel()
    try:
        async with places.silence_allowed():
            while True:
                for event in frames.receive(await websocket.recv()):
                    if isinstance(event, Request):
                        return event
    except TimeoutError:
        for event in frames.give_up_body():
            if isinstance(event, Request):
                return event
        raise


async def _response_in_place(request: Request, respond: Respond, places: Places, limits: MeetingLimits) -> Response:
    try:
        async with asyncio.timeout(limits.response), places.taken():
            return await _response(request, respond, limits)
    except NoPlace as busy:
        return json_response(503, str(busy))
    except TimeoutError:
        return _late()


async def _response(request: Request, respond: Respond, limits: MeetingLimits) -> Response:
    """What is answered, whatever happens."""
    if request.body is None:
        return json_response(400, "The body that was announced did not come")
    try:
        async with asyncio.timeout(limits.response):
            return await respond(request)
    except TimeoutError:
        return _late()
    except Exception:  # a bug there costs this request only
        logger.exception("request failed", extra={"correlation_id": request.correlation_id})
        return json_response(500, "A fault in the gateway: its log has it")


def _late() -> Response:
    return json_response(503, "No answer in time: try again")


async def _deliver_large(request: Request, response: Response, send: SendOnChannel, limits: MeetingLimits) -> str:
    """At the address alone; where that cannot be had, the asker is told at least that there was an answer."""
    try:
        await _deliver_at_address(request, response, limits)
    except HybridConnectionError as error:
        logger.warning("large response not delivered", extra={"reason": str(error)})
        lost = json_response(503, "The answer is large and could not be delivered: try again")
        await send(response_messages(request.id, lost))
        return "answered with 503 instead"
    return f"answered with {response.status}"


async def _deliver_at_address(request: Request, response: Response, limits: MeetingLimits) -> None:
    websocket = await open_websocket(request.address, "response", patience=Patience(limits.join))
    async with closing(websocket):
        await _send(websocket, response_messages(request.id, response), limits)


async def _send(websocket: ClientConnection, messages: Messages, limits: MeetingLimits) -> None:
    async with asyncio.timeout(limits.reply):
        for message in messages:
            await websocket.send(message)
