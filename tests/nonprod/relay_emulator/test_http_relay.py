"""HTTP requests, both ways of carrying them."""

import asyncio
import json
import socket
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from nonprod.relay_emulator import HybridConnection, RelayEmulator, Timeouts
from tests.conftest import PATH
from tests.nonprod.relay_emulator.clients import (
    POLICIES,
    Response,
    ask,
    close_of,
    listen,
    next_message,
    open_socket,
    query_token,
    refusal_at,
    token,
)

LIMIT = 64 * 1024


async def answer(
    socket: ClientConnection, request: dict[str, Any], body: bytes | None = None, status: Any = 200, **more: Any
) -> None:
    """Send a listener's response."""
    response = {"requestId": request["id"], "statusCode": status, "body": body is not None, **more}
    await socket.send(json.dumps({"response": response}))
    if body is not None:
        await socket.send(body)


class Exchange:
    """A request on its way, and the listener's side of it."""

    def __init__(self, emulator: RelayEmulator, channel: ClientConnection, **request: Any) -> None:
        self.channel = channel
        self.asking = asyncio.create_task(ask(emulator, **request))

    async def request(self) -> dict[str, Any]:
        """What the listener gets on its control channel."""
        return await next_message(self.channel, "request")

    async def response(self) -> Response:
        """What the sender gets."""
        async with asyncio.timeout(10):
            return await self.asking


class TestOnTheControlChannel:
    async def test_a_request_has_target_method_headers_and_no_token(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        target = f"/{PATH}/abc?x=1&{query_token()}&y=%2f"
        exchange = Exchange(emulator, channel, target=target, method="PATCH", X_Own="1", TE="x", Authorization="mine")
        request = await exchange.request()
        assert (request["requestTarget"], request["method"]) == (f"/{PATH}/abc?x=1&y=%2f", "PATCH")
        assert request["requestHeaders"] == {
            "X-Own": "1",
            "Accept-Encoding": "identity",
            "Authorization": "mine",
            "Via": f"1.1 {emulator.namespace}",
        }
        assert request["body"] is False
        await answer(channel, request)
        await exchange.response()

    async def test_the_response_reaches_the_sender_with_via(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel)
        more = {"statusDescription": "Short and stout", "responseHeaders": {"X-Own": "1", "Content-Type": "text/x"}}
        await answer(channel, await exchange.request(), b"tea", 418, **more)
        response = await exchange.response()
        assert (response.status, response.reason, response.body) == (418, "Short and stout", b"tea")
        assert (response.headers["x-own"], response.headers["content-type"]) == ("1", "text/x")
        assert response.headers["via"] == f"1.1 {emulator.namespace}"
        assert response.headers["date"]

    @pytest.mark.parametrize("size", [1, LIMIT])
    async def test_a_body_of_64_kb_at_most_is_one_binary_message(self, emulator: RelayEmulator, size: int) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel, method="POST", body=b"x" * size)
        request = await exchange.request()
        assert request["body"] is True
        assert await channel.recv() == b"x" * size
        await answer(channel, request, b"y" * size)
        assert (await exchange.response()).body == b"y" * size

    async def test_a_chunked_body_arrives_whole(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel, method="PUT", body=fragments(), Transfer_Encoding="chunked")
        request = await exchange.request()
        assert await channel.recv() == b"abc"
        assert "Transfer-Encoding" not in request["requestHeaders"]
        await answer(channel, request)
        await exchange.response()

    async def test_a_body_in_fragments_is_one(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel)
        request = await exchange.request()
        await channel.send(json.dumps({"response": {"requestId": request["id"], "statusCode": "200", "body": True}}))
        await channel.send([b"a", b"b", b""])
        assert (await exchange.response()).body == b"ab"

    async def test_responses_may_come_in_any_order(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchanges = [Exchange(emulator, channel, target=f"/{PATH}/{number}") for number in range(3)]
        requests = [await exchange.request() for exchange in exchanges]
        for request in reversed(requests):
            await answer(channel, request, request["requestTarget"].encode())
        bodies = [(await exchange.response()).body for exchange in exchanges]
        assert bodies == [f"/{PATH}/{number}".encode() for number in range(3)]

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
    async def test_a_response_that_has_no_body_has_none(
        self, emulator: RelayEmulator, method: str, status: int
    ) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel, method=method)
        await answer(channel, await exchange.request(), b"odd", status)
        response = await exchange.response()
        assert (response.status, response.body) == (status, b"")

    async def test_the_second_response_to_a_request_is_ignored(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel)
        request = await exchange.request()
        await answer(channel, request, b"first")
        await answer(channel, request, b"second")
        assert (await exchange.response()).body == b"first"
        assert len(emulator.responses) == 2

    async def test_a_body_over_64_kb_closes_the_channel_and_is_502(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel)
        await answer(channel, await exchange.request(), b"y" * (LIMIT + 1))
        response = await exchange.response()
        assert (response.status, "via" in response.headers) == (502, False)
        assert (await close_of(channel))[0] == 1009

    @pytest.mark.parametrize("status", [100, "x", None, 1000])
    async def test_a_status_that_cannot_be_sent_is_502(self, emulator: RelayEmulator, status: Any) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel)
        await answer(channel, await exchange.request(), status=status)
        assert (await exchange.response()).status == 502


