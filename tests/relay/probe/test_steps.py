"""Each fault between this machine and the relay is reported, with its remedy, by the step that finds it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.configuration import configured_address
from relay.hybrid_connection.control_protocol import Accept
from relay.hybrid_connection.websocket import tls_context
from relay.probe.steps import STEPS, ProbeContext, connect_tcp
from tests.certificates import certificate_for
from tests.conftest import KEYS, PATH
from tests.processes import free_ports
from tests.relay.conftest import Trust
from tests.relay.hybrid_connection.listening import listening, upper
from tests.relay.probe.conftest import probe, relay_with
from tests.tinyproxy import PASSWORD, USER, TinyProxy, running_proxy

CONNECTION_STRING = "Endpoint=sb://north.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=c2VjcmV0"


@asynccontextmanager
async def answering(text: bytes) -> AsyncIterator[int]:
    """Open a port that answers every connection with this text, and yield its number."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(text)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def answer_as_gateway(frame: bytes, accept: Accept) -> str:
    return json.dumps({"status": "echo", "payload": json.loads(frame)})


class TestSteps:
    def test_each_step_needs_only_earlier_ones(self) -> None:
        names = [step.name for step in STEPS]
        assert all(needed in names[: names.index(step.name)] for step in STEPS for needed in step.needs)

    def test_steps_are_in_the_order_of_the_connection(self) -> None:
        names = "settings, DNS, TCP, proxy, TLS, clock, token, listen, round trip"
        assert ", ".join(step.name for step in STEPS) == names


class TestNoFault:
    async def test_every_step_passes_and_no_channel_is_left(self, relay: RelayEmulator) -> None:
        report = await probe()
        assert report.passed, report.text
        assert report.marks == "✓✓✓–✓✓✓✓✓"
        assert report.finding("settings") == (
            f"localhost:{relay.port}, hybrid connection {PATH}, without a proxy; all checks passed"
        )
        assert report.finding("token") == f"a shared access signature of the policy {KEYS.name}, valid for 60 min"
        await relay.until(lambda: relay.channels[PATH] == [])

    async def test_without_a_listener_the_probe_answers_its_own_echo(self, relay: RelayEmulator) -> None:
        assert "this probe answered its own echo: no listener is running" in (await probe()).finding("round trip")

    async def test_a_running_listener_answers_the_echo(self, relay: RelayEmulator) -> None:
        async with listening(configured_address(), answer_as_gateway) as (listener, _):
            report = await probe()
            assert report.finding("round trip") == "a running listener answered the echo"
            assert listener.status.state == "online"
            assert len(relay.channels[PATH]) == 1

    async def test_an_emulator_without_tls_needs_neither_proxy_nor_certificate(
        self, emulator: RelayEmulator, settings: Settings
    ) -> None:
        settings.AZURE_RELAY_NAMESPACE = emulator.namespace
        report = await probe()
        assert report.passed, report.text
        assert report.marks == "✓✓✓––✓✓✓✓"


class TestSettings:
    @pytest.mark.parametrize("name", ["AZURE_RELAY_NAMESPACE", "AZURE_RELAY_HYBRID_CONNECTION"])
    async def test_a_missing_address_blocks_all_other_steps(
        self, relay: RelayEmulator, settings: Settings, name: str
    ) -> None:
        setattr(settings, name, "")
        report = await probe()
        assert f"{name} is not set" in report.problem("settings")
        assert report.marks == "✗––––––––"

    async def test_an_invalid_setting_of_another_part_blocks_no_step(
        self, relay: RelayEmulator, settings: Settings
    ) -> None:
        settings.WEB_PORT = 0
        report = await probe()
        assert "core.E007: WEB_PORT is 0" in report.problem("settings")
        assert report.marks == "✗✓✓–✓✓✓✓✓"

    @pytest.mark.parametrize("name", ["AZURE_RELAY_NAMESPACE", "AZURE_RELAY_HYBRID_CONNECTION"])
    async def test_a_connection_string_in_the_wrong_setting_is_not_shown(
        self, relay: RelayEmulator, settings: Settings, name: str
    ) -> None:
        setattr(settings, name, CONNECTION_STRING)
        report = await probe()
        assert "relay.E003" in report.problem("settings")
        assert "c2VjcmV0" not in report.text

    async def test_an_invalid_proxy_url_is_reported_and_not_shown(
        self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "gateway:hunter2@proxy:3128")
        report = await probe()
        assert "HTTPS_PROXY does not begin with http:// or https://" in report.problem("settings")
        assert "Write it as http://proxy:port" in report.problem("settings")
        assert "hunter2" not in report.text


