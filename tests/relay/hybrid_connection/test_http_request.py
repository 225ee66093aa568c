"""HTTP requests that Python's HTTP client sends through a relay emulator."""

import asyncio
import json
from http.client import HTTPConnection, HTTPResponse

import pytest

from nonprod.relay_emulator import RelayEmulator
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_protocol import Request, Response
from relay.hybrid_connection.rendezvous import RendezvousPolicy
from relay.hybrid_connection.rendezvous_limit import RendezvousLimit
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
