"""The listener on a real relay emulator."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from nonprod.relay_emulator import Policy, RelayEmulator
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_channel import Accept
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.reconnection import Backoff
from relay.hybrid_connection.rendezvous import Answer
from relay.hybrid_connection.sender import send
from relay.hybrid_connection.tokens import SharedAccessKey, Token, TokenError
from relay.hybrid_connection.websocket import ClientConnection, HybridConnectionError, open_websocket, token_header
from tests.conftest import KEYS, PATH

AT_ONCE = Backoff(first=0, cap=0)


async def upper(frame: bytes, accept: Accept) -> str:
    """Answers in capitals."""
    return frame.decode().upper()


class States:
    """What a listener said of itself, to be waited for."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self._new: asyncio.Queue[None] = asyncio.Queue()

    def __call__(self, state: str, why: str) -> None:
        self.seen.append((state, why))
        self._new.put_nowait(None)

    async def reached(self, state: str, times: int = 1) -> str:
        """Wait until it has been in a state so many times; the reason it gave then."""
        async with asyncio.timeout(20):
            while len(reasons := [why for name, why in self.seen if name == state]) < times:
                await self._new.get()
        return reasons[times - 1]


@asynccontextmanager
async def listening(
    address: HybridConnectionAddress, answer: Answer = upper, **options: object
) -> AsyncIterator[States]:
    """A listener that is online, until the block ends; an orderly stop is part of every test."""
    states, stopping = States(), asyncio.Event()
    settings = {"tokens": KEYS, "backoff": AT_ONCE, "on_state": states, **options}
    listener = Listener(address, answer=answer, **settings)  # type: ignore[arg-type]
    running = asyncio.create_task(listener.run(stopping))
    try:
        await states.reached("online")
        yield states
    finally:
        stopping.set()
        await asyncio.wait_for(running, 20)


