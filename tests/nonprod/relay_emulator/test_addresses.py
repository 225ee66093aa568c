"""What a URL asks for."""

import pytest

from nonprod.relay_emulator.addresses import (
    Target,
    find_hybrid_connection,
    read_target,
    rendezvous_address,
    request_target,
)


class TestReadTarget:
    def test_the_senders_own_query_is_kept_as_it_stands_and_the_services_is_decoded(self) -> None:
        target = read_target("/$hc/a%20b/suffix/?x=%2f&sb-hc-action=connect&y&sb-hc-token=A%20b%2B&SB-HC-id=1")
        assert target == Target(
            "a%20b/suffix",
            is_websocket=True,
            sender_query="x=%2f&y",
            options={"action": "connect", "token": "A b+", "id": "1"},
        )

    @pytest.mark.parametrize("text", ["/%24hc/path?sb-hc-action=listen", "/$hc/path/?sb%2Dhc%2Daction=listen"])
    def test_encoded_words_of_the_service_are_known(self, text: str) -> None:
        assert read_target(text) == Target("path", is_websocket=True, options={"action": "listen"})

    @pytest.mark.parametrize("text", ["/path?x=1", "path?x=1", "https://ns:443/path?x=1"])
    def test_a_plain_request_is_no_websocket(self, text: str) -> None:
        assert read_target(text) == Target("path", is_websocket=False, sender_query="x=1")

    def test_a_token_is_not_in_its_representation(self) -> None:
        assert "secret" not in repr(read_target("/$hc/path?sb-hc-token=secret"))


class TestHybridConnectionOf:
    @pytest.mark.parametrize(
        ("path", "found"),
        [
            ("one", "one"),
            ("ONE/suffix", "one"),
            ("one/two", "one/two"),
            ("one/two/three", "one/two"),
            ("on%65", "one"),
            ("onetwo", None),
            ("", None),
        ],
    )
    def test_it_is_the_longest_name_that_the_path_begins_with(self, path: str, found: str | None) -> None:
        assert find_hybrid_connection(path, ["one", "one/two", "two"]) == found


class TestAddresses:
    def test_a_rendezvous_has_the_senders_path_and_query(self) -> None:
        target = read_target("/$hc/path/suffix?own=1&sb-hc-action=connect&sb-hc-token=x")
        assert (
            rendezvous_address("ws://ns:1", target, "accept", "42")
            == "ws://ns:1/$hc/path/suffix?own=1&sb-hc-action=accept&sb-hc-id=42"
        )

    @pytest.mark.parametrize(("text", "expected"), [("/p/s?x=1&sb-hc-token=x", "/p/s?x=1"), ("/p?sb-hc-token=x", "/p")])
    def test_a_request_target_has_nothing_of_the_services(self, text: str, expected: str) -> None:
        assert request_target(read_target(text)) == expected
