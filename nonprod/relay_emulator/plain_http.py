"""Serve HTTP/1.1 requests on a connection that does not ask for a WebSocket (RFC 9112)."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import h11

from nonprod.relay_emulator.http_messages import HttpRequest, HttpResponse, Refused

#: The service takes 32 kB of headers through the control channel, and more through a rendezvous.
MAX_HEAD_BYTES = 256 * 1024
CLOSING_SECONDS = 2.0
WITHOUT_BODY = {204, 304}


class ClientDisconnected(Exception):
    """The client has closed or lost its connection."""


class TcpConnection(Protocol):
    """What HTTP needs of a TCP connection."""

    @property
    def transport(self) -> asyncio.Transport: ...
    @property
    def connection_lost_waiter(self) -> "asyncio.Future[None]": ...
    async def drain(self) -> None: ...


Respond = Callable[[HttpRequest], Coroutine[object, object, HttpResponse]]
Refuse = Callable[[Refused], HttpResponse]
T = TypeVar("T")


async def unless_disconnected(connection: TcpConnection, work: Coroutine[object, object, T]) -> T:
    """Return the work's result; if the client disconnects first, cancel the work and raise ClientDisconnected."""
    task = asyncio.create_task(work)
    try:
        either: set[asyncio.Future[Any]] = {task, connection.connection_lost_waiter}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnected
        return task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


async def serve_http(
    connection: TcpConnection,
    stream: asyncio.StreamReader,
    respond: Respond,
    refuse: Refuse,
    date: Callable[[], str],
) -> None:
    """Answer requests one after the other until the client or HTTP ends the connection; then close it."""
    http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        while request := await _next_request(http, connection, stream):
            response = await unless_disconnected(connection, respond(request))
            await _send(http, connection, response, request.method, date())
            if http.our_state is not h11.DONE:
                break
            http.start_next_cycle()
    except h11.RemoteProtocolError as error:
        if http.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            response = refuse(Refused(error.error_status_hint, "The request is not valid HTTP"))
            await _send(http, connection, response, "", date())
    except ClientDisconnected:
        pass
    finally:
        connection.transport.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                await asyncio.shield(connection.connection_lost_waiter)


async def _next_request(
    http: h11.Connection, connection: TcpConnection, stream: asyncio.StreamReader
) -> HttpRequest | None:
    """Return the next request with its body; None if the client sends no more."""

    async def next_event() -> Any:
        while (event := http.next_event()) is h11.NEED_DATA:
            http.receive_data(await stream.read(2**16))
        return event

    head = await next_event()
    if not isinstance(head, h11.Request):
        return None
    body = bytearray()
    if http.they_are_waiting_for_100_continue:
        connection.transport.write(http.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
    while isinstance(data := await next_event(), h11.Data):
        body += data.data
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers.raw_items()]
    return HttpRequest(head.method.decode("ascii"), head.target.decode("latin-1"), headers, bytes(body))


async def _send(
    http: h11.Connection, connection: TcpConnection, response: HttpResponse, method: str, date: str
) -> None:
    """Send a response with Content-Length and Date; a Date given by the listener is kept."""
    has_body = method != "HEAD" and response.status not in WITHOUT_BODY
    body = response.body if has_body else b""
    headers = list(response.headers)
    if "date" not in {name.lower() for name, _ in headers}:
        headers.append(("Date", date))
    if has_body:
        headers.append(("Content-Length", str(len(body))))
    encoded = [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers]
    reason = response.reason.encode("latin-1", "replace")
    head = h11.Response(status_code=response.status, headers=encoded, reason=reason)
    for event in (head, h11.Data(data=body), h11.EndOfMessage()):
        connection.transport.write(http.send(event) or b"")
    await connection.drain()
