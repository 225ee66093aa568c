"""What the relay itself grants or refuses is named, with what to do, when it alone is wrong."""

import json
from dataclasses import replace

import pytest
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.configuration import configured_address
from relay.hybrid_connection.control_protocol import Accept
from tests.conftest import KEYS, PATH
from tests.relay.hybrid_connection.listening import listening, upper
from tests.relay.probe.conftest import probed


async def as_a_gateway(frame: bytes, accept: Accept) -> str:
    """Answers as the gateway does that runs already."""
    return json.dumps({"status": "echo", "payload": json.loads(frame)})


class TestAllIsWell:
    async def test_every_step_holds_and_nothing_stays_behind(self, relay: RelayEmulator) -> None:
        report = await probed()
        assert report.holds, report.text
        assert report.marks == "✓✓✓–✓✓✓✓✓"
        assert report.seen("settings") == (
            f"localhost:{relay.port}, hybrid connection {PATH}, with no proxy; every check holds"
        )
        assert report.seen("token") == f"a shared access signature of the policy {KEYS.name}, good for 60 min"
        await relay.until(lambda: relay.channels[PATH] == [])

    async def test_with_no_listener_the_probe_answers_its_own_echo_and_says_so(self, relay: RelayEmulator) -> None:
        assert "by this probe itself: no listener runs now" in (await probed()).seen("round trip")

    async def test_with_a_listener_that_runs_it_is_that_one_that_answers(self, relay: RelayEmulator) -> None:
        async with listening(configured_address(), as_a_gateway) as (listener, _):
            report = await probed()
            assert report.seen("round trip") == "an echo was answered, by a listener that runs already"
            assert listener.status.state == "online"
            assert len(relay.channels[PATH]) == 1

    async def test_an_emulator_without_tls_has_neither_proxy_nor_certificate(
        self, emulator: RelayEmulator, settings: Settings
    ) -> None:
        settings.AZURE_RELAY_NAMESPACE = emulator.namespace
        report = await probed()
        assert report.holds, report.text
        assert report.marks == "✓✓✓––✓✓✓✓"


class TestToken:
    async def test_a_key_in_the_place_of_its_name_is_told_and_not_shown(
        self, relay: RelayEmulator, settings: Settings
    ) -> None:
        settings.AZURE_RELAY_KEY_NAME = "c2VjcmV0LWtleQ=="
        report = await probed()
        assert "AZURE_RELAY_KEY_NAME is no name that a policy can have" in report.problem("token")
        assert "c2VjcmV0LWtleQ" not in report.text
        assert report.marks == "✓✓✓–✓✓✗––"

    async def test_no_identity_for_entra_id(
        self, relay: RelayEmulator, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings.AZURE_RELAY_KEY_NAME = settings.AZURE_RELAY_SHARED_ACCESS_KEY = ""
        monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")  # the others look around for long
        problem = (await probed()).problem("token")
        assert "getting a token: Entra ID gave none" in problem
        assert "managed identity" in problem


class TestListen:
    async def test_a_wrong_key(self, relay: RelayEmulator, settings: Settings) -> None:
        settings.AZURE_RELAY_SHARED_ACCESS_KEY = "hunter2-hunter2"
        report = await probed()
        assert "401, token refused: check the policy's name and key" in report.problem("listen")
        assert "TrackingId:" in report.problem("listen")
        assert "must be name and key of one policy" in report.problem("listen")
        assert "hunter2" not in report.text
        assert report.marks == "✓✓✓–✓✓✓✗–"

    async def test_a_policy_that_may_not_listen(self, relay: RelayEmulator) -> None:
        relay.policies = {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset({"Send"}))}
        problem = (await probed()).problem("listen")
        assert "403, the token is valid, but not for this hybrid connection or this right" in problem
        assert "Give the policy the right Listen" in problem

    async def test_a_hybrid_connection_that_is_not_there(self, relay: RelayEmulator, settings: Settings) -> None:
        settings.AZURE_RELAY_HYBRID_CONNECTION = "another"
        problem = (await probed()).problem("listen")
        assert f"listening on localhost:{relay.port}/another: 404" in problem
        assert "AZURE_RELAY_HYBRID_CONNECTION must be the name of a hybrid connection in this namespace" in problem

    async def test_a_clock_that_is_off_by_hours_is_named_beside_the_token_that_it_spoils(
        self, relay: RelayEmulator
    ) -> None:
        await relay.inject({"fault": "clock_skew", "seconds": 2 * 3600})
        report = await probed()
        assert report.marks == "✓✓✓–✓✗✓✗–"
        assert "Mend first: clock (listen, too)" in report.verdict
        assert "this machine's clock is" in report.by_step["listen"].problems[0].cause

    async def test_the_services_own_trouble(self, relay: RelayEmulator) -> None:
        await relay.inject({"fault": "refuse", "action": "listen", "status": 503})
        assert "Wait and try again" in (await probed()).problem("listen")


class TestRoundTrip:
    async def test_a_policy_that_may_listen_only_is_no_failure(self, relay: RelayEmulator) -> None:
        relay.policies = {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset({"Listen"}))}
        report = await probed()
        assert report.holds, report.text
        assert report.marks == "✓✓✓–✓✓✓✓–"
        assert "Send is not granted to this policy, and need not be" in report.seen("round trip")
        assert "relies on pings and on the age of the channel" in report.seen("round trip")

    async def test_a_listener_that_does_not_come_to_the_rendezvous(self, relay: RelayEmulator) -> None:
        relay.service.timeouts = replace(relay.service.timeouts, rendezvous=0.05)
        async with listening(configured_address(), as_a_gateway):
            await relay.inject({"fault": "zombie"})
            problem = (await probed()).problem("round trip")
        assert "504, a listener is connected, but did not join the rendezvous" in problem
        assert "A rendezvous is on another host than the namespace" in problem
        assert "restart run_relay_listener" in problem

    async def test_a_listener_that_is_no_gateway(self, relay: RelayEmulator) -> None:
        async with listening(configured_address(), upper):
            assert "a listener answered, but not as a gateway does" in (await probed()).problem("round trip")

    async def test_a_listener_that_breaks_off(self, relay: RelayEmulator) -> None:
        async def broken(frame: bytes, accept: Accept) -> str:
            raise TimeoutError

        async with listening(configured_address(), broken):
            assert "The log of run_relay_listener says what it did" in (await probed()).problem("round trip")
