"""Answer one HTTP request that came through the relay (Hybrid Connections protocol: request, response).

The request arrives on the control channel, or at a rendezvous of its own when it is large or chunked. Every request is
answered, even if only with an error: the service may block a listener that lets them time out.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable

from .control_protocol import MAX_BODY_BYTES, ControlProtocol, RendezvousRequest, Request, Response, response_messages
from .failures import HybridConnectionError
from .rendezvous import RendezvousPolicy, log_outcome
from .rendezvous_limit import LimitReached, RendezvousLimit
from .websocket import ClientConnection, FrameLimit, Timeouts, closing, open_websocket

logger = logging.getLogger(__name__)

#: Handles an HTTP request.
Respond = Callable[[Request], Awaitable[Response]]
Messages = tuple[str | bytes, ...]
#: Sends messages on the control channel with no other message in between; returns False when it is no longer open.
SendOnChannel = Callable[[Messages], Awaitable[bool]]


def json_response(status: int, description: str, text: str = "") -> Response:
    """Return a JSON response; without `text` its body repeats the description."""
    body = text or json.dumps({"status": "error", "message": description})
    return Response(status, body.encode(), {"Content-Type": "application/json"}, description)


NO_RESPONSE_IN_TIME = json_response(503, "No response in time: try again")


async def not_found(request: Request) -> Response:
    """Respond with 404 to any request: the default of a listener that serves no HTTP."""
    return json_response(404, "Nothing is served here")


async def serve_request(
    request: Request, respond: Respond, send: SendOnChannel, limit: RendezvousLimit, policy: RendezvousPolicy
) -> None:
    """Answer a request that came on the control channel. Never raises.

    The response goes back on the channel, or by a rendezvous at the request's address when the response is too large
    for the channel or the channel is lost.
    """

    async def serve() -> str:
        try:
            async with asyncio.timeout(policy.response), limit.acquire():
                response = await _response_to(request, respond, policy)
        except LimitReached as busy:
            response = json_response(503, str(busy))
        except TimeoutError:
            response = NO_RESPONSE_IN_TIME
        messages = response_messages(request.id, response)
        is_large = len(response.body) > MAX_BODY_BYTES
        if is_large or not await send(messages):
            try:
                websocket = await open_websocket(request.address, "response", timeouts=Timeouts(policy.join))
                async with closing(websocket):
                    await _send(websocket, messages, policy)
            except HybridConnectionError as error:
                if not is_large:
                    raise
                logger.warning("large response not delivered", extra={"reason": str(error)})
                lost = json_response(503, "The response is large and could not be delivered: try again")
                await send(response_messages(request.id, lost))
                return "answered with 503 instead"
        return f"answered with {response.status}"

    await log_outcome("request", serve(), request.correlation_id)


async def serve_rendezvous_request(
    event: RendezvousRequest, respond: Respond, limit: RendezvousLimit, policy: RendezvousPolicy
) -> None:
    """Fetch a request from its rendezvous and answer it there. Never raises."""

    async def serve() -> str:
        try:
            async with limit.acquire():
                return await _serve_at_rendezvous(event, respond, limit, policy)
        except LimitReached as busy:
            refusal = json_response(503, str(busy))

            async def refuse(request: Request) -> Response:
                return refusal

            async with limit.rejecting():
                return await _serve_at_rendezvous(event, refuse, limit, policy)

    await log_outcome("request", serve(), event.correlation_id)


async def _serve_at_rendezvous(
    event: RendezvousRequest, respond: Respond, limit: RendezvousLimit, policy: RendezvousPolicy
) -> str:
    def too_large(first_frame: bytes) -> Messages:
        # The request's head comes first, then its body, which is the frame over the limit.
        protocol = ControlProtocol()
        protocol.receive(first_frame.decode(errors="replace"))
        refusal = json_response(413, "Content Too Large", policy.oversize_reply)
        return response_messages(protocol.awaited_id, refusal) if protocol.awaited_id else ()

    frame_limit = FrameLimit(policy.frame_bytes, too_large)
    websocket = await open_websocket(event.address, "request", timeouts=Timeouts(policy.join), limit=frame_limit)
    async with closing(websocket):
        request = await _receive(websocket, limit)
        response = await _response_to(request, respond, policy)
        await _send(websocket, response_messages(request.id, response), policy)
        return f"answered with {response.status}"


async def _receive(websocket: ClientConnection, limit: RendezvousLimit) -> Request:
    """Receive the request, with `body=None` when only its body fails to come in time."""
    protocol = ControlProtocol()
    try:
        async with limit.receiving():
            while True:
                for event in protocol.receive(await websocket.recv()):
                    if isinstance(event, Request):
                        return event
    except TimeoutError:
        for event in protocol.give_up_body():
            if isinstance(event, Request):
                return event
        raise


async def _response_to(request: Request, respond: Respond, policy: RendezvousPolicy) -> Response:
    """Return the handler's response, or an error response when it raises, is late, or the body never came."""
    if request.body is None:
        return json_response(400, "The announced body did not come")
    try:
        async with asyncio.timeout(policy.response):
            return await respond(request)
    except TimeoutError:
        return NO_RESPONSE_IN_TIME
    except Exception:  # the edge of the handler: its fault must cost this request only, and still be answered
        logger.exception("request failed", extra={"correlation_id": request.correlation_id})
        return json_response(500, "A fault in the gateway: see its log")


async def _send(websocket: ClientConnection, messages: Messages, policy: RendezvousPolicy) -> None:
    async with asyncio.timeout(policy.reply):
        for message in messages:
            await websocket.send(message)
