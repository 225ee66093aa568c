"""Serving one sender, good or bad, on a relay emulator."""

import asyncio
import socket

import pytest
from websockets.asyncio.server import ServerConnection, serve

from nonprod.relay_emulator import RelayEmulator
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_protocol import Accept
from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.rendezvous import RendezvousPolicy, serve_sender
from relay.hybrid_connection.rendezvous_limit import RendezvousLimit
from relay.hybrid_connection.sender import send
from relay.hybrid_connection.websocket import ClientConnection, ConnectionClosed
from tests.conftest import KEYS
from tests.relay.hybrid_connection.listening import Gate, join, listening, upper


class TestServeSender:
    async def test_a_sender_receives_the_text_that_answer_returns(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            assert await send(address, KEYS, "ł") == "Ł"

    async def test_twenty_senders_at_once_each_receive_their_own_reply(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            replies = await asyncio.gather(*(send(address, KEYS, f"n{number}") for number in range(20)))
        assert replies == [f"N{number}" for number in range(20)]

    async def test_a_binary_frame_is_answered(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            websocket = await join(address)
            await websocket.send(b"binary")
            assert await websocket.recv() == "BINARY"

    async def test_a_frame_that_is_not_utf8_is_answered(self, address: HybridConnectionAddress) -> None:
        async def as_hex(frame: bytes, accept: Accept) -> str:
            return frame.hex()

        async with listening(address, as_hex):
            websocket = await join(address)
            await websocket.send(b"\xff\xfe")
            assert await websocket.recv() == "fffe"

    async def test_a_frame_in_many_fragments_is_one_frame(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            websocket = await join(address)
            await websocket.send(["o", "n", "e"])
            assert await websocket.recv() == "ONE"

    async def test_a_sender_of_two_frames_receives_one_reply(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            websocket = await join(address)
            await websocket.send("first")
            await websocket.send("second")
            assert await websocket.recv() == "FIRST"
            with pytest.raises(ConnectionClosed):
                await websocket.recv()


class TestFrameLimit:
    async def test_a_frame_of_exactly_the_limit_is_answered(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            assert len(await send(address, KEYS, "x" * 2**20)) == 2**20

    @pytest.mark.parametrize("size", [2**20 + 1, 20 * 2**20])
    async def test_a_frame_over_the_limit_gets_the_oversize_reply_and_1009(
        self, address: HybridConnectionAddress, size: int
    ) -> None:
        async with listening(address, rendezvous_policy=RendezvousPolicy(oversize_reply="too large")):
            websocket = await join(address)
            await websocket.send("x" * size)
            assert await websocket.recv() == "too large"
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1009

    async def test_fragments_over_the_limit_together_are_answered_alike(self, address: HybridConnectionAddress) -> None:
        async with listening(address, rendezvous_policy=RendezvousPolicy(frame_bytes=10, oversize_reply="too large")):
            websocket = await join(address)
            await websocket.send(["12345678", "901"])
            assert await websocket.recv() == "too large"


class TestBadSenders:
    async def test_an_idle_sender_delays_no_other(self, address: HybridConnectionAddress) -> None:
        async with listening(address, stop_grace=0):
            await join(address)
            assert await send(address, KEYS, "a") == "A"

    async def test_an_idle_sender_is_evicted_with_1008(self, address: HybridConnectionAddress) -> None:
        async with listening(address, rendezvous_limit=RendezvousLimit(idle_timeout=0.05)):
            websocket = await join(address)
            with pytest.raises(ConnectionClosed) as closed:
                await websocket.recv()
        assert closed.value.rcvd
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "no frame came in time")

    async def test_a_sender_of_half_a_frame_is_idle(self, address: HybridConnectionAddress) -> None:
        async with listening(address, rendezvous_limit=RendezvousLimit(idle_timeout=0.05)):
            websocket = await join(address)
            websocket.transport.write(b"\x81\x85half")  # the header of five bytes, masked, and then nothing
            with pytest.raises(ConnectionClosed):
                await websocket.recv()
            assert await send(address, KEYS, "a") == "A"

    async def test_a_sender_of_pings_alone_is_idle(self, address: HybridConnectionAddress) -> None:
        async with listening(address, rendezvous_limit=RendezvousLimit(idle_timeout=0.05)):
            websocket = await join(address)
            with pytest.raises(ConnectionClosed):
                await keep_pinging(websocket)
            assert await send(address, KEYS, "a") == "A"

    async def test_a_sender_that_disconnects_early_affects_no_other(self, address: HybridConnectionAddress) -> None:
        gate = Gate()
        async with listening(address, gate.answer):
            websocket = await join(address)
            await websocket.send("a")
            await gate.asked.wait()
            websocket.transport.abort()
            gate.open.set()
            assert await send(address, KEYS, "b") == "done"

    async def test_a_slow_answer_delays_no_other_sender(self, address: HybridConnectionAddress) -> None:
        slow_may_end = asyncio.Event()

        async def answer(frame: bytes, accept: Accept) -> str:
            if frame == b"slow":
                await slow_may_end.wait()
            return frame.decode()

        async with listening(address, answer):
            slow = asyncio.create_task(send(address, KEYS, "slow"))
            assert await send(address, KEYS, "quick") == "quick"
            slow_may_end.set()
            assert await slow == "slow"

    async def test_an_answer_that_never_comes_times_out(self, address: HybridConnectionAddress) -> None:
        async with listening(address, Gate().answer, rendezvous_policy=RendezvousPolicy(answer=0.05)):
            with pytest.raises(HybridConnectionError, match="disconnected without a reply"):
                await send(address, KEYS, "a")

    async def test_an_answer_that_raises_ends_one_rendezvous_only(self, address: HybridConnectionAddress) -> None:
        async def answer(frame: bytes, accept: Accept) -> str:
            if frame == b"bad":
                raise RuntimeError("SMITH")
            return "fine"

        async with listening(address, answer):
            with pytest.raises(HybridConnectionError, match="disconnected without a reply"):
                await send(address, KEYS, "bad")
            assert await send(address, KEYS, "good") == "fine"


async def keep_pinging(websocket: ClientConnection) -> None:
    """Send one ping after another, each as soon as the last one was answered."""
    while True:
        await (await websocket.ping())


class TestTimeouts:
    def test_a_rendezvous_is_joined_before_its_address_expires(self) -> None:
        assert RendezvousLimit().queue_timeout + RendezvousPolicy().join < 30

    def test_an_http_request_is_answered_before_the_service_times_out(self) -> None:
        assert RendezvousPolicy().response + RendezvousPolicy().join < 60

    async def test_a_reply_that_the_sender_does_not_read_times_out(self, caplog: pytest.LogCaptureFixture) -> None:
        async def send_and_not_read(connection: ServerConnection) -> None:
            await connection.send("a")
            connection.transport.pause_reading()
            await connection.connection_lost_waiter

        async def answer(frame: bytes, accept: Accept) -> str:
            return "x" * 16 * 2**20

        caplog.set_level("INFO")
        async with serve(send_and_not_read, "127.0.0.1", 0, close_timeout=0.1) as server:
            accept = Accept(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", "1")
            await serve_sender(accept, answer, RendezvousLimit(), RendezvousPolicy(reply=0.1))
        assert outcomes(caplog) == ["gave up: the other side took too long"]

    @pytest.mark.parametrize("limit", [0, 1])
    async def test_joining_an_address_where_nobody_answers_times_out(
        self, caplog: pytest.LogCaptureFixture, limit: int
    ) -> None:
        caplog.set_level("INFO")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            accept = Accept(f"ws://127.0.0.1:{silent.getsockname()[1]}/?x", "1")
            await serve_sender(accept, upper, RendezvousLimit(limit, queue=0), RendezvousPolicy(join=0.1))
        assert "no answer in time" in outcomes(caplog)[0]


def outcomes(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the outcomes that were logged."""
    return [record.outcome for record in caplog.records if hasattr(record, "outcome")]


class TestLimit:
    async def test_senders_over_the_limit_wait_for_their_turn(self, address: HybridConnectionAddress) -> None:
        async with listening(address, rendezvous_limit=RendezvousLimit(limit=2)):
            replies = await asyncio.gather(*(send(address, KEYS, f"n{number}") for number in range(20)))
        assert replies == [f"N{number}" for number in range(20)]

    async def test_a_sender_is_rejected_at_once_when_the_queue_is_full(self, address: HybridConnectionAddress) -> None:
        gate = Gate()
        async with listening(address, gate.answer, rendezvous_limit=RendezvousLimit(limit=1, queue=0)):
            first = asyncio.create_task(send(address, KEYS, "a"))
            await gate.asked.wait()
            busy = r"503.*the limit of 1 concurrent senders is reached and 0 are waiting: try again"
            with pytest.raises(HybridConnectionError, match=busy):
                await send(address, KEYS, "b")
            gate.open.set()
            assert await first == "done"

    async def test_an_idle_sender_is_evicted_when_another_waits(self, address: HybridConnectionAddress) -> None:
        limit = RendezvousLimit(limit=1, idle_timeout_when_busy=0.05)
        async with listening(address, rendezvous_limit=limit):
            await join(address)
            assert await send(address, KEYS, "a") == "A"


class TestAccepts:
    async def test_an_accept_that_comes_twice_is_answered_once(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        asked: list[bytes] = []

        async def answer(frame: bytes, accept: Accept) -> str:
            asked.append(frame)
            return "seen"

        async with listening(address, answer):
            await emulator.inject({"fault": "duplicate_accept"})
            assert await send(address, KEYS, "a") == "seen"
            assert await send(address, KEYS, "b") == "seen"
        assert asked == [b"a", b"b"]

    async def test_a_rendezvous_that_the_service_refuses_affects_no_other(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address):
            await emulator.inject({"fault": "refuse", "action": "accept", "status": 500})
            hopeless = asyncio.create_task(send(address, KEYS, "a"))
            await emulator.until(lambda: emulator.counts["refused"] == 1)
            assert await send(address, KEYS, "b") == "B"
            hopeless.cancel()

    async def test_a_reply_that_is_cut_off_raises_an_error_at_the_sender(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address):
            await emulator.inject({"fault": "cut_mid_frame", "where": "rendezvous"})
            with pytest.raises(HybridConnectionError, match="disconnected without a reply"):
                await send(address, KEYS, "a")
            assert await send(address, KEYS, "b") == "B"
