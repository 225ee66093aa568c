"""The probe reads the route to the relay from the settings and the environment, as the listener does."""

import asyncio
import base64

import pytest
from pytest_django.fixtures import Settings

from relay.configuration import configured_address
from relay.probe.network import (
    InvalidProxyUrl,
    NotHttp,
    Proxy,
    Route,
    parse_proxy_url,
    read_response_head,
    route_to,
)

pytestmark = pytest.mark.usefixtures("no_proxy_settings")


@pytest.fixture
def azure_settings(settings: Settings) -> None:
    settings.AZURE_RELAY_NAMESPACE, settings.AZURE_RELAY_PLAIN_WEBSOCKET = "north.servicebus.windows.net", False


@pytest.mark.usefixtures("azure_settings")
class TestRouteTo:
    def test_without_a_proxy_the_first_hop_is_the_relay(self) -> None:
        route = route_to(configured_address())
        assert (route.first_hop, route.first_hop_name) == (("north.servicebus.windows.net", 443), "the relay")

    def test_with_a_proxy_the_first_hop_is_the_proxy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.nhs.uk:3128")
        route = route_to(configured_address())
        assert (route.first_hop, route.first_hop_name) == (("proxy.nhs.uk", 3128), "the proxy")
        assert route.target == "north.servicebus.windows.net:443"

    def test_no_proxy_excludes_the_relay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.nhs.uk:3128")
        monkeypatch.setenv("NO_PROXY", ".windows.net")
        route = route_to(configured_address())
        assert (route.proxy, route.bypasses_proxy) == (None, True)

    def test_an_emulator_on_this_machine_is_reached_without_a_proxy(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.nhs.uk:3128")
        settings.AZURE_RELAY_NAMESPACE, settings.AZURE_RELAY_PLAIN_WEBSOCKET = "[::1]:9350", True
        assert route_to(configured_address()) == Route("::1", 9350, plain=True)


class TestParseProxyUrl:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://proxy:3128", Proxy("proxy", 3128)),
            ("http://proxy/", Proxy("proxy", 80)),
            ("https://proxy", Proxy("proxy", 443, tls=True)),
            ("http://me:p%40ss@proxy:3128", Proxy("proxy", 3128, user="me", password="p@ss")),
        ],
    )
    def test_a_proxy_has_a_host_a_port_and_perhaps_a_user(self, url: str, expected: Proxy) -> None:
        assert parse_proxy_url(url) == expected

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("proxy:3128", "http://"),
            ("socks5://proxy:1080", "http://"),
            ("http://me:hunter/2@proxy:3128", "port"),
            ("http://me:hunter2#@proxy:3128", "port"),
            ("http://proxy:3128/hunter2", "host and a port"),
            ("http://hunter2@proxy:3128", "without a password"),
            ("http://", "host and a port"),
            ("http://[hunter2", "cannot be read"),
        ],
    )
    def test_an_invalid_url_is_explained_and_not_quoted(self, url: str, message: str) -> None:
        with pytest.raises(InvalidProxyUrl, match=message) as error:
            parse_proxy_url(url)
        assert "hunter" not in str(error.value)
        assert error.value.__suppress_context__ or error.value.__context__ is None

    def test_the_password_is_sent_as_basic_credentials_and_never_shown(self) -> None:
        proxy = parse_proxy_url("http://me:p%40ss@proxy:3128")
        assert base64.b64encode(b"me:p@ss").decode() in proxy.authorization
        assert "p@ss" not in f"{proxy} {proxy!r}"


class TestReadResponseHead:
    @staticmethod
    async def read_status(text: bytes) -> int:
        reader = asyncio.StreamReader()
        reader.feed_data(text)
        reader.feed_eof()
        return (await read_response_head(reader)).status

    async def test_a_response_has_a_status(self) -> None:
        assert await self.read_status(b"HTTP/1.1 407 Proxy Authentication Required\r\nA: b\r\n\r\n") == 407

    @pytest.mark.parametrize(
        "text", [b"", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"\r\n\r\n", b"x" * 70_000]
    )
    async def test_anything_else_is_not_http(self, text: bytes) -> None:
        with pytest.raises(NotHttp):
            await self.read_status(text)
