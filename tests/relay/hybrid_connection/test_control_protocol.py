"""Hybrid Connections protocol: control channel messages."""

import json
from typing import Any

import pytest

from relay.hybrid_connection.control_protocol import (
    MAX_UNRECOGNISED,
    Accept,
    ControlProtocol,
    Event,
    RendezvousRequest,
    Request,
    Response,
    Unrecognised,
    renew_token,
    renewal_delay,
    response_messages,
)

ADDRESS = "wss://g1-prod:443/$hc/path?sb-hc-action=accept&sb-hc-id=4cb542c3%20x"
NOT_LOGGABLE = [None, 5, "SMITH^JANE", "a b", "x" * 65, "a\nb", ""]


def receive(*frames: str | bytes | dict[str, Any]) -> list[Event]:
    """Return all events of these frames."""
    protocol = ControlProtocol()
    texts = [json.dumps(frame) if isinstance(frame, dict) else frame for frame in frames]
    return [event for text in texts for event in protocol.receive(text)]


def request(identifier: str = "42c3", **more: Any) -> dict[str, Any]:
    """Return a request message."""
    return {"request": {"address": ADDRESS, "id": identifier, "method": "POST", "requestTarget": "/path?x=1", **more}}


class TestAccept:
    def test_its_address_is_left_exactly_as_it_came(self) -> None:
        headers = {"Host": "h", "Sec-WebSocket-Key": "k"}
        accept = {"accept": {"address": ADDRESS, "id": "4cb542c3", "connectHeaders": headers}}
        assert receive(accept) == [Accept(ADDRESS, "4cb542c3", headers)]

    @pytest.mark.parametrize("identifier", NOT_LOGGABLE)
    def test_an_id_that_is_not_safe_to_log_is_replaced(self, identifier: object) -> None:
        (event,) = receive({"accept": {"address": ADDRESS, "id": identifier}})
        assert isinstance(event, Accept)
        assert len(event.id) == 16

    def test_its_representation_hides_the_address(self) -> None:
        assert "sb-hc-id" not in repr(receive({"accept": {"address": ADDRESS, "id": "1"}}))

    def test_a_header_is_found_whatever_its_case(self) -> None:
        accept = Accept(ADDRESS, "1", {"X-Own": "yes"})
        assert (accept.header("x-own"), accept.header("x-other")) == ("yes", "")


class TestRequest:
    def test_a_request_without_a_body_is_returned_at_once(self) -> None:
        assert receive(request(requestHeaders={"A": "b"}, body=False)) == [
            Request("42c3", "42c3", ADDRESS, "POST", "/path?x=1", {"A": "b"}, b"")
        ]

    def test_a_request_with_a_body_waits_for_the_next_binary_frame(self) -> None:
        (event,) = receive(request(body=True), b"\x00body")
        assert isinstance(event, Request)
        assert event.body == b"\x00body"

    def test_an_accept_before_the_body_is_returned_and_the_body_still_joins_its_request(self) -> None:
        accept, whole = receive(request(body=True), {"accept": {"address": ADDRESS, "id": "1"}}, b"body")
        assert isinstance(accept, Accept)
        assert isinstance(whole, Request)
        assert whole.body == b"body"

    def test_the_next_request_with_a_body_ends_the_wait_for_the_first_body(self) -> None:
        bodiless, whole = receive(request("first", body=True), request("second", body=True), b"body")
        assert isinstance(bodiless, Request)
        assert isinstance(whole, Request)
        assert (bodiless.id, bodiless.body) == ("first", None)
        assert (whole.id, whole.body) == ("second", b"body")

    def test_giving_up_a_body_returns_its_request_once(self) -> None:
        channel = ControlProtocol()
        channel.receive(json.dumps(request(body=True)))
        (bodiless,) = channel.give_up_body()
        assert isinstance(bodiless, Request)
        assert bodiless.body is None
        assert channel.give_up_body() == []

    def test_the_id_of_a_request_that_waits_for_its_body_is_available(self) -> None:
        channel = ControlProtocol()
        assert channel.awaited_id == ""
        channel.receive(json.dumps(request(body=True)))
        assert channel.awaited_id == "42c3"

    def test_a_request_with_an_address_alone_is_a_rendezvous_request(self) -> None:
        assert receive({"request": {"address": ADDRESS, "id": "42c3"}}) == [RendezvousRequest(ADDRESS, "42c3")]

    def test_an_id_that_is_not_safe_to_log_is_kept_for_the_answer_only(self) -> None:
        (event,) = receive(request("SMITH^JANE"))
        assert isinstance(event, Request)
        assert (event.id, len(event.correlation_id)) == ("SMITH^JANE", 16)

    def test_its_representation_hides_what_the_sender_sent(self) -> None:
        assert repr(receive(request("SMITH^", requestTarget="/SMITH", body=True), b"SMITH")).count("SMITH") == 0