class TestDns:
    async def test_an_unknown_relay_name(self, relay: RelayEmulator, settings: Settings) -> None:
        settings.AZURE_RELAY_NAMESPACE = "hospital.servicebus.invalid"
        report = await probe()
        problem = report.problem("DNS")
        assert "the host name of the relay, hospital.servicebus.invalid, is unknown here" in problem
        assert "nslookup hospital.servicebus.invalid" in problem
        assert "set HTTPS_PROXY" in problem
        assert report.marks == "✓✗––––✓––"  # a token needs no network

    async def test_an_unknown_proxy_name(self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@proxy.hospital.invalid:3128")
        problem = (await probe()).problem("DNS")
        assert "the host name of the proxy, proxy.hospital.invalid, is unknown here" in problem
        assert "Compare it with HTTPS_PROXY" in problem


class TestTcp:
    async def test_a_closed_port(self, relay: RelayEmulator, settings: Settings) -> None:
        (port,) = free_ports(1)
        settings.AZURE_RELAY_NAMESPACE = f"localhost:{port}"
        problem = (await probe()).problem("TCP")
        assert f"the relay does not answer on port {port} (127.0.0.1: connection refused" in problem
        assert "let this machine connect to *.servicebus.windows.net on port 443" in problem

    async def test_one_of_two_addresses_is_enough_and_the_other_is_reported(self, relay: RelayEmulator) -> None:
        finding = await connect_tcp(ProbeContext(addresses=["127.0.0.1", "127.0.0.2"]))
        assert finding.endswith(f"port {relay.port} at 127.0.0.1, but not at 127.0.0.2: connection refused")

    async def test_a_proxy_that_is_not_running(self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        (port,) = free_ports(1)
        monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@127.0.0.1:{port}")
        report = await probe()
        assert f"the proxy does not answer on port {port}" in report.problem("TCP")
        assert f"Check 127.0.0.1:{port} in HTTPS_PROXY" in report.problem("TCP")


class TestProxy:
    async def test_the_right_user_name_and_password_are_accepted(
        self, relay: RelayEmulator, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url)
        report = await probe()
        assert report.passed, report.text
        assert report.finding("DNS") == "127.0.0.1 is already an address (the proxy, which looks up localhost itself)"
        assert report.finding("proxy") == f"{tinyproxy.address} as {USER} connects to localhost:{relay.port}"
        assert f"127.0.0.1:{relay.port}" in tinyproxy.connects  # the rendezvous used the proxy as well

    async def test_a_wrong_password(
        self, relay: RelayEmulator, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url_with(USER, "hunter2"))
        report = await probe()
        assert f"the proxy {tinyproxy.address} refuses the user name {USER} with the password" in report.problem(
            "proxy"
        )
        assert "hunter2" not in report.text
        assert report.marks == "✓✓✓✗––✓––"

    async def test_no_password(
        self, relay: RelayEmulator, tinyproxy: TinyProxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{tinyproxy.address}")
        problem = (await probe()).problem("proxy")
        assert f"{tinyproxy.address} requires a user name and password, and HTTPS_PROXY has none (407)" in problem

    @pytest.mark.usefixtures("tinyproxy_program")
    async def test_a_proxy_that_does_not_allow_the_port(
        self, relay: RelayEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with running_proxy(tmp_path, "ConnectPort 443") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", proxy.url)
            problem = (await probe()).problem("proxy")
        assert f"{proxy.address} does not allow connections to localhost:{relay.port} (403)" in problem
        assert "It must allow CONNECT to *.servicebus.windows.net" in problem

    async def test_a_relay_that_the_proxy_cannot_reach(
        self, relay: RelayEmulator, tinyproxy: TinyProxy, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", tinyproxy.url)
        settings.AZURE_RELAY_NAMESPACE = "hospital.servicebus.invalid"
        problem = (await probe()).problem("proxy")
        assert "works, but cannot reach the relay at hospital.servicebus.invalid:443" in problem
        assert "Check AZURE_RELAY_NAMESPACE." in problem

    async def test_a_proxy_that_accepts_only_windows_authentication(
        self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        offers = b"Proxy-Authenticate: Negotiate\r\nProxy-Authenticate: NTLM\r\n"
        async with answering(b"HTTP/1.1 407 Proxy Authentication Required\r\n" + offers + b"\r\n") as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@127.0.0.1:{port}")
            problem = (await probe()).problem("proxy")
        assert "does not accept a user name and password, only negotiate, ntlm (407)" in problem
        assert "allow Basic" in problem

    async def test_a_port_that_is_not_a_proxy(self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        async with answering(b"SSH-2.0-OpenSSH\r\n") as port:
            monkeypatch.setenv("HTTPS_PROXY", f"http://{USER}:{PASSWORD}@127.0.0.1:{port}")
            problem = (await probe()).problem("proxy")
        assert f"127.0.0.1:{port} does not answer like an HTTP proxy" in problem

    async def test_no_proxy_excludes_the_relay(self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.hospital.invalid:3128")
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        report = await probe()
        assert report.passed, report.text
        assert report.finding("proxy") == "not used: NO_PROXY excludes localhost"


@pytest.mark.usefixtures("no_proxy_settings")
class TestTls:
    async def test_a_private_authority_that_is_not_trusted(
        self, relay: RelayEmulator, settings: Settings, trust: Trust
    ) -> None:
        trust(trustme.CA(organization_name="Another"))
        report = await probe()
        problem = report.problem("TLS")
        assert (
            "the certificate was issued by Relay emulator, which is not trusted here (unable to get local issuer"
            in problem
        )
        assert "trusted authorities: 1, from " in problem
        assert "set SSL_CERT_FILE" in problem
        assert report.marks == "✓✓✓–✗–✓––"

    async def test_a_missing_file_of_authorities_is_reported(
        self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
        tls_context.cache_clear()
        assert "SSL_CERT_FILE, if set, names a file that does not exist" in (await probe()).problem("TLS")

    async def test_an_inspecting_proxy_is_revealed_by_its_authority(self, settings: Settings, trust: Trust) -> None:
        inspector = trustme.CA(organization_name="Hospital Web Filter")
        trust(trustme.CA())
        async with relay_with(certificate_for(inspector, "localhost"), settings):
            assert "If Hospital Web Filter belongs to your own organisation, or to its proxy" in (
                await probe()
            ).problem("TLS")

    async def test_a_certificate_for_another_host(self, settings: Settings, trust: Trust) -> None:
        authority = trustme.CA(organization_name="Private")
        trust(authority)
        async with relay_with(certificate_for(authority, "south.servicebus.windows.net"), settings):
            problem = (await probe()).problem("TLS")
        assert (
            "the certificate, issued by Private, is not for localhost but for south.servicebus.windows.net" in problem
        )

    @pytest.mark.parametrize(
        ("begins", "ends", "message"), [(-20, -10, "certificate has expired"), (10, 20, "certificate is not yet valid")]
    )
    async def test_a_certificate_outside_its_validity_is_compared_with_the_clock(
        self, settings: Settings, trust: Trust, begins: int, ends: int, message: str
    ) -> None:
        authority = trustme.CA(organization_name="Private")
        trust(authority)
        async with relay_with(certificate_for(authority, "localhost", begins=begins, ends=ends), settings):
            problem = (await probe()).problem("TLS")
        assert f"{message}: issued by Private, valid from " in problem
        assert f"this machine's clock says {datetime.now(UTC):%Y-%m-%d}" in problem
        assert "If the clock is wrong, set it" in problem

    async def test_a_port_without_tls(self, relay: RelayEmulator, settings: Settings) -> None:
        async with answering(b"SSH-2.0-OpenSSH\r\n") as port:
            settings.AZURE_RELAY_NAMESPACE = f"localhost:{port}"
            assert f"the TLS handshake with localhost:{port} failed (" in (await probe()).problem("TLS")

    async def test_the_finding_has_the_version_and_the_issuer(self, relay: RelayEmulator) -> None:
        assert (await probe()).finding("TLS").startswith("TLSv1.3; certificate issued by Relay emulator, valid until ")


class TestClock:
    @pytest.mark.parametrize(("seconds", "message"), [(300, "behind the service's"), (-300, "ahead of the service's")])
    async def test_a_wrong_clock_is_reported_and_blocks_no_step(
        self, relay: RelayEmulator, seconds: float, message: str
    ) -> None:
        await relay.inject({"fault": "clock_skew", "seconds": seconds})
        report = await probe()
        assert message in report.problem("clock")
        assert "NTP" in report.problem("clock")
        assert report.marks == "✓✓✓–✓✗✓✓✓"

    async def test_a_service_that_sends_no_time_is_not_a_failure(
        self, relay: RelayEmulator, settings: Settings
    ) -> None:
        async with answering(b"HTTP/1.1 404 Not Found\r\n\r\n") as port:
            settings.AZURE_RELAY_NAMESPACE, settings.AZURE_RELAY_PLAIN_WEBSOCKET = f"127.0.0.1:{port}", True
            assert (await probe()).finding("clock") == "the service does not send the time"


class TestToken:
    async def test_a_key_in_place_of_its_name_is_reported_and_not_shown(
        self, relay: RelayEmulator, settings: Settings
    ) -> None:
        settings.AZURE_RELAY_KEY_NAME = "c2VjcmV0LWtleQ=="
        report = await probe()
        assert "AZURE_RELAY_KEY_NAME is not a valid name of a policy" in report.problem("token")
        assert "c2VjcmV0LWtleQ" not in report.text
        assert report.marks == "✓✓✓–✓✓✗––"

    async def test_no_identity_for_entra_id(
        self, relay: RelayEmulator, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.AZURE_RELAY_KEY_NAME = settings.AZURE_RELAY_SHARED_ACCESS_KEY = ""
        monkeypatch.setenv(
            "AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential"
        )  # the other credentials take long to fail
        problem = (await probe()).problem("token")
        assert "getting a token: Entra ID returned no token" in problem
        assert "managed identity" in problem


class TestListen:
    async def test_a_wrong_key(self, relay: RelayEmulator, settings: Settings) -> None:
        settings.AZURE_RELAY_SHARED_ACCESS_KEY = "hunter2-hunter2"
        report = await probe()
        assert "401, token refused: check the policy's name and key" in report.problem("listen")
        assert "TrackingId:" in report.problem("listen")
        assert "must be the name and key of one policy" in report.problem("listen")
        assert "hunter2" not in report.text
        assert report.marks == "✓✓✓–✓✓✓✗–"

    async def test_a_policy_that_may_not_listen(self, relay: RelayEmulator) -> None:
        relay.policies = {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset({"Send"}))}
        problem = (await probe()).problem("listen")
        assert "403, the token is valid, but not for this hybrid connection or this right" in problem
        assert "Give the policy the right Listen" in problem

    async def test_a_hybrid_connection_that_does_not_exist(self, relay: RelayEmulator, settings: Settings) -> None:
        settings.AZURE_RELAY_HYBRID_CONNECTION = "another"
        problem = (await probe()).problem("listen")
        assert f"listening on localhost:{relay.port}/another: 404" in problem
        assert "AZURE_RELAY_HYBRID_CONNECTION must be the name of a hybrid connection in this namespace" in problem

    async def test_a_clock_wrong_by_hours_is_reported_with_the_token_that_it_makes_invalid(
        self, relay: RelayEmulator
    ) -> None:
        await relay.inject({"fault": "clock_skew", "seconds": 2 * 3600})
        report = await probe()
        assert report.marks == "✓✓✓–✓✗✓✗–"
        assert "Correct this first: clock (also failed: listen)" in report.summary
        assert "this machine's clock is" in report.by_step["listen"].problems[0].cause

    async def test_a_fault_of_the_service(self, relay: RelayEmulator) -> None:
        await relay.inject({"fault": "refuse", "action": "listen", "status": 503})
        assert "Wait and try again" in (await probe()).problem("listen")


class TestRoundTrip:
    async def test_a_policy_without_send_is_not_a_failure(self, relay: RelayEmulator) -> None:
        relay.policies = {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset({"Listen"}))}
        report = await probe()
        assert report.passed, report.text
        assert report.marks == "✓✓✓–✓✓✓✓–"
        assert "this policy does not grant Send, and need not" in report.finding("round trip")
        assert "relies on pings and on the age of the channel" in report.finding("round trip")
        assert "replaces it every 300 s (RELAY_CHANNEL_MAX_AGE_SECONDS)" in report.finding("round trip")

    async def test_a_listener_that_does_not_join_the_rendezvous(self, relay: RelayEmulator) -> None:
        relay.service.timeouts = replace(relay.service.timeouts, rendezvous=0.05)
        async with listening(configured_address(), answer_as_gateway):
            await relay.inject({"fault": "zombie"})
            problem = (await probe()).problem("round trip")
        assert "504, a listener is connected, but did not join the rendezvous" in problem
        assert "A rendezvous is on another host than the namespace" in problem
        assert "restart run_relay_listener" in problem

    async def test_a_listener_that_is_not_a_gateway(self, relay: RelayEmulator) -> None:
        async with listening(configured_address(), upper):
            assert "a listener answered, but it is not a gateway" in (await probe()).problem("round trip")

    async def test_a_listener_that_disconnects_without_a_reply(self, relay: RelayEmulator) -> None:
        async def broken(frame: bytes, accept: Accept) -> str:
            raise TimeoutError

        async with listening(configured_address(), broken):
            assert "See what the log of run_relay_listener says" in (await probe()).problem("round trip")
