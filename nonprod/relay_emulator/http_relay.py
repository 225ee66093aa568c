"""Relay HTTP requests to listeners and their responses back (Hybrid Connections protocol: request, response).

A small request goes through the control channel whole. For a large one, the listener gets only an address, connects to
it, and receives the request there. It may send its response on either of the two.
"""

import asyncio
import json
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed

from nonprod.relay_emulator.addresses import Target, rendezvous_address, request_target
from nonprod.relay_emulator.control_channels import MAX_BODY_BYTES, ControlChannels, NoListener, close_with_tracking_id
from nonprod.relay_emulator.control_messages import ListenerResponse, MessageReader, request_headers
from nonprod.relay_emulator.http_messages import HttpRequest, HttpResponse, Refused, reason_phrase, tracking_id
from nonprod.relay_emulator.port import Connection
from nonprod.relay_emulator.service import Service

#: Of a request's text on the control channel.
MAX_METADATA_BYTES = 32 * 1024


@dataclass(eq=False)
class PendingRequest:
    """A request that waits for its response. The listener receives `text`, then the body if there is one."""

    path: str
    text: str
    body: tuple[bytes, ...]
    fits_control_channel: bool
    response: "asyncio.Future[ListenerResponse]"
    address_used: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class HttpRelay:
    """The requests that wait for a response, by id."""

    def __init__(self, service: Service, control_channels: ControlChannels) -> None:
        self.service, self.control_channels = service, control_channels
        self.pending: dict[str, PendingRequest] = {}

    async def respond(self, path: str, target: Target, request: HttpRequest, private: set[str]) -> HttpResponse:
        """Return a listener's response; raises Refused with 502 or 504. `private` headers are not passed on."""
        identifier = tracking_id()
        address = rendezvous_address(self.service.base, target, "request", identifier)
        message = {
            "address": address,
            "id": identifier,
            "requestTarget": request_target(target),
            "method": request.method,
            "requestHeaders": request_headers(request.headers, self.service.namespace, private=private),
            "body": bool(request.body),
        }
        text = json.dumps({"request": message})
        fits = len(request.body) <= MAX_BODY_BYTES and len(text.encode()) <= MAX_METADATA_BYTES
        response = asyncio.get_running_loop().create_future()
        pending = PendingRequest(path, text, (request.body,) if request.body else (), fits, response)
        self.pending[identifier] = pending
        call, body = (text, pending.body) if fits else (json.dumps({"request": {"address": address}}), ())
        try:
            async with asyncio.timeout(self.service.timeouts.request):
                await self.control_channels.dispatch(path, call, *body)
                return self._http_response(await pending.response)
        except TimeoutError:
            raise Refused(504, "The listener did not respond in time") from None
        except NoListener:
            raise Refused(502, "There are no listeners connected for the endpoint") from None
        finally:
            del self.pending[identifier]
            pending.ended.set()
            self.service.notify()

    def _http_response(self, response: ListenerResponse) -> HttpResponse:
        """Return the sender's response; only one that came from a listener has Via."""
        if not response.status:
            raise Refused(502, "The listener's response cannot be passed on")
        self.service.increment("responded")
        headers = [*response.headers, ("Via", f"1.1 {self.service.namespace}")]
        return HttpResponse(response.status, reason_phrase(response.reason, response.status), headers, response.body)

    def take_response(self, response: ListenerResponse) -> None:
        """Match a response with its request; ignore it if the request does not wait any more."""
        pending = self.pending.get(response.request_id)
        if pending and not pending.response.done():
            pending.response.set_result(response)

    def claim(self, target: Target) -> PendingRequest:
        """Return the request at a rendezvous address; raises Refused if the address is unknown or already used."""
        pending = self.pending.get(target.options.get("id", ""))
        if pending is None or pending.address_used:
            raise Refused(403, "The request's address is not valid, or was used, or its sender has gone")
        pending.address_used = True
        return pending

    async def serve_listener(self, pending: PendingRequest, listener: Connection) -> None:
        """Send the request to the listener's socket unless it went through the control channel, and read responses."""
        exchange = asyncio.create_task(self._exchange(pending, listener))
        ending = asyncio.create_task(pending.ended.wait())
        await asyncio.wait({exchange, ending}, return_when=asyncio.FIRST_COMPLETED)
        for task in (exchange, ending):
            task.cancel()
        await asyncio.gather(exchange, ending, return_exceptions=True)
        if pending.response.done() and not pending.response.cancelled():
            await listener.close()
        else:
            await close_with_tracking_id(listener, 1001, "The sender has disconnected or stopped waiting")

    async def _exchange(self, pending: PendingRequest, listener: Connection) -> None:
        reader = MessageReader()
        try:
            if not pending.fits_control_channel:
                await listener.send(self.control_channels.written(pending.path, pending.text))
                for body in pending.body:
                    await listener.send(body)
            while True:
                message = reader.read(await listener.recv())
                if isinstance(message, ListenerResponse):
                    self.take_response(message)
        except ConnectionClosed:
            return
