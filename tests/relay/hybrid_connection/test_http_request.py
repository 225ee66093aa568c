"""HTTP requests that Python's HTTP client sends through a relay emulator."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

import pytest

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_protocol import Request, Response
from relay.hybrid_connection.rendezvous import RendezvousPolicy
from relay.hybrid_connection.rendezvous_limit import RendezvousLimit
from relay.hybrid_connection.sender import send
from tests import virtual_time
from tests.conftest import KEYS, PATH
from tests.relay.hybrid_connection.listening import Gate, listening


async def reflect(request: Request) -> Response:
    """Respond with the request's method, target and body."""
    headers = {"Content-Type": "text/plain", "X-Asked": f"{request.method} {request.target}"}
    return Response(202, request.body or b"", headers, "Reflected")


async def ask(
    address: HybridConnectionAddress, method: str = "POST", target: str = "", body: bytes = b""
) -> tuple[HTTPResponse, bytes]:
    """Return the response to a request, and its body."""

    def exchange() -> tuple[HTTPResponse, bytes]:
        connection = HTTPConnection(address.namespace, timeout=20)
        headers = {"ServiceBusAuthorization": KEYS.token(address.audience).value}
        connection.request(method, f"/{PATH}{target}", body, headers)
        response = connection.getresponse()
        return response, response.read()

    return await asyncio.to_thread(exchange)


class TestRequests:
    @pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 2**20])
    async def test_a_body_of_any_size_within_the_limit_arrives_and_returns(
        self, address: HybridConnectionAddress, size: int
    ) -> None:
        async with listening(address, respond=reflect):
            response, body = await ask(address, target="/abc?x=1", body=b"b" * size)
        assert (response.status, response.reason, len(body)) == (202, "Reflected", size)
        assert response.headers["X-Asked"] == f"POST /{PATH}/abc?x=1"
        assert response.headers["Via"]

    async def test_a_large_response_to_a_small_request_goes_to_its_address(
        self, address: HybridConnectionAddress
    ) -> None:
        async def respond(request: Request) -> Response:
            return Response(200, b"r" * 200_000)

        async with listening(address, respond=respond):
            response, body = await ask(address, "GET")
        assert (response.status, len(body)) == (200, 200_000)

    async def test_forty_requests_at_once_each_get_their_response(self, address: HybridConnectionAddress) -> None:
        async with listening(address, respond=reflect):
            sizes = [number * 7000 for number in range(40)]
            bodies = await asyncio.gather(*(ask(address, body=b"b" * size) for size in sizes))
        assert [len(body) for _, body in bodies] == sizes

    async def test_the_default_response_is_404_in_json(self, address: HybridConnectionAddress) -> None:
        async with listening(address):
            response, body = await ask(address, "DELETE", "/x")
        assert response.status == 404
        assert json.loads(body)["status"] == "error"

    async def test_a_request_over_the_limit_is_413_in_the_given_words(self, address: HybridConnectionAddress) -> None:
        limits = RendezvousPolicy(oversize_reply='{"code":"too_large"}')
        async with listening(address, respond=reflect, rendezvous_policy=limits):
            response, body = await ask(address, body=b"b" * (2**20 + 1))
        assert (response.status, body) == (413, b'{"code":"too_large"}')


class Sender:
    """A sender of HTTP requests whose connection stays open until `disconnect`."""

    def __init__(self, address: HybridConnectionAddress) -> None:
        self._headers = {"ServiceBusAuthorization": KEYS.token(address.audience).value}
        self._connection = HTTPConnection(address.namespace, timeout=20)
        self._connection.connect()
        self._connection.auto_open = 0  # a connection that was cut off must be noticed

    async def ask(self, target: str = "", body: bytes = b"") -> tuple[int, bytes]:
        """Return the status and body of the response to a POST."""

        def exchange() -> tuple[int, bytes]:
            self._connection.request("POST", f"/{PATH}{target}", body, self._headers)
            response = self._connection.getresponse()
            return response.status, response.read()

        return await asyncio.to_thread(exchange)

    def disconnect(self) -> None:
        self._connection.close()


@asynccontextmanager
async def connected(address: HybridConnectionAddress) -> AsyncIterator[Sender]:
    """Connect a sender until the block ends."""
    sender = await asyncio.to_thread(Sender, address)
    try:
        yield sender
    finally:
        sender.disconnect()


KEEP = {"fault": "keep_rendezvous"}


def requests_being_served() -> list[asyncio.Task[Any]]:
    """Return the listener's tasks that serve a request or keep its rendezvous."""
    return [task for task in asyncio.all_tasks() if task.get_name() == "request"]


