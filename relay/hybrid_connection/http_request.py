"""Answer HTTP requests that came through the relay (Hybrid Connections protocol: request, response).

The request arrives on the control channel, or at a rendezvous when it is large or chunked, or when the service keeps an
earlier rendezvous of the same sender. Every request is answered, even if only with an error: the service may block a
listener that lets them time out.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

from .control_channel import read_events
from .control_protocol import MAX_BODY_BYTES, ControlProtocol, RendezvousRequest, Request, Response, response_messages
from .failures import HybridConnectionError
from .rendezvous import RendezvousPolicy, log_outcome
from .rendezvous_limit import LimitReached, RendezvousLimit
from .websocket import ClientConnection, FrameLimit, aborted_on_failure, closing, open_websocket

logger = logging.getLogger(__name__)

#: How many requests of one sender may wait while another is answered; any more are left unread on the socket.
MAX_UNANSWERED = 8

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
    due = asyncio.get_running_loop().time() + policy.response
    rendezvous = RequestRendezvous(request.address, limit, policy)

    async def serve() -> str:
        response = await _response_in_slot(request, respond, limit, due)
        messages = response_messages(request.id, response)
        is_large = len(response.body) > MAX_BODY_BYTES
        if is_large or not await send(messages):
            try:
                await rendezvous.join("response")
                await rendezvous.send(messages)
            except HybridConnectionError as error:
                if not is_large:
                    raise
                logger.warning("large response not delivered", extra={"reason": str(error)})
                lost = json_response(503, "The response is large and could not be delivered: try again")
                await send(response_messages(request.id, lost))
                return "answered with 503 instead"
        return f"answered with {response.status}"

    async with rendezvous:
        await log_outcome("request", serve(), request.correlation_id)
        await rendezvous.serve_next_requests(respond)


async def serve_rendezvous_request(
    event: RendezvousRequest, respond: Respond, limit: RendezvousLimit, policy: RendezvousPolicy
) -> None:
    """Fetch a request from its rendezvous and answer it there, and then the sender's next requests. Never raises."""
    rendezvous = RequestRendezvous(event.address, limit, policy)

    async def serve() -> str:
        try:
            async with limit.acquire():
                return await rendezvous.serve_first_request(respond)
        except LimitReached as busy:
            refusal = json_response(503, str(busy))

            async def refuse(request: Request) -> Response:
                return refusal

            async with limit.rejecting():
                return await rendezvous.serve_first_request(refuse)

    async with rendezvous:
        await log_outcome("request", serve(), event.correlation_id)
        await rendezvous.serve_next_requests(respond)


class RequestRendezvous:
    """A WebSocket at a request's address; `join` opens it, and leaving the `async with` block closes it.

    The service keeps it, and sends the sender's next requests over it; one may come before the previous response.
    Whoever closes it cuts off the sender. So it stays open until the service closes it, or until it has been idle for
    `RendezvousPolicy.keep` seconds. Requests are answered one after the other, in the order of their arrival.
    """

    def __init__(self, address: str, limit: RendezvousLimit, policy: RendezvousPolicy) -> None:
        self._address, self._limit, self._policy = address, limit, policy
        self._protocol = ControlProtocol()
        #: The requests that have arrived, each with the loop's time at which its response is due; None at the end.
        self._arrived: asyncio.Queue[tuple[Request, float] | None] = asyncio.Queue(MAX_UNANSWERED)
        self._open = AsyncExitStack()
        self._websocket: ClientConnection | None = None

    async def __aenter__(self) -> "RequestRendezvous":
        return self

    async def __aexit__(self, *raised: Any) -> None:
        await self._open.__aexit__(*raised)

    async def join(self, phase: str) -> ClientConnection:
        """Open the WebSocket and begin to read it; raise HybridConnectionError if that fails."""
        frame_limit = FrameLimit(self._policy.frame_bytes, self._refuse_too_large)
        self._websocket = await open_websocket(self._address, phase, timeouts=self._policy.timeouts, limit=frame_limit)
        await self._open.enter_async_context(closing(self._websocket))
        reading = asyncio.create_task(self._read(self._websocket), name="request-rendezvous")
        self._open.callback(reading.cancel)
        return self._websocket

    async def send(self, messages: Messages) -> None:
        """Send a response, once joined; abort the rendezvous when the other side does not take it in time."""
        if self._websocket:
            async with aborted_on_failure(self._websocket), asyncio.timeout(self._policy.reply):
                for message in messages:
                    await self._websocket.send(message)

    async def serve_first_request(self, respond: Respond) -> str:
        """Join, and answer the request that comes first, in a slot that the caller holds; return the outcome."""
        websocket = await self.join("request")
        async with aborted_on_failure(websocket):
            try:
                async with self._limit.receiving():
                    arrived = await self._arrived.get()
            except TimeoutError:
                unfinished = [event for event in self._protocol.give_up_body() if isinstance(event, Request)]
                if not unfinished:
                    raise
                arrived = unfinished[0], asyncio.get_running_loop().time() + self._policy.response
            if arrived is None:
                await websocket.recv()  # raises ConnectionClosed, which says why
                return ""
            request, due = arrived
            response = await _response_to(request, respond, due)
            await self.send(response_messages(request.id, response))
            return f"answered with {response.status}"

    async def serve_next_requests(self, respond: Respond) -> None:
        """Answer further requests until the rendezvous is closed or idle for too long; each needs a slot. Never raises.

        Does nothing unless it was joined.
        """

        async def serve(request: Request, due: float) -> str:
            response = await _response_in_slot(request, respond, self._limit, due)
            await self.send(response_messages(request.id, response))
            return f"answered with {response.status}"

        with suppress(TimeoutError):
            while self._websocket:
                async with self._limit.keeping(self._policy.keep):
                    arrived = await self._arrived.get()
                if arrived is None:
                    return
                await log_outcome("request", serve(*arrived), arrived[0].correlation_id)

    async def _read(self, websocket: ClientConnection) -> None:
        now = asyncio.get_running_loop().time
        # A large body takes longer than one that fits on the control channel.
        async for event in read_events(websocket, self._protocol, self._limit.idle_timeout):
            if isinstance(event, Request):
                await self._arrived.put((event, now() + self._policy.response))
        await self._arrived.put(None)

    def _refuse_too_large(self, head: bytes) -> Messages:
        # A request's head comes first, then its body, which is the frame over the limit.
        protocol = ControlProtocol()
        protocol.receive(head.decode(errors="replace"))
        refusal = json_response(413, "Content Too Large", self._policy.oversize_reply)
        return response_messages(protocol.awaited_id, refusal) if protocol.awaited_id else ()


async def _response_in_slot(request: Request, respond: Respond, limit: RendezvousLimit, due: float) -> Response:
    """Return the handler's response, or an error response; `due` (the loop's time) includes the wait for a slot."""
    try:
        async with asyncio.timeout_at(due), limit.acquire():
            return await _response_to(request, respond, due)
    except LimitReached as busy:
        return json_response(503, str(busy))
    except TimeoutError:
        return NO_RESPONSE_IN_TIME


async def _response_to(request: Request, respond: Respond, due: float) -> Response:
    """Return the handler's response, or an error response when it raises, is late, or the body never came."""
    if request.body is None:
        return json_response(400, "The request body did not arrive")
    try:
        async with asyncio.timeout_at(due):
            return await respond(request)
    except TimeoutError:
        return NO_RESPONSE_IN_TIME
    except Exception:  # the edge of the handler: its fault must cost this request only, and still be answered
        logger.exception("request failed", extra={"correlation_id": request.correlation_id})
        return json_response(500, "A fault in the gateway: see its log")
