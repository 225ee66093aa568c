"""Fixtures for all tests: processes, a relay emulator, DCMTK."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from django.conf import settings

from nonprod.relay_emulator import Policy, RelayEmulator
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import SharedAccessKey
from tests.processes import Start, processes
from tests.tinyproxy import TinyProxy, running_proxy

PATH = "test-gateway"
KEYS = SharedAccessKey("test-policy", "test-key-0123456789")


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the gateway's commands as processes."""
    with processes() as starter:
        yield starter


@pytest.fixture
async def emulator() -> AsyncIterator[RelayEmulator]:
    """A relay emulator in this process, with the hybrid connection and policy of the test settings."""
    assert settings.AZURE_RELAY_HYBRID_CONNECTION == PATH
    async with RelayEmulator([PATH], {KEYS.name: Policy(KEYS.key)}) as running:
        yield running


@pytest.fixture
def address(emulator: RelayEmulator) -> HybridConnectionAddress:
    """The emulator's hybrid connection."""
    return HybridConnectionAddress(emulator.namespace, PATH, plain=True)


@pytest.fixture(scope="session")
def findscu() -> None:
    """DCMTK is there; without it the test is skipped, but never in CI."""
    if not shutil.which("findscu"):
        reason = "DCMTK's findscu is not installed: apt-get install dcmtk"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def tinyproxy_program() -> None:
    """tinyproxy is there; without it the test is skipped, but never in CI."""
    if not shutil.which("tinyproxy"):
        reason = "tinyproxy is not installed: apt-get install tinyproxy-bin"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture
def tinyproxy(tinyproxy_program: None, tmp_path: Path) -> Iterator[TinyProxy]:
    """A proxy that demands authentication."""
    with running_proxy(tmp_path) as proxy:
        yield proxy
