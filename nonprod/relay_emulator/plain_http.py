"""Owns HTTP/1.1 where no WebSocket is asked for: requests in, responses out, one after the other (RFC 9112)."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import h11

from nonprod.relay_emulator.messages import Headers
from nonprod.relay_emulator.refusals import Refused

#: The service takes 32 kB of headers through the control channel, and more through a rendezvous.
MAX_HEAD_BYTES = 256 * 1024
CLOSING_SECONDS = 2.0
WITHOUT_BODY = {204, 304}


@dataclass(frozen=True)
class HttpRequest:
    """A request with all of its body. `target` may have a token in it."""

    method: str
    target: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class HttpResponse:
    """A response, without what belongs to the connection: Date, Content-Length, Connection."""

    status: int
    reason: str
    headers: Headers = field(default_factory=list, repr=False)
    body: bytes = field(default=b"", repr=False)


class Gone(Exception):
    """The client has closed its connection, or lost it."""


class Line(Protocol):
    """A TCP connection, as far as HTTP needs it."""

    @property
    def transport(self) -> asyncio.Transport: ...
    @property
    def connection_lost_waiter(self) -> "asyncio.Future[None]": ...
    async def drain(self) -> None: ...


Respond = Callable[[HttpRequest], Coroutine[object, object, HttpResponse]]
Refuse = Callable[[Refused], HttpResponse]
T = TypeVar("T")


async def unless_gone(line: Line, work: Coroutine[object, object, T]) -> T:
    """The work's result; the work is cancelled, and Gone raised, when the client goes first."""
    task = asyncio.create_task(work)
    try:
        either: set[asyncio.Future[Any]] = {task, line.connection_lost_waiter}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Gone
        return task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


async def converse(
    line: Line, stream: asyncio.StreamReader, respond: Respond, refuse: Refuse, date: Callable[[], str]
) -> None:
    """Answer requests until the client or HTTP wants no more; then close the connection."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        while request := await _next_request(http, line, stream):
            response = await unless_gone(line, respond(request))
            await _send(http, line, response, request.method, date())
            if http.our_state is not h11.DONE:
                break
            http.start_next_cycle()
    except h11.RemoteProtocolError as error:
        if http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            await _send(http, line, refuse(Refused(error.error_status_hint, "This is no HTTP")), "", date())
    except Gone:
        pass
    finally:
        line.transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await asyncio.shield(line.connection_lost_waiter)


async def _next_request(http: h11.Connection, line: Line, stream: asyncio.StreamReader) -> HttpRequest | None:
    """The next request with its body; None when there is none to come."""
    head = await _next_event(http, stream)
    if not isinstance(head, h11.Request):
        return None
    body = bytearray()
    if http.they_are_waiting_for_100_continue:
        line.transport.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
    while isinstance(data := await _next_event(http, stream), h11.Data):
        body += data.data
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items()]
    return HttpRequest(head.method.decode("ascii"), head.target.decode("latin-1"), headers, bytes(body))


async def _next_event(http: h11.Connection, stream: asyncio.StreamReader) -> h11.Event | type[h11.PAUSED]:
    while (event := http.next_event()) is h11.NEED_DATA:
        http.receive_data(await stream.read(2**16))
    return event  # type: ignore[return-value]


async def _send(http: h11.Connection, line: Line, response: HttpResponse, method: str, date: str) -> None:
    """The response, with what the connection needs; a Date that the listener gave stays."""
    body = b"" if method == "HEAD" or response.status in WITHOUT_BODY else response.body
    headers = list(response.headers)
    if "date" not in {name.lower() for name, _ in headers}:
        headers.append(("Date", date))
    if method != "HEAD" and response.status not in WITHOUT_BODY:
        headers.append(("Content-Length", str(len(body))))
    encoded = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers]
    reason = response.reason.encode("latin-1", "replace")
    head = h11.Response(status_code=response.status, headers=encoded, reason=reason)
    for event in (head, h11.Data(data=body), h11.EndOfMessage()):
        line.transport.write(http.send(event) or b"")
    await line.drain()
