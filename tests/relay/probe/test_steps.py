"""The settings are the first step, and no step is without those that it needs."""

import pytest
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import RelayEmulator
from relay.probe.steps import STEPS
from tests.relay.probe.conftest import probed

CONNECTION_STRING = "Endpoint=sb://north.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey=c2VjcmV0"


class TestSteps:
    def test_each_needs_only_what_comes_before_it(self) -> None:
        names = [step.name for step in STEPS]
        assert all(needed in names[: names.index(step.name)] for step in STEPS for needed in step.needs)

    def test_they_are_in_the_order_of_the_way(self) -> None:
        names = "settings, DNS, TCP, proxy, TLS, clock, token, listen, round trip"
        assert ", ".join(step.name for step in STEPS) == names


class TestSettings:
    @pytest.mark.parametrize("name", ["AZURE_RELAY_NAMESPACE", "AZURE_RELAY_HYBRID_CONNECTION"])
    async def test_one_that_is_missing_is_told_and_nothing_else_can_be_tried(
        self, relay: RelayEmulator, settings: Settings, name: str
    ) -> None:
        setattr(settings, name, "")
        report = await probed()
        assert f"{name} is not set" in report.problem("settings")
        assert report.marks == "✗––––––––"

    async def test_one_that_is_in_nobodys_way_is_told_and_the_rest_is_tried(
        self, relay: RelayEmulator, settings: Settings
    ) -> None:
        settings.WEB_PORT = 0
        report = await probed()
        assert "core.E007: WEB_PORT is 0" in report.problem("settings")
        assert report.marks == "✗✓✓–✓✓✓✓✓"

    @pytest.mark.parametrize("name", ["AZURE_RELAY_NAMESPACE", "AZURE_RELAY_HYBRID_CONNECTION"])
    async def test_a_connection_string_in_the_wrong_place_is_not_shown(
        self, relay: RelayEmulator, settings: Settings, name: str
    ) -> None:
        setattr(settings, name, CONNECTION_STRING)
        report = await probed()
        assert "relay.E003" in report.problem("settings")
        assert "c2VjcmV0" not in report.text

    async def test_a_proxy_that_cannot_be_used_is_told_and_not_shown(
        self, relay: RelayEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HTTPS_PROXY", "gateway:hunter2@proxy:3128")
        report = await probed()
        assert "HTTPS_PROXY does not begin with http:// or https://" in report.problem("settings")
        assert "Write it as http://proxy:port" in report.problem("settings")
        assert "hunter2" not in report.text
