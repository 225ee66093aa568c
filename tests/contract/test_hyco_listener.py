"""Microsoft's hyco-ws and hyco-https as listeners on our emulator, with our sender and a plain WebSocket client."""

import asyncio

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError
from websockets.typing import Subprotocol

from nonprod.relay_emulator import RelayEmulator
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.sender import send
from relay.hybrid_connection.websocket import token_header
from tests.conftest import KEYS, PATH
from tests.contract.conftest import Run

MEBIBYTE = 2**20
PACKAGES = pytest.mark.parametrize("package", ["hyco-ws", "hyco-https"])


def joining(address: HybridConnectionAddress, *subprotocols: str) -> connect:
    """Join a listener with a plain WebSocket client."""
    return connect(
        address.connect_url,
        additional_headers=token_header(KEYS.token(address.audience)),
        subprotocols=[Subprotocol(name) for name in subprotocols] or None,
        max_size=None,
    )


async def given_back(sender: ClientConnection, data: str | bytes) -> str | bytes:
    """Send a frame and return the listener's answer."""
    await sender.send(data)
    return await sender.recv()


class TestFrames:
    @PACKAGES
    async def test_our_sender_gets_its_text_back(
        self, run: Run, address: HybridConnectionAddress, package: str
    ) -> None:
        await run("ws_listener", "listening", package=package)
        assert await send(address, KEYS, "Zażółć") == "Zażółć"

    @PACKAGES
    @pytest.mark.parametrize(
        "data",
        ["ł", b"\xff\xfe", "x" * MEBIBYTE, b"\xff" * MEBIBYTE],
        ids=["text", "binary", "1 MiB of text", "1 MiB of bytes"],
    )
    async def test_text_stays_text_and_binary_stays_binary(
        self, run: Run, address: HybridConnectionAddress, package: str, data: str | bytes
    ) -> None:
        await run("ws_listener", "listening", package=package)
        async with joining(address) as sender:
            assert await given_back(sender, data) == data
            assert await given_back(sender, "more") == "more"

    async def test_twenty_senders_each_get_their_own_reply(self, run: Run, address: HybridConnectionAddress) -> None:
        await run("ws_listener", "listening", package="hyco-ws")
        replies = await asyncio.gather(*(send(address, KEYS, f"text {number}") for number in range(20)))
        assert replies == [f"text {number}" for number in range(20)]


class TestSubprotocol:
    @PACKAGES
    async def test_the_sender_learns_which_one_the_listener_chose(
        self, run: Run, address: HybridConnectionAddress, package: str
    ) -> None:
        await run("ws_listener", "listening", package=package)
        async with joining(address, "v2.screening", "v1.screening") as sender:
            assert sender.subprotocol == "v2.screening"
            assert await given_back(sender, "a") == "a"


class TestClosing:
    async def test_the_listeners_code_and_reason_reach_the_sender(
        self, run: Run, address: HybridConnectionAddress
    ) -> None:
        await run("ws_listener", "listening", package="hyco-ws")
        async with joining(address) as sender:
            with pytest.raises(ConnectionClosedError):
                await given_back(sender, "close 4321 enough")
        assert (sender.close_code, sender.close_reason) == (4321, "enough")

    async def test_the_senders_code_and_reason_reach_the_listener(
        self, run: Run, address: HybridConnectionAddress
    ) -> None:
        listener = await run("ws_listener", "listening", package="hyco-ws")
        async with joining(address) as sender:
            assert await given_back(sender, "a") == "a"
            await sender.close(4321, "enough")
        await listener.event("closed", code=4321, reason="enough")

    async def test_a_sender_that_disconnects_has_another_code_than_one_that_closes(
        self, run: Run, address: HybridConnectionAddress
    ) -> None:
        listener = await run("ws_listener", "listening", package="hyco-ws")
        async with joining(address) as sender:
            assert await given_back(sender, "a") == "a"
            sender.transport.abort()
            assert (await listener.event("closed"))["code"] != 1000


class TestControlChannel:
    async def test_it_stays_open_when_the_token_is_renewed_before_it_expires(
        self, run: Run, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        for package in ("hyco-ws", "hyco-https"):
            await run("ws_listener", "listening", package=package, lifetime=3, hour=400)
        channels = list(emulator.channels[PATH])
        # Eight times 400 ms each: longer than the first tokens live.
        await emulator.until(lambda: emulator.counts["renewed"] >= 16)
        assert emulator.channels[PATH] == channels
        assert await send(address, KEYS, "still there") == "still there"

    async def test_it_is_closed_when_the_token_expires_and_opened_again_with_another(
        self, run: Run, emulator: RelayEmulator
    ) -> None:
        listener = await run("ws_listener", "listening", package="hyco-ws", lifetime=2)
        first = emulator.channels[PATH][0].websocket
        await listener.event("listening")
        await first.wait_closed()
        assert (first.close_code, emulator.counts["renewed"]) == (1008, 0)

    @PACKAGES
    async def test_it_is_opened_again_when_the_service_has_closed_it(
        self, run: Run, emulator: RelayEmulator, address: HybridConnectionAddress, package: str
    ) -> None:
        listener = await run("ws_listener", "listening", package=package)
        await emulator.channels[PATH][0].websocket.close(1011, "the service's trouble")
        await listener.event("listening")
        assert await send(address, KEYS, "a") == "a"

    async def test_it_is_refused_with_a_wrong_key(self, run: Run, emulator: RelayEmulator) -> None:
        listener = await run("ws_listener", "failed", package="hyco-https", key="wrong")
        assert (await listener.event("failed"))["error"].endswith("401")
        assert emulator.channels[PATH] == []
