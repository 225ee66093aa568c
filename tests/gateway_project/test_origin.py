"""Which pages may open the WebSocket."""

import pytest
from django.test import override_settings

from gateway_project.origin import handshake_request, is_own_page


def may_open(origin: str, *, host: str = "127.0.0.1:8000", scheme: str = "ws", **headers: str) -> bool:
    """Tell whether a page of this origin may open the WebSocket of a server with this name."""
    all_headers = {"host": host, "origin": origin, **{name.replace("_", "-"): text for name, text in headers.items()}}
    raw = [(name.encode(), text.encode()) for name, text in all_headers.items() if text]
    return is_own_page(handshake_request({"type": "websocket", "path": "/live/", "scheme": scheme, "headers": raw}))


class TestOrigin:
    def test_a_page_of_this_site_may(self) -> None:
        assert may_open("http://127.0.0.1:8000")
        assert may_open("https://localhost", host="localhost", scheme="wss")

    @pytest.mark.parametrize(
        "other",
        [
            "",
            "null",
            "http://127.0.0.1:9999",
            "http://127.0.0.1",
            "https://127.0.0.1:8000",
            "http://localhost:8000",
            "http://[",
        ],
    )
    def test_another_port_scheme_or_host_of_this_machine_may_not(self, other: str) -> None:
        assert not may_open(other)

    @override_settings(ALLOWED_HOSTS=[".hospital.example"])
    def test_a_sibling_that_is_an_allowed_host_itself_may_not(self) -> None:
        host = "gateway.hospital.example"
        assert may_open(f"http://{host}", host=host)
        assert not may_open("http://wiki.hospital.example", host=host)

    def test_a_strange_name_that_leads_here_may_not(self) -> None:
        assert not may_open("http://evil.example", host="evil.example")

    @override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
    def test_behind_a_proxy_with_tls_its_word_tells_the_scheme(self) -> None:
        assert may_open("https://localhost", host="localhost", x_forwarded_proto="https")
        assert not may_open("http://localhost", host="localhost", x_forwarded_proto="https")
        assert not may_open("https://localhost", host="localhost")

    @override_settings(CSRF_TRUSTED_ORIGINS=["https://gateway.example"])
    def test_a_trusted_origin_may(self) -> None:
        assert may_open("https://gateway.example")
        assert not may_open("https://other.example")
        assert not may_open("https://gateway.example", host="evil.example")
