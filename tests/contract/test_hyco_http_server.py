"""Microsoft's hyco-https as an HTTP server on our emulator, with Node's and Python's HTTP clients as senders."""

import asyncio
import hashlib
import http.client
import json
from collections.abc import Mapping
from typing import Any

import pytest

from nonprod.relay_emulator import RelayEmulator
from relay.hybrid_connection.address import HybridConnectionAddress
from tests.conftest import KEYS, PATH
from tests.contract.conftest import Run
from tests.contract.scripts import Script, frame

#: The largest body that travels on the control channel; a larger one travels by a rendezvous of its own.
EXACTLY = 64 * 1024
OVER = EXACTLY + 1
MEBIBYTE = 2**20

Response = dict[str, Any]


@pytest.fixture
async def server(run: Run) -> Script:
    """Run a listening server with hyco-https."""
    return await run("http_server", "listening")


@pytest.fixture
async def client(run: Run) -> Script:
    """Run senders with Node's HTTP client."""
    return await run("http_sender")


async def ask(client: Script, method: str = "GET", token: str = "header", **request: Any) -> Response:
    """Return the response to one request of Node's client."""
    await client.command("request", name="a", method=method, token=token, **request)
    return await client.event("response", name="a")


def described(response: Response) -> dict[str, Any]:
    """Return the server's description of the request."""
    assert response["status"] == 200
    description: dict[str, Any] = json.loads(response["text"])
    return description


class TestRequest:
    @pytest.mark.parametrize("token", ["header", "authorization", "query"])
    async def test_a_get_is_answered_wherever_the_token_is(self, server: Script, client: Script, token: str) -> None:
        request = described(await ask(client, token=token, suffix="/abc"))
        assert (request["method"], request["size"]) == ("GET", 0)
        assert request["url"].split("?")[0] == f"/{PATH}/abc"

    async def test_the_listener_sees_no_token_and_the_senders_own_query_and_headers(
        self, server: Script, client: Script
    ) -> None:
        sent = {"X-Mine": "1", "Content-Type": "text/plain"}
        request = described(await ask(client, suffix="?a=b%20c&sb-hc-id=x", headers=sent))
        assert request["url"] == f"/{PATH}?a=b%20c"
        assert request["headers"]["x-mine"] == "1"
        assert request["headers"]["content-type"] == "text/plain"
        assert "servicebusauthorization" not in request["headers"]
        assert "SharedAccessSignature" not in json.dumps(request)

    @pytest.mark.parametrize("size", [1, 1000, EXACTLY, OVER, MEBIBYTE])
    async def test_a_body_of_any_size_arrives_whole(self, server: Script, client: Script, size: int) -> None:
        body = bytes(number % 251 for number in range(size))
        request = described(await ask(client, "POST", headers={"Content-Length": str(size)}, **frame(body)))
        assert (request["method"], request["size"]) == ("POST", size)
        assert request["sha256"] == hashlib.sha256(body).hexdigest()

    async def test_a_chunked_body_arrives_whole(self, server: Script, client: Script) -> None:
        request = described(await ask(client, "PUT", headers={"Transfer-Encoding": "chunked"}, text="abc"))
        assert (request["method"], request["size"]) == ("PUT", 3)


class TestResponse:
    async def test_status_description_headers_and_via_reach_the_sender(self, server: Script, client: Script) -> None:
        response = await ask(client, suffix="?status=418&reason=Short+and+stout")
        assert (response["status"], response["reason"]) == (418, "Short and stout")
        assert response["headers"]["x-from-listener"] == "hyco-https"
        assert response["headers"]["via"]

    @pytest.mark.parametrize("size", [4, EXACTLY - 1024, EXACTLY, OVER + 3, MEBIBYTE])
    @pytest.mark.parametrize("fragments", [1, 4])
    async def test_a_body_of_any_size_arrives_whole(
        self, server: Script, client: Script, size: int, fragments: int
    ) -> None:
        response = await ask(client, suffix=f"?size={size}&fragments={fragments}")
        assert (response["status"], response["text"]) == (200, "r" * size)

    @pytest.mark.parametrize(("asked", "answered"), [(1, 1), (1, OVER), (OVER, 1), (OVER, MEBIBYTE)])
    async def test_it_comes_on_the_control_channel_only_when_both_bodies_are_small(
        self, server: Script, client: Script, emulator: RelayEmulator, asked: int, answered: int
    ) -> None:
        response = await ask(client, "POST", suffix=f"?size={answered}", text="x" * asked)
        assert response["text"] == "r" * answered
        assert bool(emulator.responses) == (max(asked, answered) <= EXACTLY)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    @pytest.mark.parametrize("status", [200, 204, 304])
    async def test_after_an_empty_response_the_next_is_right(
        self, server: Script, client: Script, method: str, status: int
    ) -> None:
        """hyco-https sends an empty body even after a response that announces none."""
        response = await ask(client, method, suffix=f"?status={status}&empty")
        assert (response["status"], response["text"]) == (status, "")
        assert (await ask(client, suffix="?size=3"))["text"] == "rrr"

    async def test_twenty_senders_each_get_their_own_reply(self, server: Script, client: Script) -> None:
        sizes = [1 + number * 7919 for number in range(20)]  # from one byte to twice what the control channel takes
        for size in sizes:
            await client.command("request", name=str(size), method="GET", token="header", suffix=f"?size={size}")
        for size in sizes:
            assert (await client.event("response", name=str(size)))["text"] == "r" * size


class TestRefusals:
    async def test_502_when_nobody_listens(self, client: Script) -> None:
        response = await ask(client)
        assert response["status"] == 502
        assert "via" not in response["headers"]
        assert "TrackingId:" in response["reason"] + response["text"]

    async def test_401_without_a_token(self, server: Script, client: Script) -> None:
        response = await ask(client, token="none")
        assert response["status"] == 401
        assert "via" not in response["headers"]

    async def test_404_for_an_unknown_connection(self, run: Run) -> None:
        client = await run("http_sender", path="another")
        assert (await ask(client))["status"] == 404


class TestPythonsClient:
    async def test_it_gets_the_same_responses_as_nodes_client(
        self, server: Script, address: HybridConnectionAddress
    ) -> None:
        token = KEYS.token(address.audience).value
        headers = {"ServiceBusAuthorization": token, "X-Mine": "1"}

        def post(body: bytes) -> tuple[int, Mapping[str, str], dict[str, Any]]:
            connection = http.client.HTTPConnection(address.namespace, timeout=20)
            try:
                connection.request("POST", f"/{PATH}/abc?x=1", body, headers)
                response = connection.getresponse()
                return response.status, dict(response.getheaders()), json.loads(response.read())
            finally:
                connection.close()

        for body in (b"small", b"l" * OVER):
            status, answered, request = await asyncio.to_thread(post, body)
            assert (status, answered["x-from-listener"]) == (200, "hyco-https")
            assert "Via" in answered
            assert (request["url"], request["size"]) == (f"/{PATH}/abc?x=1", len(body))
            assert request["headers"]["x-mine"] == "1"


class TestControlChannel:
    async def test_the_next_request_is_answered_after_the_service_has_closed_it(
        self, server: Script, client: Script, emulator: RelayEmulator
    ) -> None:
        await emulator.channels[PATH][0].websocket.close(1011, "the service's trouble")
        await server.event("listening")
        assert (await ask(client))["status"] == 200
