"""Microsoft's hyco-ws as sender, through the emulator, to our listener."""

import asyncio
import hashlib

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_protocol import Accept
from relay.hybrid_connection.rendezvous_limit import RendezvousLimit
from relay.hybrid_connection.websocket import token_header
from tests.conftest import KEYS
from tests.contract.conftest import Run
from tests.contract.scripts import frame
from tests.relay.hybrid_connection.listening import give_back, listening

MEBIBYTE = 2**20


async def digest(data: bytes, accept: Accept) -> str:
    """Answer with a hash of the frame, which may not be text."""
    return hashlib.sha256(data).hexdigest()


class TestSending:
    @pytest.mark.parametrize("token", ["header", "query"])
    async def test_a_text_is_answered_wherever_the_token_is(
        self, run: Run, address: HybridConnectionAddress, token: str
    ) -> None:
        sender = await run("ws_sender")
        async with listening(address, give_back):
            await sender.command("connect", name="a", token=token, text="Zażółć")
            await sender.event("message", name="a", text="Zażółć")
            assert (await sender.event("closed", name="a"))["code"] == 1000

    @pytest.mark.parametrize("data", [b"\x00\xff\xfe", bytes(range(256)) * (MEBIBYTE // 256)], ids=["3 B", "1 MiB"])
    async def test_a_binary_frame_is_answered(self, run: Run, address: HybridConnectionAddress, data: bytes) -> None:
        sender = await run("ws_sender")
        async with listening(address, digest):
            await sender.command("connect", name="a", token="header", **frame(data))
            await sender.event("message", name="a", text=hashlib.sha256(data).hexdigest())

    async def test_a_text_of_one_mebibyte_goes_both_ways(self, run: Run, address: HybridConnectionAddress) -> None:
        sender = await run("ws_sender")
        async with listening(address, give_back):
            await sender.command("connect", name="a", token="header", text="x" * MEBIBYTE)
            assert (await sender.event("message", name="a"))["text"] == "x" * MEBIBYTE

    async def test_twenty_senders_each_get_their_own_reply(self, run: Run, address: HybridConnectionAddress) -> None:
        sender = await run("ws_sender")
        all_arrived = asyncio.Barrier(20)

        async def answer(data: bytes, accept: Accept) -> str:
            await all_arrived.wait()
            return data.decode()

        async with listening(address, answer):
            for number in range(20):
                await sender.command("connect", name=f"n{number}", token="header", text=f"text {number}")
            for number in range(20):
                await sender.event("message", name=f"n{number}", text=f"text {number}")


class TestSubprotocol:
    async def test_none_is_chosen_and_a_sender_that_needs_none_is_answered(
        self, address: HybridConnectionAddress
    ) -> None:
        headers = token_header(KEYS.token(address.audience))
        async with (
            listening(address, give_back),
            connect(
                address.connect_url, additional_headers=headers, subprotocols=[Subprotocol("v1.screening")]
            ) as sender,
        ):
            assert sender.subprotocol is None
            await sender.send("a")
            assert await sender.recv() == "a"

    async def test_hyco_ws_fails_without_the_subprotocol_it_asked_for(
        self, run: Run, address: HybridConnectionAddress
    ) -> None:
        sender = await run("ws_sender")
        async with listening(address, give_back):
            await sender.command("connect", name="a", token="header", protocol="v1.screening", text="a")
            await sender.event("failed", name="a", error="server sent no subprotocol even though requested")
            # The listener still serves others.
            await sender.command("connect", name="b", token="header", text="b")
            await sender.event("message", name="b", text="b")


class TestRefusals:
    async def test_a_sender_over_the_limit_gets_503_and_why(self, run: Run, address: HybridConnectionAddress) -> None:
        sender = await run("ws_sender")
        async with listening(address, give_back, rendezvous_limit=RendezvousLimit(limit=1, queue=0), stop_grace=0):
            await sender.command("connect", name="idle", token="header")
            await sender.event("open", name="idle")
            await sender.command("connect", name="late", token="header", text="a")
            refusal = await sender.event("refused", name="late")
        assert refusal["status"] == 503
        assert "the limit of 1 concurrent senders is reached" in refusal["reason"] + refusal["body"]

    async def test_a_sender_gets_404_when_nobody_listens(self, run: Run, address: HybridConnectionAddress) -> None:
        sender = await run("ws_sender")
        await sender.command("connect", name="a", token="header", text="a")
        refusal = await sender.event("refused", name="a", status=404)
        assert "TrackingId:" in refusal["reason"] + refusal["body"]

    async def test_a_sender_without_a_token_gets_401(self, run: Run, address: HybridConnectionAddress) -> None:
        sender = await run("ws_sender")
        async with listening(address, give_back):
            await sender.command("connect", name="a", token="none", text="a")
            await sender.event("refused", name="a", status=401)

    async def test_a_sender_with_an_expired_token_gets_401(self, run: Run, address: HybridConnectionAddress) -> None:
        sender = await run("ws_sender", lifetime=-1)
        async with listening(address, give_back):
            await sender.command("connect", name="a", token="header", text="a")
            await sender.event("refused", name="a", status=401)
