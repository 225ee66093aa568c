"""Opening a WebSocket, and giving up servers that behave badly."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from relay.hybrid_connection.control_channel import ControlChannel
from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.tokens import Token
from relay.hybrid_connection.websocket import ConnectionClosed, open_websocket
from tests import virtual_time

Behaviour = Callable[[ServerConnection], Awaitable[None]]
A_PING = b"\x89\x7d" + b"p" * 125


@asynccontextmanager
async def server(behaviour: Behaviour) -> AsyncIterator[str]:
    """Run a WebSocket server that handles each connection with `behaviour`; yield its URL."""
    async with serve(behaviour, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=0.1) as running:
        yield f"ws://127.0.0.1:{running.sockets[0].getsockname()[1]}"


async def read_nothing(connection: ServerConnection) -> None:
    """Read nothing until the other side disconnects."""
    connection.transport.pause_reading()
    await connection.connection_lost_waiter


class TestOpening:
    async def test_no_redirect_is_followed(self) -> None:
        asked: list[str] = []

        def redirect(websocket: ServerConnection, request: Request) -> Response:
            asked.append(request.path)
            return Response(302, "Found", Headers({"Location": "/elsewhere", "Content-Length": "0"}), b"")

        async with serve(read_nothing, "127.0.0.1", 0, process_request=redirect) as running:
            port = running.sockets[0].getsockname()[1]
            with pytest.raises(HybridConnectionError, match="302"):
                await open_websocket(f"ws://127.0.0.1:{port}/first", "connecting")
        assert asked == ["/first"]

    async def test_no_compression_is_offered(self) -> None:
        async with server(read_nothing) as url:
            websocket = await open_websocket(url, "connecting")
            assert websocket.request
            assert "Sec-WebSocket-Extensions" not in websocket.request.headers
            websocket.transport.abort()

    async def test_ws_is_refused_except_to_this_machine(self) -> None:
        with pytest.raises(HybridConnectionError, match="refused to connect without TLS"):
            await open_websocket("ws://relay.example/$hc/x", "rendezvous")

    async def test_a_server_of_another_protocol_is_reported(self) -> None:
        async def say_hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 mail ready\r\n")
            writer.close()

        async with await asyncio.start_server(say_hello, "127.0.0.1", 0) as running:
            port = running.sockets[0].getsockname()[1]
            with pytest.raises(HybridConnectionError, match="the answer is not a WebSocket handshake"):
                await open_websocket(f"ws://127.0.0.1:{port}", "connecting")


class TestGivingUp:
    async def test_a_peer_that_floods_with_pings_and_reads_no_pong_is_cut_off(self) -> None:
        async def flood(connection: ServerConnection) -> None:
            connection.transport.pause_reading()
            while not connection.connection_lost_waiter.done():
                connection.transport.write(A_PING * 1000)
                await asyncio.sleep(0)

        async with server(flood) as url:
            websocket = await open_websocket(url, "connecting")
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(websocket.recv(), 20)

    def test_a_peer_that_closes_and_does_not_disconnect_is_cut_off(self) -> None:
        async def close_and_stay(connection: ServerConnection) -> None:
            connection.transport.write(b"\x88\x02\x03\xf0")  # a close frame of 1008
            await read_nothing(connection)

        async def play() -> float:
            async with server(close_and_stay) as url:
                websocket = await open_websocket(url, "connecting")
                began = virtual_time.now()
                with pytest.raises(ConnectionClosed):
                    await websocket.recv()
                assert websocket.close_code == 1008
                return virtual_time.now() - began

        assert virtual_time.run(play()) < 7

    def test_a_channel_that_no_longer_reads_is_aborted(self) -> None:
        async def play() -> bool:
            async with server(read_nothing) as url:
                channel = ControlChannel(await open_websocket(url, "connecting"), Token("t", 0), 0)
                sent = await channel.send(tuple(b"x" * 2**20 for _ in range(32)))
                await channel.websocket.wait_closed()
                return sent

        assert virtual_time.run(play()) is False


class TestSending:
    async def test_messages_sent_together_have_no_other_in_between(self) -> None:
        received: list[str | bytes] = []

        async def slowly(connection: ServerConnection) -> None:
            async for message in connection:
                received.append(message)
                await asyncio.sleep(0)

        async with server(slowly) as url:
            channel = ControlChannel(await open_websocket(url, "connecting"), Token("t", 0), 0)
            pairs = [(f"{number}", bytes([number]) * 60_000) for number in range(30)]
            assert all(await asyncio.gather(*(channel.send(pair) for pair in pairs)))
            await channel.close()
        assert len(received) == 60
        heads, bodies = received[::2], received[1::2]
        assert [int(head) for head in heads] == [body[0] for body in bodies]
