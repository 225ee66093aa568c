"""Connect through a proxy that requires authentication, to a relay with a certificate of a private authority."""

from collections.abc import Callable, Iterator

import pytest

from relay.models import ReceivedAction
from tests.conftest import KEYS, PATH
from tests.processes import Process, Start, free_ports, processes
from tests.tinyproxy import PASSWORD, USER, TinyProxy, running_proxy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

Environment = dict[str, str]
Run = Callable[..., Process]


@pytest.fixture(scope="module")
def proxy(tinyproxy_program: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TinyProxy]:
    """A proxy for all the tests here."""
    with running_proxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture(scope="module")
def relay(django_db_setup: None, proxy: TinyProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """A relay emulator with TLS runs; this is the environment of a gateway that gets there through the proxy."""
    (port,) = free_ports(1)
    authority = tmp_path_factory.mktemp("relay") / "authority.pem"
    environment = {
        "DJANGO_SETTINGS_MODULE": "gateway_project.settings.local",  # those for tests are for a relay without TLS
        "AZURE_RELAY_NAMESPACE": f"localhost:{port}",
        "AZURE_RELAY_HYBRID_CONNECTION": PATH,
        "AZURE_RELAY_KEY_NAME": KEYS.name,
        "AZURE_RELAY_SHARED_ACCESS_KEY": KEYS.key,
        "AZURE_RELAY_PLAIN_WEBSOCKET": "False",
        "HTTPS_PROXY": proxy.url,
        "NO_PROXY": "",
        "SSL_CERT_FILE": str(authority),
        "SSL_CERT_DIR": "",
    }
    emulator = ["run_relay_emulator", "--tls", "--port", str(port), "--ca-file", environment["SSL_CERT_FILE"]]
    with processes() as start:
        start(*emulator, **environment).wait_for("relay emulator listening")
        yield environment


@pytest.fixture
def run(start: Start, relay: Environment) -> Run:
    """Starts a command in that environment, with changes."""

    def run_with(*command: str, **changes: str) -> Process:
        return start(*command, **{**relay, **changes})

    return run_with


def without_secrets(process: Process) -> str:
    """All that a process has written, when it has ended; none of it is a secret."""
    process.exit_status()
    secrets = (KEYS.key, PASSWORD, "hunter2", "SharedAccessSignature", "sig=", "Basic ")
    assert [secret for secret in secrets if secret in process.output] == []
    return process.output


class TestMainJob:
    def test_an_action_goes_through_the_proxy_both_ways(self, run: Run, relay: Environment, proxy: TinyProxy) -> None:
        before = len(proxy.connects)
        listener = run("run_relay_listener")
        listener.wait_for("listener online")
        sender = run("send_gateway_action")
        assert '"status":"created"' in sender.wait_for("status")
        assert ReceivedAction.objects.get().outcome == "created"
        assert listener.stop() == 0
        without_secrets(listener)
        port = relay["AZURE_RELAY_NAMESPACE"].split(":")[1]
        connects = proxy.connects[before:]
        # Control channel and sender by the namespace's name, the listener's end of the rendezvous by its own address.
        assert connects.count(f"localhost:{port}") >= 2
        assert connects.count(f"127.0.0.1:{port}") >= 1

    def test_no_proxy_is_honoured(self, run: Run, proxy: TinyProxy) -> None:
        before = proxy.connects
        excluded = {"NO_PROXY": "localhost,127.0.0.1"}
        run("run_relay_listener", **excluded).wait_for("listener online")
        assert '"status":"created"' in run("send_gateway_action", **excluded).wait_for("status")
        assert proxy.connects == before


#: What is wrong, what the listener says of it, and the line of the probe that fails, with what it says.
WRONG = {
    "password": ("the proxy answered with 401: it requires a user name and password, or refused those", "✗ proxy"),
    "no password": ("the proxy answered with 407: it requires a user name and password, or refused those", "✗ proxy"),
    "proxy": ("the proxy refuses the connection: check HTTPS_PROXY", "✗ TCP"),
    "malformed proxy": ("HTTPS_PROXY cannot be used: write it as http://proxy:port", "✗ settings"),
    "authority": ("the certificate's authority is not trusted: a private one, or an inspecting proxy's", "✗ TLS"),
    "relay": ("the proxy answered with 500: it cannot reach the relay: check AZURE_RELAY_NAMESPACE", "✗ proxy"),
    "key": ("401, token refused: check the policy's name and key", "✗ listen"),
    "hybrid connection": ("404, no such hybrid connection", "✗ listen"),
}


def changes(what: str, proxy: TinyProxy) -> Environment:
    """What makes one thing wrong, and that one alone."""
    (closed,) = free_ports(1)
    return {
        "password": {"HTTPS_PROXY": proxy.url_with(USER, "hunter2")},
        "no password": {"HTTPS_PROXY": f"http://{proxy.address}"},
        "proxy": {"HTTPS_PROXY": f"http://{USER}:{PASSWORD}@127.0.0.1:{closed}"},
        "malformed proxy": {"HTTPS_PROXY": f"{USER}:{PASSWORD}@{proxy.address}"},
        "authority": {"SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"},
        "relay": {"AZURE_RELAY_NAMESPACE": f"localhost:{closed}"},
        "key": {"AZURE_RELAY_SHARED_ACCESS_KEY": "hunter2"},
        "hybrid connection": {"AZURE_RELAY_HYBRID_CONNECTION": "another"},
    }[what]


class TestOneThingIsWrong:
    @pytest.mark.parametrize("what", WRONG)
    def test_the_listener_says_in_its_log_which(self, run: Run, proxy: TinyProxy, what: str) -> None:
        listener = run("run_relay_listener", **changes(what, proxy))
        assert WRONG[what][0] in listener.wait_for_field("listener offline", "reason")
        assert listener.stop() == 0
        without_secrets(listener)

    @pytest.mark.parametrize("what", WRONG)
    def test_the_probe_names_it_and_exits_with_1(self, run: Run, proxy: TinyProxy, what: str) -> None:
        probe = run("probe_relay", **changes(what, proxy))
        output = without_secrets(probe)
        assert probe.exit_status() == 1
        assert [line.split("  ")[0] for line in probe.lines if line.startswith("✗")] == [WRONG[what][1]], output
        assert "Correct this first" in probe.lines[-1]


class TestProbe:
    def test_all_holds_beside_a_listener_that_runs_and_is_not_disturbed(self, run: Run) -> None:
        listener = run("run_relay_listener")
        listener.wait_for("listener online")
        probe = run("probe_relay")
        output = without_secrets(probe)
        assert probe.exit_status() == 0, output
        assert "a running listener answered the echo" in output
        assert probe.lines[-1].startswith("The gateway can reach its relay")
        assert '"status":"created"' in run("send_gateway_action").wait_for("status")
        assert listener.stop() == 0
        assert "offline" not in listener.output.partition("listener stopped")[0]

    def test_it_needs_no_setting_to_run(self, run: Run) -> None:
        settings = {"DJANGO_SETTINGS_MODULE": "gateway_project.settings.production", "AZURE_RELAY_NAMESPACE": ""}
        probe = run("probe_relay", **settings)
        output = without_secrets(probe)
        assert probe.exit_status() == 1
        assert "AZURE_RELAY_NAMESPACE is not set" in output
        assert "Traceback" not in output
