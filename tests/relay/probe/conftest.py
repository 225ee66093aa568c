"""A relay emulator over TLS with a private authority, and probes of it whose every word is searched for secrets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from nonprod.relay_emulator.certificates import Certificate, make_certificate
from relay.probe.report import FAILED, Outcome, lines, take, verdict
from relay.probe.site import Site
from relay.probe.steps import STEPS
from tests.conftest import KEYS, PATH
from tests.relay.conftest import Trust
from tests.tinyproxy import PASSWORD

SECRETS = (KEYS.key, PASSWORD, "SharedAccessSignature", "sig=", "Basic ")


class Report:
    """What one probe said."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.by_step = {outcome.name: outcome for outcome in outcomes}
        self.holds, self.verdict = verdict(outcomes)
        self.text = "\n".join(line for outcome in outcomes for line in lines(outcome))
        assert [secret for secret in SECRETS if secret in self.text] == []

    @property
    def marks(self) -> str:
        """The marks of all steps in their order."""
        return "".join(outcome.mark for outcome in self.by_step.values())

    def seen(self, step: str) -> str:
        """What a step saw."""
        return self.by_step[step].seen

    def problem(self, step: str) -> str:
        """What is wrong and what to do, of the only step that failed."""
        assert [name for name, outcome in self.by_step.items() if outcome.mark == FAILED] == [step]
        return "\n".join(f"{problem.cause}\n{problem.remedy}" for problem in self.by_step[step].problems)


@asynccontextmanager
async def relay_with(certificate: Certificate, settings: Settings) -> AsyncIterator[RelayEmulator]:
    """A relay that shows this certificate, and the settings that lead to it."""
    async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}, tls=certificate.context) as emulator:
        settings.AZURE_RELAY_NAMESPACE = f"localhost:{emulator.port}"
        settings.AZURE_RELAY_PLAIN_WEBSOCKET = False
        yield emulator


@pytest.fixture
async def relay(no_proxy_of_ours: None, trust: Trust, settings: Settings) -> AsyncIterator[RelayEmulator]:
    """A relay with TLS, which is trusted; the settings lead to it, with no proxy."""
    certificate = make_certificate()
    trust(certificate.authority)
    async with relay_with(certificate, settings) as emulator:
        yield emulator


async def probed() -> Report:
    """What a probe says of the settings and the environment as they are."""
    return Report([outcome async for outcome in take(STEPS, Site())])