def fragments() -> Iterator[bytes]:
    """A body whose length nobody knows."""
    yield from (b"a", b"bc")


class TestOnItsAddress:
    @pytest.mark.parametrize(
        "large", [{"body": b"x" * (LIMIT + 1)}, {"X_Large": "x" * 40_000, "body": b"x"}], ids=["body", "headers"]
    )
    async def test_a_large_request_comes_as_its_address_alone(self, emulator: RelayEmulator, large: Any) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel, method="POST", **large)
        called = await exchange.request()
        assert called.keys() == {"address"}
        own = await open_socket(called["address"])
        request = await next_message(own, "request")
        assert (request["method"], request["body"], request["address"]) == ("POST", True, called["address"])
        assert await own.recv() == large["body"]
        await answer(own, request, b"y" * (LIMIT + 1))
        assert (await exchange.response()).body == b"y" * (LIMIT + 1)
        assert await close_of(own) == (1000, "")

    async def test_a_large_response_to_a_small_request_goes_there(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel)
        request = await exchange.request()
        own = await open_socket(request["address"])
        await answer(own, request, b"y" * 2**20)
        response = await exchange.response()
        assert (response.body, response.headers["via"]) == (b"y" * 2**20, f"1.1 {emulator.namespace}")

    async def test_it_is_valid_for_one_connection_while_the_sender_waits(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel)
        request = await exchange.request()
        own = await open_socket(request["address"])
        assert (await refusal_at(request["address"]))[0] == 403
        await answer(own, request)
        await exchange.response()
        assert (await refusal_at(request["address"]))[0] == 403

    async def test_a_listener_may_lose_it_and_still_answer(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        exchange = Exchange(emulator, channel)
        request = await exchange.request()
        await (await open_socket(request["address"])).close()
        await answer(channel, request, b"all the same")
        assert (await exchange.response()).body == b"all the same"


class TestAuthorization:
    @pytest.mark.parametrize("where", ["query", "ServiceBusAuthorization", "Authorization"])
    async def test_a_token_may_be_in_three_places_and_is_not_passed_on(
        self, emulator: RelayEmulator, where: str
    ) -> None:
        channel = await listen(emulator)
        target = f"/{PATH}?{query_token()}" if where == "query" else f"/{PATH}"
        exchange = Exchange(
            emulator, channel, target=target, given="", **({} if where == "query" else {where: token()})
        )
        request = await exchange.request()
        assert "SharedAccessSignature" not in json.dumps(request)
        await answer(channel, request)
        assert (await exchange.response()).status == 200

    @pytest.mark.parametrize(
        ("given", "status"), [("", 401), ("nonsense", 401), (token("http://127.0.0.1/other"), 403)]
    )
    async def test_an_invalid_token_is_refused_before_a_listener_is_called(
        self, emulator: RelayEmulator, given: str, status: int
    ) -> None:
        response = await ask(emulator, given=given, ServiceBusAuthorization=given)
        assert (response.status, "via" in response.headers) == (status, False)
        assert b"TrackingId:" in response.body
        assert response.headers["date"]

    async def test_none_is_needed_where_it_is_not_required_and_authorization_is_the_senders(self) -> None:
        async with RelayEmulator([HybridConnection(PATH, client_authorization=False)], POLICIES) as emulator:
            channel = await listen(emulator)
            exchange = Exchange(emulator, channel, given="", Authorization="Basic mine")
            request = await exchange.request()
            assert request["requestHeaders"]["Authorization"] == "Basic mine"
            await answer(channel, request)
            await exchange.response()


class TestNoResponse:
    async def test_no_listener_is_502_without_via(self, emulator: RelayEmulator) -> None:
        response = await ask(emulator)
        assert (response.status, "via" in response.headers) == (502, False)
        assert b"TrackingId:" in response.body

    async def test_a_listener_that_does_not_answer_is_504_without_via(self) -> None:
        async with RelayEmulator([PATH], POLICIES, timeouts=Timeouts(request=0.05)) as emulator:
            channel = await listen(emulator)
            response = await ask(emulator)
            assert (response.status, "via" in response.headers) == (504, False)
            assert emulator.state()["requests_waiting"] == 0
            await answer(channel, await next_message(channel, "request"), b"late")
            await emulator.until(lambda: len(emulator.responses) == 1)

    async def test_a_listener_that_came_to_the_address_and_says_nothing_is_504(self) -> None:
        async with RelayEmulator([PATH], POLICIES, timeouts=Timeouts(request=0.3)) as emulator:
            channel = await listen(emulator)
            exchange = Exchange(emulator, channel)
            own = await open_socket((await exchange.request())["address"])
            assert (await exchange.response()).status == 504
            assert (await close_of(own))[0] == 1001

    @pytest.mark.parametrize("target", ["/unknown", "/", f"/{PATH}x"])
    async def test_an_unknown_hybrid_connection_is_404(self, emulator: RelayEmulator, target: str) -> None:
        assert (await ask(emulator, target)).status == 404

    async def test_where_http_is_not_enabled_it_is_404(self) -> None:
        async with RelayEmulator([HybridConnection(PATH, http=False)], POLICIES) as emulator:
            await listen(emulator)
            assert (await ask(emulator)).status == 404

    async def test_connect_is_405_and_what_is_for_websockets_is_426(self, emulator: RelayEmulator) -> None:
        assert (await ask(emulator, method="CONNECT")).status == 405
        assert (await ask(emulator, f"/$hc/{PATH}?sb-hc-action=listen")).status == 426

    async def test_a_sender_that_goes_while_it_waits_leaves_nothing(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        head = f"GET /{PATH} HTTP/1.1\r\nHost: x\r\nServiceBusAuthorization: {token()}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", emulator.port)) as sender:
            sender.sendall(head.encode())
            own = await open_socket((await next_message(channel, "request"))["address"])
        await emulator.until(lambda: emulator.state()["requests_waiting"] == 0)
        assert (await close_of(own))[0] == 1001


