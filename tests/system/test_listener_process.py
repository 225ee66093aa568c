"""The listener as a process: how it stops, and what its heartbeat says."""

import json
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.models import Heartbeat
from relay.hybrid_connection.failures import HybridConnectionError
from tests.factories import payload
from tests.processes import Process
from tests.system.conftest import Gateway
from tests.system.test_database_down import locked_database
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

#: What ends at once ends within this many seconds, on a slow machine too.
AT_ONCE = 5.0


@pytest.fixture
def silent_relay() -> Iterator[str]:
    """A namespace that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def said_nothing_bad(process: Process) -> bool:
    """Whether there is neither a traceback nor an error in what it wrote."""
    levels = {json.loads(line)["level"] for line in process.lines}
    return "Traceback" not in process.output and not levels & {"ERROR", "CRITICAL"}


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_while_it_waits_to_reconnect_it_ends_at_once(self, gateway: Gateway, number: int) -> None:
        gateway.run()
        listener = gateway.start("run_relay_listener", **gateway.environment)
        assert "connection refused" in listener.wait_for_field("listener offline", "reason")
        assert listener.stop(number, AT_ONCE) == 0
        assert said_nothing_bad(listener)

    def test_while_it_connects_it_ends_at_once(self, gateway: Gateway, silent_relay: str) -> None:
        gateway.run()
        listener = gateway.start("run_relay_listener", **{**gateway.environment, "AZURE_RELAY_NAMESPACE": silent_relay})
        listener.wait_for("listener connecting")
        assert listener.stop(signal.SIGTERM, AT_ONCE) == 0
        assert said_nothing_bad(listener)

    def test_an_action_in_hand_is_finished_first(self, gateway: Gateway) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener")
        listener = gateway.processes["run_relay_listener"]
        with ThreadPoolExecutor(1) as manage:
            with locked_database():
                sending = manage.submit(gateway.reply, payload())
                stop_in_hand(listener)
            assert sending.result()["status"] == "created"
        assert listener.exit_status() == 0
        assert WorklistItem.objects.count() == 1

    def test_a_second_signal_ends_it_at_once_and_what_was_in_hand_is_not_half_done(self, gateway: Gateway) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener", RELAY_STOP_GRACE_SECONDS="60")
        listener = gateway.processes["run_relay_listener"]
        with ThreadPoolExecutor(1) as manage, locked_database():
            sending = manage.submit(gateway.reply, payload())
            stop_in_hand(listener)
            assert listener.stop(signal.SIGTERM, AT_ONCE) == 0
            assert isinstance(sending.exception(), HybridConnectionError)
        assert said_nothing_bad(listener)
        assert not WorklistItem.objects.exists()


def stop_in_hand(listener: Process) -> None:
    """SIGTERM once a sender has come, and wait until it is about to finish with him."""
    listener.wait_for("sender accepted")
    listener.send_signal(signal.SIGTERM)
    listener.wait_for("finishing")


class TestHeartbeat:
    def test_it_tells_what_the_listener_does(self, gateway: Gateway) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener")
        gateway.reply(payload())
        wanted = {
            "why",
            "online_since",
            "last_accept_at",
            "last_echo_at",
            "last_echo_ms",
            "echo",
            "renewals",
            "reconnects",
        }
        replies = (gateway.reply({"action_type": "health"}) for _ in range(1000))
        checks = (reply["health"]["checks"]["relay_listener"] for reply in replies)
        found = next(check for check in checks if check.get("last_accept_at"))
        assert wanted <= found.keys()
        assert found["ok"] is True

    def test_sighup_replaces_the_channel_without_a_word_of_being_offline(self, gateway: Gateway) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener")
        listener = gateway.processes["run_relay_listener"]
        if sys.platform == "win32":
            pytest.skip("Windows has no SIGHUP")
        listener.send_signal(signal.SIGHUP)
        listener.wait_for("replacing the control channel")
        listener.wait_for("listener online")
        assert gateway.reply(payload())["status"] == "created"
        assert "offline" not in listener.output

    def test_one_that_has_stopped_has_none(self, gateway: Gateway) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener")
        assert gateway.processes["run_relay_listener"].stop() == 0
        assert not Heartbeat.objects.exists()
