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
    """All that a channel makes of these frames."""
    channel = ControlProtocol()
    texts = [json.dumps(frame) if isinstance(frame, dict) else frame for frame in frames]
    return [event for text in texts for event in channel.receive(text)]


def request(identifier: str = "42c3", **more: Any) -> dict[str, Any]:
    """A request message."""
    return {"request": {"address": ADDRESS, "id": identifier, "method": "POST", "requestTarget": "/path?x=1", **more}}


class TestAccept:
    def test_it_brings_the_address_exactly_as_it_stands(self) -> None:
        headers = {"Host": "h", "Sec-WebSocket-Key": "k"}
        accept = {"accept": {"address": ADDRESS, "id": "4cb542c3", "connectHeaders": headers}}
        assert receive(accept) == [Accept(ADDRESS, "4cb542c3", headers)]

    @pytest.mark.parametrize("identifier", NOT_LOGGABLE)
    def test_an_id_that_cannot_stand_in_a_log_is_replaced(self, identifier: object) -> None:
        (event,) = receive({"accept": {"address": ADDRESS, "id": identifier}})
        assert isinstance(event, Accept)
        assert len(event.id) == 16

    def test_it_does_not_show_its_address(self) -> None:
        assert "sb-hc-id" not in repr(receive({"accept": {"address": ADDRESS, "id": "1"}}))

    def test_a_header_is_found_in_any_case(self) -> None:
        accept = Accept(ADDRESS, "1", {"X-Own": "yes"})
        assert (accept.header("x-own"), accept.header("x-other")) == ("yes", "")


class TestRequest:
    def test_one_without_a_body_is_whole_at_once(self) -> None:
        assert receive(request(requestHeaders={"A": "b"}, body=False)) == [
            Request("42c3", "42c3", ADDRESS, "POST", "/path?x=1", {"A": "b"}, b"")
        ]

    def test_one_with_a_body_waits_for_the_binary_message_after_it(self) -> None:
        (event,) = receive(request(body=True), b"\x00body")
        assert isinstance(event, Request)
        assert event.body == b"\x00body"

    def test_what_comes_before_the_body_is_heard_and_the_body_still_goes_where_it_belongs(self) -> None:
        accept, whole = receive(request(body=True), {"accept": {"address": ADDRESS, "id": "1"}}, b"body")
        assert isinstance(accept, Accept)
        assert isinstance(whole, Request)
        assert whole.body == b"body"

    def test_one_whose_body_never_came_can_still_be_answered(self) -> None:
        bodiless, whole = receive(request("first", body=True), request("second", body=True), b"body")
        assert isinstance(bodiless, Request)
        assert isinstance(whole, Request)
        assert (bodiless.id, bodiless.body) == ("first", None)
        assert (whole.id, whole.body) == ("second", b"body")

    def test_one_whose_body_is_not_waited_for_any_more_can_be_answered_too(self) -> None:
        channel = ControlProtocol()
        channel.receive(json.dumps(request(body=True)))
        (bodiless,) = channel.give_up_body()
        assert isinstance(bodiless, Request)
        assert bodiless.body is None
        assert channel.give_up_body() == []

    def test_the_id_of_a_request_that_waits_for_its_body_is_known(self) -> None:
        channel = ControlProtocol()
        assert channel.awaited_id == ""
        channel.receive(json.dumps(request(body=True)))
        assert channel.awaited_id == "42c3"

    def test_an_address_alone_is_a_request_to_be_fetched(self) -> None:
        assert receive({"request": {"address": ADDRESS, "id": "42c3"}}) == [RendezvousRequest(ADDRESS, "42c3")]

    def test_an_id_that_cannot_stand_in_a_log_is_answered_as_it_is_and_logged_as_another(self) -> None:
        (event,) = receive(request("SMITH^JANE"))
        assert isinstance(event, Request)
        assert (event.id, len(event.correlation_id)) == ("SMITH^JANE", 16)

    def test_it_does_not_show_what_may_be_anything(self) -> None:
        assert repr(receive(request("SMITH^", requestTarget="/SMITH", body=True), b"SMITH")).count("SMITH") == 0


class TestAnythingElse:
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
            ('{"request": {"id": null}}', "request"),
            (json.dumps({"k" * 99: 1}), "k" * 40),
        ],
    )
    def test_it_is_known_by_its_top_level_key_only(self, text: str, key: str) -> None:
        assert receive(text) == [Unrecognised(key)]

    def test_each_kind_is_told_once(self) -> None:
        assert receive('{"future": 1}', '{"future": 2}', "x", "y") == [Unrecognised("future"), Unrecognised("no JSON")]

    def test_so_many_kinds_are_told_and_no_more(self) -> None:
        assert len(receive(*({f"kind{number}": 1} for number in range(MAX_UNRECOGNISED + 5)))) == MAX_UNRECOGNISED


class TestMessages:
    def test_a_new_token_is_sent_as_renew_token(self) -> None:
        assert json.loads(renew_token("Sas")) == {"renewToken": {"token": "Sas"}}

    def test_a_response_with_a_body_is_a_text_and_a_binary_after_it(self) -> None:
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

    def test_one_without_a_body_is_a_text_alone(self) -> None:
        (text,) = response_messages("42c3", Response(404))
        assert json.loads(text)["response"]["body"] is False


class TestRenewalDelay:
    @pytest.mark.parametrize(("fraction", "delay"), [(0.75, 2700), (0.85, 3060)])
    def test_a_token_is_renewed_well_before_it_ends(self, fraction: float, delay: float) -> None:
        assert renewal_delay(3600, fraction) == delay

    def test_a_token_that_has_ended_is_renewed_soon_and_not_without_a_pause(self) -> None:
        assert renewal_delay(-400, 0.8) == 1.0