class TestKeptRendezvous:
    @staticmethod
    async def joined(emulator: RelayEmulator) -> tuple[Exchange, ClientConnection, dict[str, Any]]:
        """Ask with the fault; return the exchange, the listener's socket, and the request that came there."""
        channel = await listen(emulator)
        await emulator.inject({"fault": "keep_rendezvous"})
        exchange = Exchange(emulator, channel)
        call = await exchange.request()
        assert list(call) == ["address"]
        own = await open_socket(call["address"])
        return exchange, own, await next_message(own, "request")

    async def test_the_next_request_goes_over_it_whether_or_not_the_first_was_answered(
        self, emulator: RelayEmulator
    ) -> None:
        first, own, request = await self.joined(emulator)
        second = Exchange(emulator, own, method="POST", body=b"more")
        next_request = await second.request()
        assert await own.recv() == b"more"
        await answer(own, next_request, b"second")
        await answer(own, request, b"first")
        assert ((await first.response()).body, (await second.response()).body) == (b"first", b"second")
        assert emulator.counts["kept"] == 1

    async def test_the_service_closes_it_when_its_senders_have_gone(self, emulator: RelayEmulator) -> None:
        exchange, own, request = await self.joined(emulator)
        await answer(own, request)
        await exchange.response()
        assert (await close_of(own))[0] == 1000
        assert emulator.state()["rendezvous_kept"] == 0

    async def test_a_listener_that_closes_it_cuts_off_the_senders(self, emulator: RelayEmulator) -> None:
        exchange, own, _ = await self.joined(emulator)
        await own.close()
        with pytest.raises((OSError, HTTPException)):
            await exchange.response()

    async def test_without_force_a_small_request_goes_through_the_control_channel(
        self, emulator: RelayEmulator
    ) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "keep_rendezvous", "forced": False})
        exchange = Exchange(emulator, channel)
        request = await exchange.request()
        own = await open_socket(request["address"])
        second_call = asyncio.create_task(next_message(own, "request"))
        await emulator.until(lambda: emulator.state()["rendezvous_kept"] == 1)
        second = Exchange(emulator, own)
        await answer(own, await second_call, b"second")
        await answer(channel, request, b"first")
        assert ((await exchange.response()).body, (await second.response()).body) == (b"first", b"second")
