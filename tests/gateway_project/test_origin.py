"""From where a WebSocket may be opened."""

import pytest
from django.test import override_settings

from gateway_project.origin import _handshake, _is_ours


def is_ours(origin: str, *, host: str = "127.0.0.1:8000", scheme: str = "ws", **headers: str) -> bool:
    """Whether a page of this origin may, at a server that is called like this."""
    all_headers = {"host": host, "origin": origin, **{name.replace("_", "-"): text for name, text in headers.items()}}
    raw = [(name.encode(), text.encode()) for name, text in all_headers.items() if text]
    return _is_ours(_handshake({"type": "websocket", "path": "/live/", "scheme": scheme, "headers": raw}))


class TestOrigin:
    def test_a_page_of_this_site_may(self) -> None:
        assert is_ours("http://127.0.0.1:8000")
        assert is_ours("https://localhost", host="localhost", scheme="wss")

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
        assert not is_ours(other)

    @override_settings(ALLOWED_HOSTS=[".hospital.example"])
    def test_a_sibling_that_is_an_allowed_host_itself_may_not(self) -> None:
        host = "gateway.hospital.example"
        assert is_ours(f"http://{host}", host=host)
        assert not is_ours("http://wiki.hospital.example", host=host)

    def test_a_strange_name_that_leads_here_may_not(self) -> None:
        assert not is_ours("http://evil.example", host="evil.example")

    @override_settings(SECURE_PROXY_SSL_HEADER=("HTTP_X_FORWARDED_PROTO", "https"))
    def test_behind_a_proxy_with_tls_its_word_tells_the_scheme(self) -> None:
        assert is_ours("https://localhost", host="localhost", x_forwarded_proto="https")
        assert not is_ours("http://localhost", host="localhost", x_forwarded_proto="https")
        assert not is_ours("https://localhost", host="localhost")

    @override_settings(CSRF_TRUSTED_ORIGINS=["https://gateway.example"])
    def test_a_trusted_origin_may(self) -> None:
        assert is_ours("https://gateway.example")
        assert not is_ours("https://other.example")
        assert not is_ours("https://gateway.example", host="evil.example")
