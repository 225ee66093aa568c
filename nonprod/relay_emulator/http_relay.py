"""Relay HTTP requests to listeners and their responses back (Hybrid Connections protocol: request, response).

A small request goes through the control channel whole. For a large one, the listener gets only an address, connects to
it, and receives the request there. It may send its response on either of the two. With the fault `keep_rendezvous`,
that connection is kept and carries the next requests too.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field

from websockets.exceptions import ConnectionClosed

from nonprod.relay_emulator.addresses import Target, rendezvous_address, request_target
from nonprod.relay_emulator.control_channels import MAX_BODY_BYTES, ControlChannels, NoListener, close_with_tracking_id
from nonprod.relay_emulator.control_messages import ListenerResponse, MessageReader, request_headers
from nonprod.relay_emulator.faults import KeepRendezvous
from nonprod.relay_emulator.http_messages import HttpRequest, HttpResponse, Refused, reason_phrase, tracking_id
from nonprod.relay_emulator.port import Connection
from nonprod.relay_emulator.service import Service

#: Of a request's text on the control channel.
MAX_METADATA_BYTES = 32 * 1024


@dataclass(eq=False)
class PendingRequest:
    """A request that waits for its response. The listener receives `text`, then the body if there is one."""

    path: str
    sender: Connection
    text: str
    body: tuple[bytes, ...]
    fits_control_channel: bool
    response: "asyncio.Future[ListenerResponse]"
    is_kept: bool = False
    address_used: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(eq=False)
class KeptRendezvous:
    """A listener's socket over which the next requests go, and the senders who have used it and are connected."""

    listener: Connection
    senders: set[Connection] = field(default_factory=set)
    unused: asyncio.Event = field(default_factory=asyncio.Event)
    sending: asyncio.Lock = field(default_factory=asyncio.Lock)

    def add(self, sender: Connection) -> None:
        """Keep the rendezvous open until this sender has disconnected too."""

        def discard(_: object) -> None:
            self.senders.discard(sender)
            if not self.senders:
                self.unused.set()

        self.senders.add(sender)
        sender.connection_lost_waiter.add_done_callback(discard)

    async def send(self, *frames: str | bytes) -> None:
        """Send a request's frames with no others between them."""
        async with self.sending:
            for frame in frames:
                await self.listener.send(frame)


class HttpRelay:
    """The requests that wait for a response, by id, and the rendezvous that are kept, by hybrid connection."""

    def __init__(self, service: Service, control_channels: ControlChannels) -> None:
        self.service, self.control_channels = service, control_channels
        self.pending: dict[str, PendingRequest] = {}
        self.kept: dict[str, KeptRendezvous] = {}

    async def respond(
        self, path: str, sender: Connection, target: Target, request: HttpRequest, private: set[str]
    ) -> HttpResponse:
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
        kept = self.kept.get(path)
        keep = None if kept else self.service.faults.take(KeepRendezvous, path)
        forced = keep is not None and keep.forced
        fits = not forced and len(request.body) <= MAX_BODY_BYTES and len(text.encode()) <= MAX_METADATA_BYTES
        response = asyncio.get_running_loop().create_future()
        body = (request.body,) if request.body else ()
        pending = PendingRequest(path, sender, text, body, fits, response, is_kept=keep is not None)
        self.pending[identifier] = pending
        try:
            async with asyncio.timeout(self.service.timeouts.request):
                if kept:
                    await self._send_over(kept, pending)
                elif fits:
                    await self.control_channels.dispatch(path, text, *body)
                else:
                    await self.control_channels.dispatch(path, json.dumps({"request": {"address": address}}))
                return self._http_response(await pending.response)
        except TimeoutError:
            raise Refused(504, "The listener did not respond in time") from None
        except NoListener:
            raise Refused(502, "There are no listeners connected for the endpoint") from None
        finally:
            del self.pending[identifier]
            pending.ended.set()
            self.service.notify()

    async def _send_over(self, kept: KeptRendezvous, pending: PendingRequest) -> None:
        kept.add(pending.sender)
        self.service.increment("kept")
        with suppress(ConnectionClosed):  # `_keep` cuts off the sender
            await kept.send(self.control_channels.written(pending.path, pending.text), *pending.body)

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
        if pending.is_kept:
            await self._keep(pending, listener)
            return
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

    async def _keep(self, pending: PendingRequest, listener: Connection) -> None:
        """Route the next requests over the listener's socket too; cut off their senders if the listener closes it."""
        kept = self.kept[pending.path] = KeptRendezvous(listener)
        kept.add(pending.sender)
        exchange = asyncio.create_task(self._exchange(pending, listener))
        unused = asyncio.create_task(kept.unused.wait())
        await asyncio.wait({exchange, unused}, return_when=asyncio.FIRST_COMPLETED)
        if self.kept.get(pending.path) is kept:  # not another one, kept for a request that came at the same moment
            del self.kept[pending.path]
        for sender in kept.senders:
            sender.transport.abort()
        self.service.notify()
        for task in (exchange, unused):
            task.cancel()
        await asyncio.gather(exchange, unused, return_exceptions=True)
        await listener.close()

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
