"""Owns HTTP requests and their responses, on the control channel or on an address of their own.

Hybrid Connections protocol: request, response.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed

from nonprod.relay_emulator.addresses import Target, rendezvous_address, request_target
from nonprod.relay_emulator.channels import MAX_BODY_BYTES, Listeners, NobodyListens, close
from nonprod.relay_emulator.messages import Answer, Reader, request_headers
from nonprod.relay_emulator.plain_http import HttpRequest, HttpResponse
from nonprod.relay_emulator.port import Connection
from nonprod.relay_emulator.refusals import Refused, reason_phrase, tracking_id
from nonprod.relay_emulator.service import Service

#: Of a request's text on the control channel.
MAX_METADATA_BYTES = 32 * 1024


@dataclass(eq=False)
class Pending:
    """A request that waits for its response. `told`: all of it has gone through the control channel."""

    path: str
    text: str
    body: bytes
    told: bool
    answer: "asyncio.Future[Answer]"
    met: bool = False
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def frames(self) -> list[str | bytes]:
        """The request as a listener gets it."""
        return [self.text, self.body] if self.body else [self.text]


class HttpRequests:
    """The requests that wait for a response, by their id."""

    def __init__(self, service: Service, listeners: Listeners) -> None:
        self.service, self.listeners = service, listeners
        self.pending: dict[str, Pending] = {}

    async def respond(self, path: str, target: Target, request: HttpRequest, private: set[str]) -> HttpResponse:
        """A listener's response; Refused with 502 or 504 when there is none. `private` headers stay here."""
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
        pending = self.pending[identifier] = _pending(path, message, request.body)
        frames = pending.frames if pending.told else [json.dumps({"request": {"address": address}})]
        try:
            async with asyncio.timeout(self.service.timeouts.request):
                await self.listeners.dispatch(path, *frames)
                return self._response(await pending.answer)
        except TimeoutError:
            raise Refused(504, "The listener did not respond in time") from None
        except NobodyListens:
            raise Refused(502, "There are no listeners connected for the endpoint") from None
        finally:
            del self.pending[identifier]
            pending.ended.set()
            self.service.tell()

    def _response(self, answer: Answer) -> HttpResponse:
        """What the sender gets; only a response that came from a listener has Via."""
        if not answer.status:
            raise Refused(502, "The listener's response cannot be passed on")
        self.service.count("responded")
        headers = [*answer.headers, ("Via", f"1.1 {self.service.namespace}")]
        return HttpResponse(answer.status, reason_phrase(answer.reason, answer.status), headers, answer.body)

    def answered(self, answer: Answer) -> None:
        """A response has come, on whatever way; one that nobody waits for is ignored."""
        pending = self.pending.get(answer.request_id)
        if pending and not pending.answer.done():
            pending.answer.set_result(answer)

    def meet(self, target: Target) -> Pending:
        """The request that a listener comes for; an address is good for one connection."""
        pending = self.pending.get(target.options.get("id", ""))
        if pending is None or pending.met:
            raise Refused(403, "The request's address is not valid, or was used, or its sender has gone")
        pending.met = True
        return pending

    async def attend(self, pending: Pending, listener: Connection) -> None:
        """Give the listener the request, if it has not got it yet, and take its response."""
        reading = asyncio.create_task(self._exchange(pending, listener))
        ending = asyncio.create_task(pending.ended.wait())
        await asyncio.wait({reading, ending}, return_when=asyncio.FIRST_COMPLETED)
        for task in (reading, ending):
            task.cancel()
        await asyncio.gather(reading, ending, return_exceptions=True)
        if pending.answer.done() and not pending.answer.cancelled():
            await listener.close()
        else:
            await close(listener, 1001, "The sender has gone, or waits no longer")

    async def _exchange(self, pending: Pending, listener: Connection) -> None:
        reader = Reader()
        try:
            for frame in [] if pending.told else pending.frames:
                await listener.send(frame)
            while True:
                message = reader.read(await listener.recv())
                if isinstance(message, Answer):
                    self.answered(message)
        except ConnectionClosed:
            return


def _pending(path: str, message: dict[str, Any], body: bytes) -> Pending:
    text = json.dumps({"request": message})
    fits = len(body) <= MAX_BODY_BYTES and len(text.encode()) <= MAX_METADATA_BYTES
    return Pending(path, text, body, fits, asyncio.get_running_loop().create_future())
