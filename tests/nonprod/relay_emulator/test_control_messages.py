"""The texts on a control channel."""

import json
from typing import Any

import pytest

from nonprod.relay_emulator.control_messages import (
    ListenerResponse,
    MessageReader,
    RenewToken,
    accept_message,
    merge_headers,
    read_text,
    request_headers,
    with_extra_keys,
)


def response(**fields: Any) -> str:
    """A listener's response to the request 42."""
    return json.dumps({"response": {"requestId": "42", "statusCode": 200, **fields}})


class TestReader:
    def test_a_body_belongs_to_the_response_before_it(self) -> None:
        reader = MessageReader()
        assert reader.read(response(body=True)) is None
        answer = reader.read(b"abc")
        assert isinstance(answer, ListenerResponse)
        assert (answer.request_id, answer.body) == ("42", b"abc")

    def test_a_body_without_a_response_is_ignored(self) -> None:
        reader = MessageReader()
        assert isinstance(reader.read(response()), ListenerResponse)
        assert reader.read(b"") is None

    def test_a_text_where_a_body_should_be_begins_anew(self) -> None:
        reader = MessageReader()
        reader.read(response(body=True))
        assert reader.read('{"renewToken": {"token": "x"}}') == RenewToken("x")
        assert reader.read(b"abc") is None

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "garbage",
            "[]",
            "1",
            "null",
            "{}",
            '{"renewToken": 1}',
            '{"response": []}',
            '{"future": {}}',
            "[" * 100_000,
        ],
    )
    def test_anything_odd_is_ignored(self, text: str) -> None:
        assert MessageReader().read(text) is None

    def test_a_renewal_without_a_token_has_an_empty_one(self) -> None:
        assert read_text('{"renewToken": {}}') == RenewToken("")


class TestAnswer:
    @pytest.mark.parametrize(
        ("code", "status"), [(200, 200), ("200", 200), (599, 599), (100, 0), (99, 0), (None, 0), ([], 0), ("2x0", 0)]
    )
    def test_a_status_may_be_number_or_text(self, code: Any, status: int) -> None:
        answer = read_text(response(statusCode=code))
        assert isinstance(answer, ListenerResponse)
        assert answer.status == status

    def test_headers_are_cleaned_and_lists_are_lines(self) -> None:
        headers = {"Set-Cookie": ["a", "b"], "X": "1\r\nY: 2", "N": 5, "Content-Length": "9", "bad name": "", "E": "ł"}
        answer = read_text(response(responseHeaders=headers))
        assert isinstance(answer, ListenerResponse)
        assert answer.headers == [("Set-Cookie", "a"), ("Set-Cookie", "b"), ("X", "1Y: 2"), ("N", "5"), ("E", "")]

    @pytest.mark.parametrize("headers", [None, [], "x", 1])
    def test_headers_that_are_none_are_none(self, headers: Any) -> None:
        answer = read_text(response(responseHeaders=headers))
        assert isinstance(answer, ListenerResponse)
        assert answer.headers == []


class TestHeaders:
    def test_one_that_comes_twice_is_one_list(self) -> None:
        given = [("Accept", "a"), ("accept", "b"), ("Cookie", "c=1"), ("Cookie", "d=2")]
        assert merge_headers(given) == {"Accept": "a, b", "Cookie": "c=1; d=2"}

    def test_an_accept_has_all_of_the_senders_without_its_token(self) -> None:
        headers = [("Host", "ns"), ("Sec-WebSocket-Key", "k"), ("ServiceBusAuthorization", "s"), ("Authorization", "s")]
        accept = json.loads(accept_message("ws://", "42", headers))["accept"]
        assert accept == {"address": "ws://", "id": "42", "connectHeaders": {"Host": "ns", "Sec-WebSocket-Key": "k"}}

    def test_a_request_has_none_of_the_connections_own(self) -> None:
        reserved = ["Connection", "Content-Length", "Host", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Close"]
        given = [*((name, "x") for name in reserved), ("X-Own", "1"), ("Authorization", "mine"), ("Via", "1.0 proxy")]
        assert request_headers(given, "ns", private=["servicebusauthorization"]) == {
            "X-Own": "1",
            "Authorization": "mine",
            "Via": "1.0 proxy, 1.1 ns",
        }


class TestExtraKeys:
    def test_the_message_is_the_same_to_whoever_ignores_order_nulls_and_unknown_keys(self) -> None:
        message = {"request": {"address": "ws://", "id": "42", "method": "GET", "body": False}}
        text = with_extra_keys(json.dumps(message))
        written = json.loads(text)
        assert list(written) == ["accept", "remoteEndpoint", "request"]
        assert written["accept"] is None
        content = {key: value for key, value in written["request"].items() if value is not None}
        assert content.pop("remoteEndpoint") == {"address": "192.0.2.1", "port": 50123}
        assert content == {"address": "ws://", "id": "42", "method": "GET"}
