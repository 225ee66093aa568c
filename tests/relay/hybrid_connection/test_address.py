"""The URLs of a hybrid connection (Hybrid Connections protocol: roles)."""

import pytest

from relay.hybrid_connection.address import HybridConnectionAddress, is_loopback, rejection_url

AZURE = "hospital.servicebus.windows.net"
CONNECTION_STRING = f"Endpoint=sb://{AZURE}/;SharedAccessKeyName=listen;SharedAccessKey=c2VjcmV0"


class TestHybridConnectionAddress:
    def test_listener_and_sender_connect_to_the_hc_path_over_tls(self) -> None:
        address = HybridConnectionAddress(AZURE, "gateway")
        assert address.listen_url == f"wss://{AZURE}/$hc/gateway?sb-hc-action=listen"
        assert address.connect_url == f"wss://{AZURE}/$hc/gateway?sb-hc-action=connect"

    def test_the_namespace_may_have_a_port(self) -> None:
        address = HybridConnectionAddress(f"{AZURE}:8443", "gateway")
        assert (address.host, address.port) == (AZURE, 8443)
        assert address.listen_url.startswith(f"wss://{AZURE}:8443/$hc/")

    def test_the_path_is_encoded_segment_by_segment(self) -> None:
        address = HybridConnectionAddress(AZURE, "/clinic 1/gätewäy/")
        assert "/$hc/clinic%201/g%C3%A4tew%C3%A4y?" in address.listen_url

    def test_the_audience_is_the_http_address(self) -> None:
        assert HybridConnectionAddress(AZURE, "gateway").audience == f"http://{AZURE}/gateway"

    @pytest.mark.parametrize(
        "namespace", ["", "https://x.net", "x.net/path", "x.net:port", "x.net:99999", "x y", "x..net", "x" * 64]
    )
    def test_a_namespace_that_is_not_a_host_name_is_refused(self, namespace: str) -> None:
        with pytest.raises(ValueError, match="is not a relay namespace"):
            HybridConnectionAddress(namespace, "gateway")

    @pytest.mark.parametrize(
        ("namespace", "host", "port"), [(AZURE, AZURE, 443), ("[::1]", "[::1]", 443), ("[::1]:9350", "[::1]", 9350)]
    )
    def test_the_port_is_443_by_default(self, namespace: str, host: str, port: int) -> None:
        address = HybridConnectionAddress(namespace, "gateway")
        assert (address.host, address.port) == (host, port)

    @pytest.mark.parametrize(("namespace", "path"), [(CONNECTION_STRING, "gateway"), (AZURE, CONNECTION_STRING)])
    def test_a_connection_string_is_refused_without_repeating_its_key(self, namespace: str, path: str) -> None:
        with pytest.raises(ValueError, match=r"hybrid connection|relay namespace") as refusal:
            HybridConnectionAddress(namespace, path)
        assert "c2VjcmV0" not in str(refusal.value)

    def test_an_empty_name_is_refused(self) -> None:
        with pytest.raises(ValueError, match="is empty"):
            HybridConnectionAddress(AZURE, "/")

    def test_plain_websockets_are_allowed_for_loopback_only(self) -> None:
        assert HybridConnectionAddress("127.0.0.1:9350", "g", plain=True).listen_url.startswith("ws://127.0.0.1:9350/")
        with pytest.raises(ValueError, match="loopback"):
            HybridConnectionAddress(AZURE, "g", plain=True)


class TestRejectionUrl:
    def test_status_and_description_are_appended_to_the_unchanged_address(self) -> None:
        rendezvous = "wss://g1:443/$hc/p%2Fq?sb-hc-action=accept&sb-hc-id=a%20b"
        expected = f"{rendezvous}&sb-hc-statusCode=503&sb-hc-statusDescription=too+busy+%26+tired"
        assert rejection_url(rendezvous, 503, "too busy & tired") == expected


class TestIsLoopback:
    @pytest.mark.parametrize(
        ("host", "expected"),
        [("localhost", True), ("127.0.0.9", True), ("[::1]", True), ("10.0.0.1", False), ("localhost.example", False)],
    )
    def test_only_this_machine_is_loopback(self, host: str, expected: bool) -> None:
        assert is_loopback(host) is expected