ENDPOINT = {"address": "192.0.2.1", "port": 50123}


class TestForms:
    """Objects have no order, null means absent, and unknown keys mean nothing."""

    @pytest.mark.parametrize(
        "message",
        [
            {"accept": None, **request()},
            {"remoteEndpoint": ENDPOINT, **request()},
            {**request(), "accept": None, "renewToken": None, "future": {"x": 1}},
            {"request": {"remoteEndpoint": ENDPOINT, "requestHeaders": None, "body": None, **request()["request"]}},
            {"request": dict(reversed(request()["request"].items()))},
        ],
    )
    def test_a_request_is_read_whatever_stands_beside_it(self, message: dict[str, Any]) -> None:
        assert receive(message) == receive(request())

    @pytest.mark.parametrize(
        "message",
        [
            {"request": None, "accept": {"address": ADDRESS, "id": "1"}},
            {"remoteEndpoint": ENDPOINT, "accept": {"id": "1", "address": ADDRESS}},
            {"accept": {"remoteEndpoint": ENDPOINT, "connectHeaders": None, "address": ADDRESS, "id": "1"}},
        ],
    )
    def test_so_is_an_accept(self, message: dict[str, Any]) -> None:
        assert receive(message) == [Accept(ADDRESS, "1")]

    def test_a_request_with_an_address_alone_may_have_nulls(self) -> None:
        nulls = {"id": "42c3", "method": None, "requestHeaders": None, "body": None}
        assert receive({"request": {**nulls, "address": ADDRESS}}) == [RendezvousRequest(ADDRESS, "42c3")]

    def test_a_header_that_is_null_is_absent(self) -> None:
        headers = {"A": None, "B": "b"}
        assert receive({"accept": {"address": ADDRESS, "id": "1", "connectHeaders": headers}}) == [
            Accept(ADDRESS, "1", {"B": "b"})
        ]

    def test_a_message_with_both_is_both(self) -> None:
        accept, asked = receive({"request": request()["request"], "accept": {"address": ADDRESS, "id": "1"}})
        assert (accept, [asked]) == (Accept(ADDRESS, "1"), receive(request()))


class TestUnrecognised:
    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("", "no JSON"),
            (b"\xff", "binary"),
            (b'{"accept": {"address": "wss://x", "id": "1"}}', "binary"),
            ("[" * 100_000, "no JSON"),
            ("[]", "no object"),
            ("{}", "no object"),
            ("null", "no object"),
            ('{"injectFault": {"name": "SMITH"}}', "injectFault"),
            ('{"accept": "SMITH"}', "accept"),
            ('{"accept": {"address": 5}}', "accept"),
            ('{"accept": null}', "no object"),
            ('{"accept": null, "future": {}}', "future"),
            ('{"remoteEndpoint": {}, "accept": {}}', "accept"),
            ('{"request": {"id": null}}', "request"),
            (json.dumps({"k" * 99: 1}), "k" * 40),
        ],
    )
    def test_only_its_top_level_key_is_kept(self, text: str, key: str) -> None:
        assert receive(text) == [Unrecognised(key)]

    def test_each_kind_is_returned_once(self) -> None:
        assert receive('{"future": 1}', '{"future": 2}', "x", "y") == [Unrecognised("future"), Unrecognised("no JSON")]

    def test_the_number_of_kinds_is_limited(self) -> None:
        assert len(receive(*({f"kind{number}": 1} for number in range(MAX_UNRECOGNISED + 5)))) == MAX_UNRECOGNISED


class TestMessages:
    def test_a_new_token_is_a_renew_token_message(self) -> None:
        assert json.loads(renew_token("Sas")) == {"renewToken": {"token": "Sas"}}

    def test_a_response_with_a_body_is_a_text_and_then_a_binary_message(self) -> None:
        text, body = response_messages("42c3", Response(200, b"{}", {"Content-Type": "application/json"}, "OK"))
        assert json.loads(text) == {
            "response": {
                "requestId": "42c3",
                "statusCode": 200,
                "statusDescription": "OK",
                "responseHeaders": {"Content-Type": "application/json"},
                "body": True,
            }
        }
        assert body == b"{}"

    def test_a_response_without_a_body_is_a_text_alone(self) -> None:
        (text,) = response_messages("42c3", Response(404))
        assert json.loads(text)["response"]["body"] is False


class TestRenewalDelay:
    @pytest.mark.parametrize(("fraction", "delay"), [(0.75, 2700), (0.85, 3060)])
    def test_a_token_is_renewed_well_before_it_expires(self, fraction: float, delay: float) -> None:
        assert renewal_delay(3600, fraction) == delay

    def test_an_expired_token_is_renewed_after_one_second(self) -> None:
        assert renewal_delay(-400, 0.8) == 1.0
