"""One TCP port for WebSockets and plain HTTP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from nonprod.relay_emulator import RelayEmulator, Timeouts
from tests.conftest import PATH
from tests.nonprod.relay_emulator.clients import POLICIES, call, listen, token

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def line(emulator: RelayEmulator) -> AsyncIterator[Line]:
    """A bare TCP connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def status_of(reader: asyncio.StreamReader) -> int:
    """The status of the next response, which is read to its end; an error has the time and a tracking id."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = next(int(text.split(":")[1]) for text in head.splitlines() if text.lower().startswith("content-length"))
    body = await reader.readexactly(length)
    assert "\r\nDate: " in head
    status = int(head.split()[1])
    assert (b"TrackingId:" in body) == (status >= 400)
    return status


STATE = b"GET /$emulator HTTP/1.1\r\nHost: x\r\n\r\n"


class TestPlainHttp:
    async def test_a_connection_serves_one_request_after_the_other(self, emulator: RelayEmulator) -> None:
        async with line(emulator) as (reader, writer):
            for _ in range(3):
                writer.write(STATE)
                assert await status_of(reader) == 200

    async def test_requests_that_come_at_once_are_answered_in_turn(self, emulator: RelayEmulator) -> None:
        async with line(emulator) as (reader, writer):
            writer.write(STATE + STATE.replace(b"$emulator", b"nowhere") + STATE)
            assert [await status_of(reader) for _ in range(3)] == [200, 404, 200]

    async def test_a_head_may_arrive_byte_by_byte(self, emulator: RelayEmulator) -> None:
        async with line(emulator) as (reader, writer):
            for byte in STATE:
                writer.write(bytes([byte]))
                await writer.drain()
            assert await status_of(reader) == 200

    async def test_expect_100_continue_is_answered(self, emulator: RelayEmulator) -> None:
        head = b"POST /$emulator HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        async with line(emulator) as (reader, writer):
            writer.write(head)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
            writer.write(b"{}")
            assert await status_of(reader) == 405

    async def test_close_is_honoured(self, emulator: RelayEmulator) -> None:
        async with line(emulator) as (reader, writer):
            writer.write(STATE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            assert await status_of(reader) == 200
            assert await reader.read() == b""

    @pytest.mark.parametrize(
        "head", [b"garbage\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"x" * 300_000]
    )
    async def test_invalid_http_is_refused(self, emulator: RelayEmulator, head: bytes) -> None:
        async with line(emulator) as (reader, writer):
            writer.write(head)
            assert await status_of(reader) in {400, 431}

    async def test_a_silent_client_is_disconnected(self) -> None:
        async with (
            RelayEmulator([PATH], POLICIES, timeouts=Timeouts(head=0.05)) as emulator,
            line(emulator) as (reader, _),
        ):
            assert await reader.read() == b""

    async def test_an_upgrade_with_a_wrong_key_is_refused_and_costs_the_sender_nothing(
        self, emulator: RelayEmulator
    ) -> None:
        head = (
            f"GET /$hc/{PATH}?sb-hc-action=listen HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\nServiceBusAuthorization: {token()}\r\n\r\n"
        )
        async with line(emulator) as (reader, writer):
            writer.write(head.encode())
            assert await status_of(reader) == 400
        assert emulator.channels[PATH] == []


class TestClosing:
    @pytest.mark.alone
    async def test_nothing_that_hangs_holds_it_up(self) -> None:
        async with RelayEmulator([PATH], POLICIES) as emulator:
            channel = await listen(emulator)
            await emulator.inject({"fault": "half_open"})
            await listen(emulator)
            idle = [await asyncio.open_connection("127.0.0.1", emulator.port) for _ in range(2)]
            idle[1][1].write(STATE)
            await status_of(idle[1][0])
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() - began < 1
        assert channel.state

    async def test_the_port_is_free_again(self) -> None:
        async with RelayEmulator([PATH], POLICIES) as emulator:
            called = await call(emulator, await listen(emulator))
        await asyncio.gather(called.opening, return_exceptions=True)
        with socket.create_server(("127.0.0.1", emulator.port)):
            pass

    async def test_a_port_that_is_taken_is_an_os_error(self, emulator: RelayEmulator) -> None:
        with pytest.raises(OSError, match="in use"):
            async with RelayEmulator([PATH], POLICIES, emulator.port):
                pass
