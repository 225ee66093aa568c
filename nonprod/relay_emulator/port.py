"""Owns the one TCP port: sorts WebSocket upgrades from plain HTTP, and hands each connection to whom it concerns.

The websockets package takes no request with a body, so the head of each is looked at first; a request that asks for no
WebSocket is answered by `plain_http`. A connection can also be made to fail here, in ways that no honest server has.
"""

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import Any, cast

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from nonprod.relay_emulator.plain_http import MAX_HEAD_BYTES, HttpRequest, HttpResponse, converse
from nonprod.relay_emulator.refusals import Refused
from nonprod.relay_emulator.service import Service

END_OF_HEAD = b"\r\n\r\n"
UPGRADE = re.compile(rb"^upgrade:[ \t]*websocket[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)

# Frames and headers go into websockets' log at DEBUG: tokens and patients are in them.
quiet = logging.getLogger("websockets.server.relay_emulator")
quiet.setLevel(logging.WARNING)


class Connection(ServerConnection):
    """One TCP connection. When `mute`, it takes bytes and gives none."""

    def __init__(self, port: "Port", protocol: ServerProtocol, server: Server, **options: Any) -> None:
        super().__init__(protocol, server, **options)
        self.port = port
        self.mute = False
        #: The subprotocol that this handshake ends with.
        self.chosen: Subprotocol | None = None
        #: What this socket is for, decided in its handshake and begun when it is open.
        self.plan: Callable[[], Awaitable[None]]
        self._head: bytearray | None = bytearray()
        self._sorted: asyncio.Future[None] = self.loop.create_future()
        self._stream: asyncio.StreamReader | None = None

    @property
    def is_plain(self) -> bool:
        """Whether HTTP is spoken here, or nothing yet."""
        return self._stream is not None or self._head is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self.port.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was made to."""
        super().connection_lost(exc)
        self.port.connections.discard(self)
        if self._stream:
            self._stream.feed_eof()

    def data_received(self, data: bytes) -> None:
        """Bytes for whoever this connection belongs to."""
        if self.mute:
            return
        if self._stream:
            self._stream.feed_data(data)
        elif self._head is None:
            super().data_received(data)
        else:
            self._head += data
            if END_OF_HEAD in self._head or len(self._head) > MAX_HEAD_BYTES:
                self._sort(bytes(self._head))

    def _sort(self, received: bytes) -> None:
        self._head = None
        if UPGRADE.search(received.partition(END_OF_HEAD)[0]):
            super().data_received(received)
        else:
            self._stream = asyncio.StreamReader()
            self._stream.set_transport(self.transport)
            self._stream.feed_data(received)
        self._sorted.set_result(None)

    def eof_received(self) -> None:
        """The client sends no more: that ends a WebSocket, and HTTP, too."""
        if not self._stream:
            super().eof_received()

    def send_data(self) -> None:
        """Write what there is to write, unless this connection is mute."""
        if self.mute:
            self.protocol.data_to_send()
        else:
            super().send_data()

    def cut(self, message: str | bytes) -> None:
        """Write half a frame, and break the connection."""
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        data = message.encode() if isinstance(message, str) else message
        frame = Frame(opcode, data).serialize(mask=False)
        self.transport.write(frame[: max(1, len(frame) // 2)])
        self.transport.abort()

    async def handshake(self, *args: Any, **options: Any) -> None:
        """Sort the connection; answer plain HTTP to its end, or go on to the opening handshake."""
        async with asyncio.timeout(self.port.service.timeouts.head):
            await asyncio.wait({self._sorted, self.connection_lost_waiter}, return_when=asyncio.FIRST_COMPLETED)
        if self._stream:
            service = self.port.service
            await converse(self, self._stream, partial(self.port.respond, self), service.refusal, service.date)
        else:
            await super().handshake(*args, **options)


Admit = Callable[[Connection, Request], Awaitable[HttpResponse | None]]
Respond = Callable[[Connection, HttpRequest], Coroutine[object, object, HttpResponse]]


class Port:
    """A port on loopback. `admit` says how a handshake is refused, or None; `respond` answers plain HTTP."""

    def __init__(self, service: Service, admit: Admit, respond: Respond) -> None:
        self.service, self.admit, self.respond = service, admit, respond
        self.connections: set[Connection] = set()

    async def open(self, number: int, tls: ssl.SSLContext | None) -> int:
        """Listen; the port's number, which is a free one if `number` is 0."""
        self._server = await serve(
            _carry_out_plan,
            "127.0.0.1",
            number,
            process_request=self._process_request,
            process_response=self._process_response,
            select_subprotocol=_chosen_subprotocol,
            create_connection=cast(type[ServerConnection], partial(Connection, self)),
            server_header=None,
            compression=None,
            max_size=None,
            open_timeout=None,
            # The service sends no pings: a listener has to find out for itself that its channel is dead.
            ping_interval=None,
            close_timeout=self.service.timeouts.closing,
            ssl=tls,
            logger=quiet,
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Close all connections: those that are open with 1001, the others as they are."""
        self._server.close()
        self._abort(lambda connection: connection.mute or connection.is_plain)
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
        """Each answer tells the time, and each refusal has a tracking id: those of the websockets package, too."""
        if connection.protocol.handshake_exc:
            refused = Refused(response.status_code, "The handshake is no good")
            response = _handshake_response(self.service.refusal(refused))
        response.headers.pop("Date", None)
        response.headers["Date"] = self.service.date()
        return response


def _chosen_subprotocol(connection: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return cast(Connection, connection).chosen


async def _carry_out_plan(connection: ServerConnection) -> None:
    await cast(Connection, connection).plan()


def is_open(connection: ServerConnection) -> bool:
    """Whether messages can be sent there."""
    return connection.state is State.OPEN


def _handshake_response(response: HttpResponse) -> Response:
    own = [("Content-Length", str(len(response.body))), ("Connection", "close")]
    return Response(response.status, response.reason, Headers([*response.headers, *own]), response.body)