class TestKeptRendezvous:
    """The service keeps a sender's rendezvous and sends his next requests over it."""

    @pytest.mark.parametrize("forced", [True, False])
    async def test_the_next_requests_are_served_too(
        self, emulator: RelayEmulator, address: HybridConnectionAddress, forced: bool
    ) -> None:
        await emulator.inject({**KEEP, "forced": forced})
        async with listening(address, respond=reflect), connected(address) as sender:
            for size in (100_000, 5, 0, 200_000):
                assert await sender.ask(body=b"b" * size) == (202, b"b" * size)
            assert emulator.counts["kept"] == 3

    async def test_so_are_those_that_follow_a_large_response_to_a_small_request(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async def respond(request: Request) -> Response:
            return Response(200, b"r" * 200_000)

        await emulator.inject({**KEEP, "forced": False})
        async with listening(address, respond=respond), connected(address) as sender:
            assert [len((await sender.ask())[1]) for _ in range(3)] == [200_000] * 3
            assert emulator.counts["kept"] == 2

    async def test_one_that_comes_before_the_response_to_the_first_gets_its_own_in_the_order_of_arrival(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        gate, order = Gate(), []

        async def respond(request: Request) -> Response:
            order.append(request.body)
            await gate.answer(b"", None)  # type: ignore[arg-type]
            return Response(200, request.body or b"")

        await emulator.inject(KEEP)
        async with (
            listening(address, respond=respond),
            connected(address) as first,
            connected(address) as second,
            connected(address) as third,
        ):
            asking = [asyncio.create_task(first.ask(body=b"1"))]
            await gate.asked.wait()
            asking.append(asyncio.create_task(second.ask(body=b"2")))
            await emulator.until(lambda: emulator.counts["kept"] == 1)
            asking.append(asyncio.create_task(third.ask(body=b"3")))
            await emulator.until(lambda: emulator.counts["kept"] == 2)
            gate.open.set()
            assert await asyncio.gather(*asking) == [(200, b"1"), (200, b"2"), (200, b"3")]
        assert order == [b"1", b"2", b"3"]

    async def test_messages_with_extra_keys_are_understood_there_too(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        await emulator.inject(KEEP)
        await emulator.inject({"fault": "extra_keys", "times": None})
        async with listening(address, respond=reflect), connected(address) as sender:
            assert [await sender.ask(body=body) for body in (b"a", b"", b"b")] == [(202, b"a"), (202, b""), (202, b"b")]

    async def test_a_later_request_over_the_limit_is_413(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        await emulator.inject(KEEP)
        async with listening(address, respond=reflect), connected(address) as sender:
            assert (await sender.ask(body=b"first"))[0] == 202
            assert (await sender.ask(body=b"b" * (2**20 + 1)))[0] == 413

    async def test_a_later_request_whose_handler_is_too_slow_is_503_and_the_next_is_served(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async def respond(request: Request) -> Response:
            if request.body == b"slow":
                await asyncio.Event().wait()
            return Response(200)

        await emulator.inject(KEEP)
        limits = RendezvousPolicy(response=0.2)
        async with listening(address, respond=respond, rendezvous_policy=limits), connected(address) as sender:
            assert [(await sender.ask(body=body))[0] for body in (b"a", b"slow", b"b")] == [200, 503, 200]

    async def test_a_later_request_waits_for_a_slot_and_is_503_when_none_is_free(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        gate = Gate()
        await emulator.inject(KEEP)
        one_slot = RendezvousLimit(limit=1, queue=0)
        async with (
            listening(address, gate.answer, respond=reflect, rendezvous_limit=one_slot),
            connected(address) as sender,
        ):
            assert (await sender.ask())[0] == 202
            sending = asyncio.create_task(send(address, KEYS, "a"))
            await gate.asked.wait()
            assert (await sender.ask())[0] == 503
            gate.open.set()
            assert await sending == "done"
            assert (await sender.ask())[0] == 202

    async def test_it_ends_when_the_service_closes_it(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        await emulator.inject(KEEP)
        async with listening(address, respond=reflect):
            async with connected(address) as sender:
                await sender.ask()
                (serving,) = requests_being_served()
            await asyncio.wait_for(serving, 5)

    async def test_it_is_closed_when_it_was_idle_for_too_long(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        await emulator.inject(KEEP)
        limits = RendezvousPolicy(keep=0.05)
        async with listening(address, respond=reflect, rendezvous_policy=limits), connected(address) as sender:
            await sender.ask()
            await asyncio.gather(*requests_being_served())
            await emulator.until(lambda: not emulator.state()["rendezvous_kept"])
            with pytest.raises((OSError, HTTPException)):
                await sender.ask()
            assert (await ask(address))[0].status == 202

    async def test_while_it_is_idle_it_takes_no_place_from_others(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        await emulator.inject(KEEP)
        one_slot = RendezvousLimit(limit=1, queue=0)
        async with listening(address, respond=reflect, rendezvous_limit=one_slot), connected(address) as sender:
            await sender.ask()
            assert await send(address, KEYS, "a") == "A"
            assert (await sender.ask())[0] == 202
            assert emulator.counts["kept"] == 1

    def test_it_does_not_delay_a_stop(self) -> None:
        async def play() -> float:
            async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}) as emulator:
                address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
                await emulator.inject(KEEP)
                async with connected(address) as sender:
                    async with listening(address, respond=reflect):
                        await sender.ask()
                        began = virtual_time.now()
                    return virtual_time.now() - began

        assert virtual_time.run(play()) < 5


class TestEveryRequestIsAnswered:
    async def test_with_500_when_respond_raises(
        self, address: HybridConnectionAddress, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def respond(request: Request) -> Response:
            raise RuntimeError

        async with listening(address, respond=respond):
            assert (await ask(address))[0].status == 500
        assert "request failed" in caplog.text

    async def test_with_503_when_it_waits_too_long_for_a_slot(self, address: HybridConnectionAddress) -> None:
        gate = Gate()

        async def respond(request: Request) -> Response:
            return Response(200, (await gate.answer(b"", None)).encode())  # type: ignore[arg-type]

        limits = RendezvousPolicy(response=0.2)
        async with listening(
            address, respond=respond, rendezvous_limit=RendezvousLimit(limit=1), rendezvous_policy=limits
        ):
            first, second = asyncio.create_task(ask(address)), asyncio.create_task(ask(address))
            assert [(await task)[0].status for task in (first, second)] == [503, 503]

    async def test_with_503_when_respond_is_too_slow(self, address: HybridConnectionAddress) -> None:
        async def respond(request: Request) -> Response:
            await asyncio.Event().wait()
            return Response(200)

        async with listening(address, respond=respond, rendezvous_policy=RendezvousPolicy(response=0.05)):
            assert (await ask(address))[0].status == 503

    @pytest.mark.parametrize("size", [0, 100_000])
    async def test_with_503_when_the_limit_is_reached(self, address: HybridConnectionAddress, size: int) -> None:
        gate = Gate()

        async def respond(request: Request) -> Response:
            return Response(200, (await gate.answer(b"", None)).encode())  # type: ignore[arg-type]

        async with listening(address, respond=respond, rendezvous_limit=RendezvousLimit(limit=1, queue=0)):
            first = asyncio.create_task(ask(address))
            await gate.asked.wait()
            response, body = await ask(address, body=b"b" * size)
            assert response.status == 503
            assert "try again" in json.loads(body)["message"]
            gate.open.set()
            assert (await first)[0].status == 200

    @pytest.mark.parametrize("more", [0, 1])
    async def test_with_400_when_its_body_never_came(
        self, emulator: RelayEmulator, address: HybridConnectionAddress, more: int
    ) -> None:
        message = {"request": {"address": "wss://x", "id": "1", "method": "POST", "requestTarget": "/", "body": True}}
        async with listening(address, respond=reflect, rendezvous_policy=RendezvousPolicy(body=0.05)):
            channel = emulator.channels[PATH][0].websocket
            for _ in range(1 + more):
                await channel.send(json.dumps(message))
            await emulator.until(lambda: len(emulator.responses) == 1 + more)
        assert [response["statusCode"] for response in emulator.responses] == [400] * (1 + more)

    async def test_with_503_when_the_response_is_large_and_its_address_unreachable(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async def respond(request: Request) -> Response:
            return Response(200, b"r" * 200_000)

        message = {"request": {"address": "ws://127.0.0.1:1/", "id": "1", "method": "GET", "requestTarget": "/"}}
        async with listening(address, respond=respond):
            await emulator.channels[PATH][0].websocket.send(json.dumps(message))
            await emulator.until(lambda: bool(emulator.responses))
        assert emulator.responses[0]["statusCode"] == 503

    async def test_when_the_channel_is_lost_meanwhile(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        gate = Gate()

        async def respond(request: Request) -> Response:
            return Response(200, (await gate.answer(b"", None)).encode())  # type: ignore[arg-type]

        async with listening(address, respond=respond) as (_, statuses):
            asking = asyncio.create_task(ask(address))
            await gate.asked.wait()
            await emulator.inject({"fault": "drop"})
            await statuses.came_back()
            gate.open.set()
            response, body = await asking
        assert (response.status, body) == (200, b"done")

    async def test_when_the_listener_stops_meanwhile(self, address: HybridConnectionAddress) -> None:
        gate = Gate()

        async def respond(request: Request) -> Response:
            return Response(200, (await gate.answer(b"", None)).encode())  # type: ignore[arg-type]

        async with listening(address, respond=respond):
            asking = asyncio.create_task(ask(address))
            await gate.asked.wait()
            asyncio.get_running_loop().call_soon(gate.open.set)
        assert (await asking)[0].status == 200
