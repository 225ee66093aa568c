"""Fixtures for all tests: processes, a relay emulator, DCMTK."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from nonprod.relay_emulator import Policy, RelayEmulator
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import SharedAccessKey
from tests.processes import Start, processes
from tests.tinyproxy import TinyProxy, running_proxy

PATH = "test-gateway"
KEYS = SharedAccessKey("test-policy", "test-key-0123456789")


#: What a test asks for that looks at the database.
OF_THE_DATABASE = {"db", "transactional_db", "django_db_setup", "scp", "unit"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On another database than SQLite only what has to do with one is run: the rest would say the same again."""
    if connection.vendor == "sqlite":
        return
    config.hook.pytest_deselected(items=[item for item in items if not uses_database(item)])
    items[:] = [item for item in items if uses_database(item)]


def uses_database(item: pytest.Item) -> bool:
    """Whether a test looks at the database, or starts something that does, and would not say the same on another."""
    if item.get_closest_marker("once"):
        return False
    fixtures: set[str] = set(getattr(item, "fixturenames", ()))
    return bool(item.get_closest_marker("django_db") or fixtures & OF_THE_DATABASE)


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
