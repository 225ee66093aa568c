"""Provide a relay emulator with TLS and a private authority, and probes whose whole output is searched for secrets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from nonprod.relay_emulator.certificates import Certificate, make_certificate
from relay.probe.report import FAILED, Outcome, format_outcome, run_steps, summarise
from relay.probe.steps import STEPS, ProbeContext
from tests.conftest import KEYS, PATH
from tests.relay.conftest import Trust
from tests.tinyproxy import PASSWORD

SECRETS = (KEYS.key, PASSWORD, "SharedAccessSignature", "sig=", "Basic ")


class Report:
    """The outcomes of one probe, and the text that it printed."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.by_step = {outcome.name: outcome for outcome in outcomes}
        self.passed, self.summary = summarise(outcomes)
        self.text = "\n".join(line for outcome in outcomes for line in format_outcome(outcome))
        assert [secret for secret in SECRETS if secret in self.text] == []

    @property
    def marks(self) -> str:
        return "".join(outcome.mark for outcome in self.by_step.values())

    def finding(self, step: str) -> str:
        return self.by_step[step].finding

    def problem(self, step: str) -> str:
        """Assert that only this step failed, and return its causes and remedies."""
        assert [name for name, outcome in self.by_step.items() if outcome.mark == FAILED] == [step]
        return "\n".join(f"{problem.cause}\n{problem.remedy}" for problem in self.by_step[step].problems)


@asynccontextmanager
async def relay_with(certificate: Certificate, settings: Settings) -> AsyncIterator[RelayEmulator]:
    """Run a relay emulator with this certificate, and point the settings to it."""
    async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}, tls=certificate.context) as emulator:
        settings.AZURE_RELAY_NAMESPACE = f"localhost:{emulator.port}"
        settings.AZURE_RELAY_PLAIN_WEBSOCKET = False
        yield emulator


@pytest.fixture
async def relay(no_proxy_settings: None, trust: Trust, settings: Settings) -> AsyncIterator[RelayEmulator]:
    """Run a relay emulator with TLS whose authority is trusted; the settings point to it, without a proxy."""
    certificate = make_certificate()
    trust(certificate.authority)
    async with relay_with(certificate, settings) as emulator:
        yield emulator


async def probe() -> Report:
    """Probe the relay with the current settings and environment."""
    return Report([outcome async for outcome in run_steps(STEPS, ProbeContext())])
