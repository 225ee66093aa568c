"""Node's HTTP client, with a token from Microsoft's hyco-https, through the emulator to our listener."""

import asyncio
import hashlib
import json

import pytest

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.control_protocol import Request, Response
from relay.hybrid_connection.rendezvous_limit import RendezvousLimit
from tests.conftest import PATH
from tests.contract.conftest import Run
from tests.contract.scripts import frame
from tests.relay.hybrid_connection.listening import listening

#: The largest body that travels on the control channel; a larger one travels by a rendezvous of its own.
EXACTLY = 64 * 1024
OVER = EXACTLY + 1


async def describe(request: Request) -> Response:
    """Respond with a description of the request."""
    body = request.body or b""
    description = {
        "method": request.method,
        "target": request.target,
        "type": {name.lower(): value for name, value in request.headers.items()}.get("content-type"),
        "size": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    return Response(201, json.dumps(description).encode(), {"Content-Type": "application/json"}, "Described")


class TestPost:
    @pytest.mark.parametrize("token", ["header", "authorization", "query"])
    async def test_an_action_is_answered_wherever_the_token_is(
        self, run: Run, address: HybridConnectionAddress, token: str
    ) -> None:
        client = await run("http_sender")
        async with listening(address, respond=describe):
            headers = {"Content-Type": "application/json"}
            await client.command("request", name="a", token=token, method="POST", headers=headers, text="{}")
            response = await client.event("response", name="a")
        assert (response["status"], response["reason"]) == (201, "Described")
        assert response["headers"]["content-type"] == "application/json"
        assert response["headers"]["via"]
        described = json.loads(response["text"])
        assert (described["method"], described["target"], described["size"]) == ("POST", f"/{PATH}", 2)
        assert described["type"] == "application/json"

    @pytest.mark.parametrize("size", [0, 1, EXACTLY, OVER, 2**20])
    async def test_a_body_of_any_size_arrives_whole(
        self, run: Run, address: HybridConnectionAddress, size: int
    ) -> None:
        client = await run("http_sender")
        body = bytes(number % 251 for number in range(size))
        async with listening(address, respond=describe):
            await client.command("request", name="a", token="header", method="POST", **frame(body))
            described = json.loads((await client.event("response", name="a"))["text"])
        assert (described["size"], described["sha256"]) == (size, hashlib.sha256(body).hexdigest())

    @pytest.mark.parametrize("size", [0, EXACTLY, OVER, 2**20])
    @pytest.mark.parametrize("asked", [b"", b"x" * OVER], ids=["channel", "rendezvous"])
    async def test_a_response_of_any_size_comes_back_whole(
        self, run: Run, address: HybridConnectionAddress, asked: bytes, size: int
    ) -> None:
        async def respond(request: Request) -> Response:
            return Response(200, b"r" * size, {"X-Answer": "42"})

        client = await run("http_sender")
        async with listening(address, respond=respond):
            await client.command("request", name="a", token="header", method="POST", **frame(asked))
            response = await client.event("response", name="a")
        assert (response["status"], response["headers"]["x-answer"]) == (200, "42")
        assert response["text"] == "r" * size

    async def test_twenty_senders_each_get_their_own_reply(self, run: Run, address: HybridConnectionAddress) -> None:
        all_arrived = asyncio.Barrier(20)

        async def respond(request: Request) -> Response:
            await all_arrived.wait()
            return Response(200, request.body or b"")

        client = await run("http_sender")
        texts = [f"{number}" * (1 if number % 2 else OVER) for number in range(20)]
        async with listening(address, respond=respond):
            for number, text in enumerate(texts):
                await client.command("request", name=f"n{number}", token="header", method="POST", text=text)
            for number, text in enumerate(texts):
                assert (await client.event("response", name=f"n{number}"))["text"] == text


class TestRefusals:
    async def test_a_sender_over_the_limit_gets_503_and_why(self, run: Run, address: HybridConnectionAddress) -> None:
        client = await run("http_sender")
        async with listening(address, respond=describe, rendezvous_limit=RendezvousLimit(limit=0, queue=0)):
            for name, body in (("small", b"x"), ("large", b"x" * OVER)):
                await client.command("request", name=name, token="header", method="POST", **frame(body))
                response = await client.event("response", name=name)
                assert response["status"] == 503
                assert "try again" in response["text"]

    async def test_the_listener_responds_with_404_when_it_serves_no_http(
        self, run: Run, address: HybridConnectionAddress
    ) -> None:
        client = await run("http_sender")
        async with listening(address):
            await client.command("request", name="a", token="header", method="GET")
            response = await client.event("response", name="a")
        assert response["status"] == 404
        assert response["headers"]["via"]
