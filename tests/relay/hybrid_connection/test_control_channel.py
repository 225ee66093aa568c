"""Hybrid Connections protocol: control channel messages."""

import json

import pytest

from relay.hybrid_connection import control_channel
from relay.hybrid_connection.control_channel import Accept, Request, Unrecognised, read

ADDRESS = "wss://g1-prod:443/$hc/path?sb-hc-action=accept&sb-hc-id=4cb542c3%20x"


class TestRead:
    def test_an_accept_brings_the_address_exactly_as_it_stands(self) -> None:
        headers = {"Host": "h", "Sec-WebSocket-Key": "k"}
        event = read(json.dumps({"accept": {"address": ADDRESS, "id": "4cb542c3", "connectHeaders": headers}}))
        assert event == Accept(ADDRESS, "4cb542c3", headers)

    @pytest.mark.parametrize("identifier", [None, 5, "SMITH^JANE", "a b", "x" * 65, "a\nb", ""])
    def test_an_id_that_cannot_stand_in_a_log_is_replaced(self, identifier: object) -> None:
        event = read(json.dumps({"accept": {"address": ADDRESS, "id": identifier}}))
        assert isinstance(event, Accept)
        assert len(event.id) == 16

    def test_an_accept_does_not_show_its_address(self) -> None:
        assert "sb-hc-id" not in repr(read(json.dumps({"accept": {"address": ADDRESS, "id": "1"}})))

    def test_a_request_brings_its_id(self) -> None:
        assert read('{"request": {"id": "42c3", "method": "GET"}}') == Request("42c3")

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("", "no JSON"),
            (b"\xff", "no JSON"),
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
    def test_anything_else_is_known_by_its_top_level_key_only(self, text: str, key: str) -> None:
        assert read(text) == Unrecognised(key)


class TestMessages:
    def test_a_new_token_is_sent_as_renew_token(self) -> None:
        assert json.loads(control_channel.renew_token("Sas")) == {"renewToken": {"token": "Sas"}}

    def test_a_request_is_answered_with_404_and_no_body(self) -> None:
        response = json.loads(control_channel.refuse_request(Request("42c3")))["response"]
        assert (response["requestId"], response["statusCode"], response["body"]) == ("42c3", 404, False)


class TestRenewalDelay:
    def test_a_token_is_renewed_well_before_it_ends(self) -> None:
        assert control_channel.renewal_delay(now=1000, expires_at=4600) == 2880

    def test_a_token_that_has_ended_is_renewed_soon_and_not_without_a_pause(self) -> None:
        assert control_channel.renewal_delay(now=5000, expires_at=4600) == 1.0