class TestAnswering:
    async def test_a_sender_gets_what_answer_returns(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            assert await send(address, KEYS, "ł") == "Ł"

    async def test_a_silent_sender_keeps_nobody_else_waiting(self, address: HybridConnectionAddress) -> None:
        async with listening(address, stop_grace=0):
            silent = await connect(address)
            assert await send(address, KEYS, "a") == "A"
            await silent.close()

    async def test_an_answer_that_takes_long_keeps_nobody_else_waiting(self, address: HybridConnectionAddress) -> None:
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

    async def test_an_answer_that_raises_ends_one_rendezvous_only(self, address: HybridConnectionAddress) -> None:
        async def answer(frame: bytes, accept: Accept) -> str:
            if frame == b"bad":
                raise RuntimeError("SMITH")
            return "fine"

        async with listening(address, answer):
            with pytest.raises(HybridConnectionError, match="went without a reply"):
                await send(address, KEYS, "bad")
            assert await send(address, KEYS, "good") == "fine"

    async def test_what_is_not_utf8_is_handed_over_too(self, address: HybridConnectionAddress) -> None:
        received: list[bytes] = []

        async def answer(frame: bytes, accept: Accept) -> str:
            received.append(frame)
            return "seen"

        async with listening(address, answer):
            websocket = await connect(address)
            await websocket.send(b"\xff\xfe")
            assert await websocket.recv() == "seen"
        assert received == [b"\xff\xfe"]

    async def test_a_frame_of_two_mebibytes_is_handed_over_to_be_refused(
        self, address: HybridConnectionAddress
    ) -> None:
        async def answer(frame: bytes, accept: Accept) -> str:
            return str(len(frame))

        async with listening(address, answer):
            assert await send(address, KEYS, "x" * 2**21) == str(2**21)

    async def test_more_senders_than_allowed_are_told_so(self, address: HybridConnectionAddress) -> None:
        async with listening(address, max_rendezvous=1, stop_grace=0):
            first = await connect(address)
            with pytest.raises(HybridConnectionError, match="503"):
                await send(address, KEYS, "second")
            await first.close()

    async def test_twenty_senders_at_once_each_get_their_own(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            replies = await asyncio.gather(*(send(address, KEYS, f"n{number}") for number in range(20)))
        assert replies == [f"N{number}" for number in range(20)]


async def connect(address: HybridConnectionAddress) -> ClientConnection:
    """A sender that has joined a listener and says nothing."""
    token = KEYS.token(address.audience)
    return await open_websocket(address.connect_url, "connecting", headers=token_header(token))


class TestComingBack:
    async def test_a_channel_that_the_service_closes_is_opened_again(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address) as states:
            await emulator.channels[PATH][0].websocket.close(1011, "the service's trouble")
            assert "1011 the service's trouble" in await states.reached("offline")
            await states.reached("online", times=2)
            assert await send(address, KEYS, "a") == "A"

    async def test_a_channel_that_breaks_without_a_word_is_opened_again(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address) as states:
            emulator.channels[PATH][0].websocket.transport.abort()
            await states.reached("online", times=2)
            assert await send(address, KEYS, "a") == "A"

    async def test_a_wrong_key_is_told_and_tried_again(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        states, stopping = States(), asyncio.Event()
        wrong = SharedAccessKey(KEYS.name, "wrong")
        running = asyncio.create_task(Listener(address, wrong, upper, AT_ONCE, on_state=states).run(stopping))
        reason = await states.reached("offline", times=3)
        stopping.set()
        await running
        assert "401, token refused" in reason
        assert "TrackingId:" in reason
        assert "wrong" not in reason

    async def test_a_credential_that_gives_no_token_is_told(self, address: HybridConnectionAddress) -> None:
        class Broken:
            def token(self, audience: str) -> Token:
                raise TokenError("Entra ID gave none")

        states, stopping = States(), asyncio.Event()
        running = asyncio.create_task(Listener(address, Broken(), upper, AT_ONCE, on_state=states).run(stopping))
        reason = await states.reached("offline")
        stopping.set()
        await running
        assert reason == "getting a token: Entra ID gave none"

    async def test_a_rendezvous_goes_on_while_the_channel_is_lost(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        started, may_end = asyncio.Event(), asyncio.Event()

        async def answer(frame: bytes, accept: Accept) -> str:
            started.set()
            await may_end.wait()
            return "done"

        async with listening(address, answer) as states:
            sending = asyncio.create_task(send(address, KEYS, "a"))
            await started.wait()
            emulator.channels[PATH][0].websocket.transport.abort()
            await states.reached("online", times=2)
            may_end.set()
            assert await sending == "done"


class TestRenewal:
    async def test_the_token_is_renewed_on_the_open_channel(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        short = SharedAccessKey(KEYS.name, KEYS.key, lifetime=2)
        async with listening(address, tokens=short) as states:
            channel = emulator.channels[PATH][0]
            await emulator.until(lambda: emulator.counts["renewed"] > 0)
            assert emulator.channels[PATH] == [channel]
            assert [state for state, _ in states.seen] == ["connecting", "online"]

    async def test_a_channel_whose_token_ran_out_is_closed_and_opened_again(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        never_renewed = SharedAccessKey(KEYS.name, KEYS.key, lifetime=1)
        async with listening(address, tokens=never_renewed, clock=lambda: 0) as states:
            assert "1008 The token has expired" in await states.reached("offline")
            await states.reached("online", times=2)


class TestControlChannel:
    async def test_an_http_request_is_answered_so_that_the_service_does_not_block_us(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address):
            await emulator.channels[PATH][0].websocket.send('{"request": {"id": "42"}}')
            await emulator.until(lambda: bool(emulator.responses))
        assert (emulator.responses[0]["requestId"], emulator.responses[0]["statusCode"]) == ("42", 404)

    async def test_messages_that_are_not_known_are_ignored(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address):
            for text in ('{"future": {"x": 1}}', "garbage", "[]"):
                await emulator.channels[PATH][0].websocket.send(text)
            assert await send(address, KEYS, "a") == "A"


class TestStopping:
    async def test_senders_that_were_called_before_the_service_hears_of_it_are_met(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address):
            sending = [asyncio.create_task(send(address, KEYS, f"n{number}")) for number in range(30)]
            await emulator.until(lambda: emulator.counts["accepted"] == 30)
        assert await asyncio.gather(*sending) == [f"N{number}" for number in range(30)]

    async def test_a_sender_in_hand_gets_its_reply_first(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        started, may_end = asyncio.Event(), asyncio.Event()

        async def answer(frame: bytes, accept: Accept) -> str:
            started.set()
            await may_end.wait()
            return "done"

        async with listening(address, answer):
            sending = asyncio.create_task(send(address, KEYS, "a"))
            await started.wait()
            asyncio.get_running_loop().call_soon(may_end.set)
        assert await sending == "done"

    async def test_one_that_takes_longer_than_the_grace_is_left(self, address: HybridConnectionAddress) -> None:
        started = asyncio.Event()

        async def answer(frame: bytes, accept: Accept) -> str:
            started.set()
            await asyncio.Event().wait()
            return "never"

        async with listening(address, answer, stop_grace=0.05):
            sending = asyncio.create_task(send(address, KEYS, "a"))
            await started.wait()
        with pytest.raises(HybridConnectionError):
            await sending

    async def test_it_stops_at_once_while_it_waits_to_reconnect(self) -> None:
        nobody = HybridConnectionAddress("127.0.0.1:1", PATH, plain=True)
        states, stopping = States(), asyncio.Event()
        hours = Backoff(first=3600, cap=3600, jitter=lambda ceiling: ceiling)
        running = asyncio.create_task(Listener(nobody, KEYS, upper, hours, on_state=states).run(stopping))
        await states.reached("offline", times=2)
        stopping.set()
        await asyncio.wait_for(running, 5)


class TestWebSocket:
    async def test_the_token_follows_no_redirect(self, address: HybridConnectionAddress) -> None:
        asked: list[str] = []

        def redirect(websocket: ServerConnection, request: Request) -> Response:
            asked.append(request.path)
            return Response(302, "Found", Headers({"Location": "/elsewhere", "Content-Length": "0"}), b"")

        async def nobody(websocket: ServerConnection) -> None:
            """Never reached."""

        async with serve(nobody, "127.0.0.1", 0, process_request=redirect) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(HybridConnectionError, match="302"):
                await open_websocket(f"ws://127.0.0.1:{port}/first", "connecting")
        assert asked == ["/first"]

    async def test_no_compression_is_offered_and_no_frame_is_logged(
        self, emulator: RelayEmulator, address: HybridConnectionAddress, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        logging.getLogger("websockets.server").setLevel(logging.INFO)  # the emulator's, in this process
        async with listening(address) as _:
            websocket = await connect(address)
            assert "Sec-WebSocket-Extensions" not in websocket.request.headers  # type: ignore[union-attr]
            await websocket.send("SMITH")
            await websocket.recv()
        logging.getLogger("websockets.server").setLevel(logging.NOTSET)
        assert "SMITH" not in caplog.text
        assert "SharedAccessSignature" not in caplog.text

    async def test_no_connection_without_tls_but_to_this_machine(self) -> None:
        with pytest.raises(HybridConnectionError, match="refused to connect without TLS"):
            await open_websocket("ws://relay.example/$hc/x", "rendezvous")

    async def test_a_sender_is_told_that_nobody_listens(self, address: HybridConnectionAddress) -> None:
        with pytest.raises(HybridConnectionError, match=r"404.*no listeners.*TrackingId"):
            await send(address, KEYS, "a")

    async def test_a_sender_may_not_listen_with_a_send_key(self) -> None:
        policies = {KEYS.name: Policy(KEYS.key, frozenset({"Send"}))}
        async with RelayEmulator([PATH], policies) as emulator:
            address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
            with pytest.raises(HybridConnectionError, match=r"listening: 403, .*Listen"):
                await open_websocket(
                    address.listen_url, "listening", headers=token_header(KEYS.token(address.audience))
                )
