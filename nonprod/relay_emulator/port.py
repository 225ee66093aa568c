"""Serve WebSockets and plain HTTP on one TCP port.

The websockets package accepts no request with a body. Each connection therefore buffers the head of its first request:
if it asks for an upgrade, the bytes go on to websockets, otherwise `plain_http` answers. A connection can also be made
to fail here, in ways that a real server never would.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import Event, State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from nonprod.relay_emulator.http_messages import HttpRequest, HttpResponse, Refused
from nonprod.relay_emulator.plain_http import MAX_HEAD_BYTES, serve_http
from nonprod.relay_emulator.service import Service

END_OF_HEAD = b"\r\n\r\n"
UPGRADE = re.compile(rb"^upgrade:[ \t]*websocket[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)

# websockets logs frames and headers at DEBUG, with tokens and patient data in them.
quiet = logging.getLogger("websockets.server.relay_emulator")
quiet.setLevel(logging.WARNING)


class Connection(ServerConnection):
    """One TCP connection. While `half_open`, it receives bytes but sends none."""

    def __init__(self, port: "Port", protocol: ServerProtocol, server: Server, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        self.port = port
        self.half_open = False
        #: The subprotocol in the response to this handshake.
        self.chosen_subprotocol: Subprotocol | None = None
        #: Chosen during the handshake, and called once the socket is open.
        self.on_open: Callable[[], Awaitable[None]]
        #: Called for each ping that arrives.
        self.on_ping: Callable[[], None] = lambda: None
        #: The start of the first request, until it is known whether it asks for an upgrade.
        self._head: bytearray | None = bytearray()
        self._classified: asyncio.Future[None] = self.loop.create_future()
        self._stream: asyncio.StreamReader | None = None

    @property
    def is_not_websocket(self) -> bool:
        """Whether this is plain HTTP, or not yet known."""
        return self._stream is not None or self._head is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.port.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.port.connections.discard(self)
        if self._stream:
            self._stream.feed_eof()

    def data_received(self, data: bytes) -> None:
        if self.half_open:
            return
        if self._stream:
            self._stream.feed_data(data)
        elif self._head is None:
            super().data_received(data)
        else:
            self._head += data
            if END_OF_HEAD in self._head or len(self._head) > MAX_HEAD_BYTES:
                self._classify(bytes(self._head))

    def _classify(self, received: bytes) -> None:
        self._head = None
        if UPGRADE.search(received.partition(END_OF_HEAD)[0]):
            super().data_received(received)
        else:
            self._stream = asyncio.StreamReader()
            self._stream.set_transport(self.transport)
            self._stream.feed_data(received)
        self._classified.set_result(None)

    def eof_received(self) -> None:
        """End a WebSocket; a plain HTTP client may still wait for its response."""
        if not self._stream:
            super().eof_received()

    def process_event(self, event: Event) -> None:
        super().process_event(event)
        if isinstance(event, Frame) and event.opcode is Opcode.PING:
            self.on_ping()

    def send_data(self) -> None:
        """Send websockets' pending bytes, or drop them while half open."""
        if self.half_open:
            self.protocol.data_to_send()
        else:
            super().send_data()

    def cut(self, message: str | bytes) -> None:
        """Send half a frame, then break the connection."""
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        data = message.encode() if isinstance(message, str) else message
        frame = Frame(opcode, data).serialize(mask=False)
        self.transport.write(frame[: max(1, len(frame) // 2)])
        self.transport.abort()

    async def handshake(self, *args: Any, **options: Any) -> None:
        """Serve plain HTTP to its end, or go on to the WebSocket handshake."""
        async with asyncio.timeout(self.port.service.timeouts.head):
            await asyncio.wait({self._classified, self.connection_lost_waiter}, return_when=asyncio.FIRST_COMPLETED)
        if self._stream:
            service = self.port.service
            await serve_http(self, self._stream, partial(self.port.respond, self), service.refusal, service.date)
        else:
            await super().handshake(*args, **options)


Admit = Callable[[Connection, Request], Awaitable[HttpResponse | None]]
Respond = Callable[[Connection, HttpRequest], Coroutine[object, object, HttpResponse]]


class Port:
    """A port on loopback. `admit` returns the response that refuses a handshake, or None; `respond` answers HTTP."""

    def __init__(self, service: Service, admit: Admit, respond: Respond) -> None:
        self.service, self.admit, self.respond = service, admit, respond
        self.connections: set[Connection] = set()

    async def open(self, number: int, tls: ssl.SSLContext | None) -> int:
        """Listen on this port, or on a free one if `number` is 0; return its number."""
        self._server = await serve(
            lambda connection: cast(Connection, connection).on_open(),
            "127.0.0.1",
            number,
            process_request=self._process_request,
            process_response=self._process_response,
            select_subprotocol=lambda connection, _: cast(Connection, connection).chosen_subprotocol,
            create_connection=cast(type[ServerConnection], partial(Connection, self)),
            server_header=None,
            compression=None,
            max_size=None,
            open_timeout=None,
            # The service sends no pings: a listener must find out by itself that its channel is dead.
            ping_interval=None,
            close_timeout=self.service.timeouts.closing,
            ssl=tls,
            logger=quiet,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close open WebSockets with 1001, and break all other connections."""
        self._server.close()
        self._abort(lambda connection: connection.half_open or connection.is_not_websocket)
        closing = {asyncio.ensure_future(self._server.wait_closed())}
        _, late = await asyncio.wait(closing, timeout=self.service.timeouts.closing)
        if late:
            self._abort(lambda _: True)
            await asyncio.wait(late, timeout=self.service.timeouts.closing)

    def _abort(self, fits: Callable[[Connection], bool]) -> None:
        for connection in [connection for connection in self.connections if fits(connection)]:
            connection.transport.abort()

    async def _process_request(self, connection: ServerConnection, request: Request) -> Response | None:
        response = await self.admit(cast(Connection, connection), request)
        return _handshake_response(response) if response else None

    def _process_response(self, connection: ServerConnection, request: Request, response: Response) -> Response:
        """Add the service's Date, and give the refusals of the websockets package a tracking id as well."""
        if connection.protocol.handshake_exc:
            refused = Refused(response.status_code, "The handshake is invalid")
            response = _handshake_response(self.service.refusal(refused))
        response.headers.pop("Date", None)
        response.headers["Date"] = self.service.date()
        return response


def is_open(connection: ServerConnection) -> bool:
    return connection.state is State.OPEN


def _handshake_response(response: HttpResponse) -> Response:
    own = [("Content-Length", str(len(response.body))), ("Connection", "close")]
    return Response(response.status, response.reason, Headers([*response.headers, *own]), response.body)
