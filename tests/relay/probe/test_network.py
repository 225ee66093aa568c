"""Each thing that can be wrong between this machine and the relay is named, with what to do, when it alone is wrong."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import RelayEmulator
from relay.hybrid_connection.websocket import tls_context
from relay.probe.network import connect
from relay.probe.site import Site
from tests.certificates import certificate_for
from tests.processes import free_ports
from tests.relay.conftest import Trust
from tests.relay.probe.conftest import probed, relay_with
from tests.tinyproxy import PASSWORD, USER, TinyProxy, running_proxy


@asynccontextmanager
async def answering(text: bytes) -> AsyncIterator[int]:
    """A port on which everybody gets this, and nothing else."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(text)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class TestDns:
    async def test_a_name_that_is_not_known(self, relay: RelayEmulator, settings: Settings) -> None:
        settings.AZURE_RELAY_NAMESPACE = "hospital.servicebus.invalid"
        report = await probed()
        problem = report.problem("DNS")
        assert "the name of the relay, hospital.servicebus.invalid, is not known here" in problem
        assert "nslookup hospital.servicebus.invalid" in problem
        assert "set HTTPS_PROXY" in problem
        assert report.marks == "✓✗––––✓––"  # a token can be had all the same

    async def test_a_proxys_name_that_is_not_known(self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@proxy.hospital.invalid:3128")
        problem = (await probed()).problem("DNS")
        assert "the name of the proxy, proxy.hospital.invalid, is not known here" in problem
        assert "Compare it with HTTPS_PROXY" in problem


class TestTcp:
    async def test_a_port_on_which_nothing_listens(self, relay: RelayEmulator, settings: Settings) -> None:
        (port,) = free_ports(1)
        settings.AZURE_RELAY_NAMESPACE = f"localhost:{port}"
        problem = (await probed()).problem("TCP")
        assert f"the relay does not answer on port {port} (127.0.0.1: connection refused" in problem
        assert "let this machine out to *.servicebus.windows.net on port 443" in problem

    async def test_one_of_two_addresses_is_enough_and_the_other_is_told(self, relay: RelayEmulator) -> None:
        seen = await connect(Site(addresses=["127.0.0.1", "127.0.0.2"]))
        assert seen.endswith(f"port {relay.port} of 127.0.0.1, and not on 127.0.0.2: connection refused")

    async def test_a_proxy_that_does_not_run(self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        (port,) = free_ports(1)
        monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@127.0.0.1:{port}")
        report = await probed()
        assert f"the proxy does not answer on port {port}" in report.problem("TCP")
        assert f"Is 127.0.0.1:{port} in HTTPS_PROXY right" in report.problem("TCP")


class TestProxy:
    async def test_the_right_user_name_and_password_open_the_way(
        self, relay: RelayEmulator, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url)
        report = await probed()
        assert report.holds, report.text
        assert report.seen("DNS") == "127.0.0.1 is an address already (the proxy, which itself looks up localhost)"
        assert report.seen("proxy") == f"{tinyproxy.address} as {USER} connects us to localhost:{relay.port}"
        assert f"127.0.0.1:{relay.port}" in tinyproxy.connects  # the rendezvous went there, too

    async def test_a_wrong_password(
        self, relay: RelayEmulator, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url_with(USER, "hunter2"))
        report = await probed()
        assert f"the proxy {tinyproxy.address} refuses the user name {USER} with the password" in report.problem(
            "proxy"
        )
        assert "hunter2" not in report.text
        assert report.marks == "✓✓✓✗––✓––"

    async def test_no_password(
        self, relay: RelayEmulator, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{tinyproxy.address}")
        problem = (await probed()).problem("proxy")
        assert f"{tinyproxy.address} wants a user name and password, and HTTPS_PROXY has none (407)" in problem

    @pytest.mark.usefixtures("tinyproxy_program")
    async def test_a_proxy_that_does_not_allow_the_port(
        self, relay: RelayEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with running_proxy(tmp_path, "ConnectPort 443") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            problem = (await probed()).problem("proxy")
        assert f"{proxy.address} does not let us through to localhost:{relay.port} (403)" in problem
        assert "It must allow CONNECT to *.servicebus.windows.net" in problem

    async def test_a_relay_that_the_proxy_cannot_reach(
        self, relay: RelayEmulator, tinyproxy: TinyProxy, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url)
        settings.AZURE_RELAY_NAMESPACE = "hospital.servicebus.invalid"
        problem = (await probed()).problem("proxy")
        assert "works, but cannot reach the relay at hospital.servicebus.invalid:443" in problem
        assert "Is AZURE_RELAY_NAMESPACE right?" in problem

    async def test_a_proxy_that_knows_people_by_windows_only(
        self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        offers = b"Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n"
        async with answering(b"HTTP/1.1 407 Who\r\n" + offers + b"\r\n") as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@127.0.0.1:{port}")
            problem = (await probed()).problem("proxy")
        assert "takes no user name with password, but negotiate, ntlm (407)" in problem
        assert "allow Basic" in problem

    async def test_a_port_that_is_no_proxys(self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        async with answering(b"SSH-2.0-OpenSSH\r\n") as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@127.0.0.1:{port}")
            problem = (await probed()).problem("proxy")
        assert f"127.0.0.1:{port} does not answer as an HTTP proxy does" in problem

    async def test_no_proxy_excludes_the_relay(self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.hospital.invalid:3128")
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        report = await probed()
        assert report.holds, report.text
        assert report.seen("proxy") == "none used: NO_PROXY excludes localhost"


@pytest.mark.usefixtures("no_proxy_of_ours")
class TestTls:
    async def test_a_private_authority_that_is_not_trusted_is_named(
        self, relay: RelayEmulator, settings: Settings, trust: Trust
    ) -> None:
        trust(trustme.CA(organization_name="Another"))
        report = await probed()
        problem = report.problem("TLS")
        assert "the certificate is by Relay emulator, which is not trusted here (unable to get local issuer" in problem
        assert "1 authorities are trusted, from " in problem
        assert "into SSL_CERT_FILE" in problem
        assert report.marks == "✓✓✓–✗–✓––"

    async def test_a_file_of_authorities_that_is_not_there_is_told(
        self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
        tls_context.cache_clear()
        assert "SSL_CERT_FILE, if it is set, names one that is not there" in (await probed()).problem("TLS")

    async def test_an_inspecting_proxy_is_known_by_its_authority(self, settings: Settings, trust: Trust) -> None:
        inspector = trustme.CA(organization_name="Hospital Web Filter")
        trust(trustme.CA())
        async with relay_with(certificate_for(inspector, "localhost"), settings):
            assert "If Hospital Web Filter is your own organisation's, or its proxy's" in (await probed()).problem(
                "TLS"
            )

    async def test_a_certificate_for_another_host(self, settings: Settings, trust: Trust) -> None:
        authority = trustme.CA(organization_name="Private")
        trust(authority)
        async with relay_with(certificate_for(authority, "south.servicebus.windows.net"), settings):
            problem = (await probed()).problem("TLS")
        assert "the certificate, by Private, is not for localhost but for south.servicebus.windows.net" in problem

    @pytest.mark.parametrize(
        ("begins", "ends", "said"), [(-20, -10, "certificate has expired"), (10, 20, "certificate is not yet valid")]
    )
    async def test_a_certificate_out_of_its_time_is_held_against_the_clock(
        self, settings: Settings, trust: Trust, begins: int, ends: int, said: str
    ) -> None:
        authority = trustme.CA(organization_name="Private")
        trust(authority)
        async with relay_with(certificate_for(authority, "localhost", begins=begins, ends=ends), settings):
            problem = (await probed()).problem("TLS")
        assert f"{said}: it is by Private, good from " in problem
        assert f"this machine's clock says {datetime.now(UTC):%Y-%m-%d}" in problem
        assert "If the clock is wrong, set it" in problem

    async def test_a_port_that_speaks_no_tls(self, relay: RelayEmulator, settings: Settings) -> None:
        async with answering(b"SSH-2.0-OpenSSH\r\n") as port:
            settings.AZURE_RELAY_NAMESPACE = f"localhost:{port}"
            assert f"the TLS handshake with localhost:{port} failed (" in (await probed()).problem("TLS")

    async def test_version_and_authority_are_told_where_all_is_well(self, relay: RelayEmulator) -> None:
        assert (await probed()).seen("TLS").startswith("TLSv1.3; certificate by Relay emulator, until ")


class TestClock:
    @pytest.mark.parametrize(("seconds", "said"), [(300, "behind the service's"), (-300, "ahead of the service's")])
    async def test_a_clock_that_is_wrong_is_told_and_the_rest_is_tried(
        self, relay: RelayEmulator, seconds: float, said: str
    ) -> None:
        await relay.inject({"fault": "clock_skew", "seconds": seconds})
        report = await probed()
        assert said in report.problem("clock")
        assert "NTP" in report.problem("clock")
        assert report.marks == "✓✓✓–✓✗✓✓✓"

    async def test_a_service_that_tells_no_time_is_no_failure(self, relay: RelayEmulator, settings: Settings) -> None:
        async with answering(b"HTTP/1.1 404 Not Found\r\n\r\n") as port:
            settings.AZURE_RELAY_NAMESPACE, settings.AZURE_RELAY_PLAIN_WEBSOCKET = f"127.0.0.1:{port}", True
            assert (await probed()).seen("clock") == "the service does not tell the time"
