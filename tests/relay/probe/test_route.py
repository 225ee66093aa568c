"""The way to the relay is read from the settings and the environment as the listener reads it."""

import asyncio
import base64

import pytest
from pytest_django.fixtures import Settings

from relay.configuration import configured_address
from relay.probe.route import BadProxy, NoHttp, Proxy, Route, read_head, read_proxy, route_to

pytestmark = pytest.mark.usefixtures("no_proxy_of_ours")


@pytest.fixture
def azure(settings: Settings) -> None:
    """The settings of a hospital."""
    settings.AZURE_RELAY_NAMESPACE, settings.AZURE_RELAY_PLAIN_WEBSOCKET = "north.servicebus.windows.net", False


@pytest.mark.usefixtures("azure")
class TestRouteTo:
    def test_without_a_proxy_it_begins_at_the_relay(self) -> None:
        route = route_to(configured_address())
        assert (route.first, route.whose) == (("north.servicebus.windows.net", 443), "the relay")

    def test_with_a_proxy_it_begins_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.nhs.uk:3128")
        route = route_to(configured_address())
        assert (route.first, route.whose) == (("proxy.nhs.uk", 3128), "the proxy")
        assert route.target == "north.servicebus.windows.net:443"

    def test_no_proxy_excludes_a_host(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.nhs.uk:3128")
        monkeypatch.setenv("NO_PROXY", ".windows.net")
        route = route_to(configured_address())
        assert (route.proxy, route.bypassed) == (None, True)

    def test_an_emulator_on_this_machine_has_none(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.nhs.uk:3128")
        settings.AZURE_RELAY_NAMESPACE, settings.AZURE_RELAY_PLAIN_WEBSOCKET = "[::1]:9350", True
        assert route_to(configured_address()) == Route("::1", 9350, plain=True)


class TestReadProxy:
    @pytest.mark.parametrize(
        ("url", "expected"),
        [
            ("http://proxy:3128", Proxy("proxy", 3128)),
            ("http://proxy/", Proxy("proxy", 80)),
            ("https://proxy", Proxy("proxy", 443, tls=True)),
            ("http://me:p%40ss@proxy:3128", Proxy("proxy", 3128, user="me", password="p@ss")),
        ],
    )
    def test_it_has_a_host_a_port_and_perhaps_a_user(self, url: str, expected: Proxy) -> None:
        assert read_proxy(url) == expected

    @pytest.mark.parametrize(
        ("url", "said"),
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
    def test_what_cannot_be_used_is_told_and_nothing_of_it_quoted(self, url: str, said: str) -> None:
        with pytest.raises(BadProxy, match=said) as error:
            read_proxy(url)
        assert "hunter" not in str(error.value)
        assert error.value.__suppress_context__ or error.value.__context__ is None

    def test_a_password_is_sent_as_rfc_7617_has_it_and_never_shown(self) -> None:
        proxy = read_proxy("http://me:p%40ss@proxy:3128")
        assert base64.b64encode(b"me:p@ss").decode() in proxy.authorization
        assert "p@ss" not in f"{proxy} {proxy!r}"


class TestReadHead:
    @staticmethod
    async def read(text: bytes) -> int:
        """The status of what was sent."""
        reader = asyncio.StreamReader()
        reader.feed_data(text)
        reader.feed_eof()
        return (await read_head(reader)).status

    async def test_a_response_has_a_status(self) -> None:
        assert await self.read(b"HTTP/1.1 407 Who are you\r\nA: b\r\n\r\n") == 407

    @pytest.mark.parametrize(
        "text", [b"", b"HTTP/1.1 200 OK\r\n", b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 x\r\n\r\n", b"\r\n\r\n", b"x" * 70_000]
    )
    async def test_anything_else_is_no_http(self, text: bytes) -> None:
        with pytest.raises(NoHttp):
            await self.read(text)
