"""Fixtures for all tests: processes, a relay emulator, DCMTK; and how the tests share the machine."""

import fcntl
import os
import shutil
import socket
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.db import connection

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import SharedAccessKey
from tests.collector import Collector, collecting, traces_to
from tests.processes import Start, processes
from tests.scheduling import OneBrowser
from tests.tinyproxy import TinyProxy, running_proxy

pytest_plugins = ["tests.worklist_fixtures"]

PATH = "test-gateway"
KEYS = SharedAccessKey("test-policy", "test-key-0123456789")


#: What a test asks for that looks at the database.
OF_THE_DATABASE = {"db", "transactional_db", "django_db_setup", "scp", "unit", "whole_gateway"}

#: How many examples of a property are tried, and how many by `make test-long`.
ORDINARY, LONG = 100, 1500
hypothesis.settings.register_profile("ordinary", deadline=None, max_examples=ORDINARY)
hypothesis.settings.register_profile("long", deadline=None, max_examples=LONG)
hypothesis.settings.load_profile("ordinary")  # unless --hypothesis-profile names the other


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On another database than SQLite only what has to do with one is run: the rest would say the same again. What runs
    alone comes last, so that nobody waits for it in the middle."""
    items.sort(key=lambda item: bool(item.get_closest_marker("alone")))
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneBrowser | None:
    """How the tests are handed out to several workers."""
    return OneBrowser(config, log) if config.getvalue("dist") == "load" else None


#: What the workers of pytest-xdist lock, to take turns.
ROOM, QUEUE = Path(__file__), Path(__file__).with_name("__init__.py")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """A test that is marked `alone` runs while no other worker has one in hand."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with turn(alone=bool(item.get_closest_marker("alone"))):
        return (yield)


@contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Until the block ends no other is `alone`, or none is there at all. Nobody overtakes one who waits for that."""
    with ROOM.open() as room:
        with QUEUE.open() as queue:
            fcntl.flock(queue, fcntl.LOCK_EX)
            fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


@pytest.fixture
def factor() -> int:
    """How many times as often as ordinarily what chance makes is to be tried."""
    return 5 if hypothesis.settings().max_examples > ORDINARY else 1


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the gateway's commands as processes."""
    with processes() as starter:
        yield starter


@pytest.fixture
async def emulator() -> AsyncIterator[RelayEmulator]:
    """A relay emulator in this process, with the hybrid connection and policy of the test settings."""
    assert settings.AZURE_RELAY_HYBRID_CONNECTION == PATH
    async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}) as running:
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


@pytest.fixture
def collector(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector of traces, to which this process sends them."""
    with collecting() as made, traces_to(made.endpoint, settings, monkeypatch):
        yield made


@pytest.fixture
def deaf_collector(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        with traces_to(endpoint, settings, monkeypatch):
            yield
