"""Fixtures for all tests (processes, a relay emulator, DCMTK), and how parallel tests share the machine."""

import os
import shutil
import socket
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import hypothesis
import pytest
from django.conf import settings
from django.db import connection
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import SharedAccessKey
from tests.collector import Collector, collecting, traces_to
from tests.database import MigratedDatabase, copied_database
from tests.file_locks import file_lock
from tests.processes import Start, processes
from tests.scheduling import FIRST, TogetherScheduling
from tests.tinyproxy import TinyProxy, running_proxy

pytest_plugins = ["tests.worklist_fixtures"]

PATH = "test-gateway"
KEYS = SharedAccessKey("test-policy", "test-key-0123456789")

#: The fixtures of tests that use the database.
DATABASE_FIXTURES = {"db", "transactional_db", "django_db_setup", "scp", "unit", "whole_gateway"}

#: How many examples of a property hypothesis tries, usually and in `make test-long`. The usual ones are the same in
#: each run, so that no change fails on what was there before it; `make test-long` looks for new ones.
ORDINARY, LONG = 100, 1500
hypothesis.settings.register_profile("ordinary", deadline=None, max_examples=ORDINARY, derandomize=True)
hypothesis.settings.register_profile("long", deadline=None, max_examples=LONG)
hypothesis.settings.load_profile("ordinary")  # unless --hypothesis-profile names the other


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run the longest tests first and tests marked `alone` last; on PostgreSQL only what a database differs in."""
    items.sort(key=lambda item: (bool(item.get_closest_marker("alone")), not item.nodeid.startswith(FIRST)))
    if connection.vendor == "sqlite":
        return
    config.hook.pytest_deselected(items=[item for item in items if not depends_on_database(item)])
    items[:] = [item for item in items if depends_on_database(item)]


def depends_on_database(item: pytest.Item) -> bool:
    """Tell whether a test could pass on one database and fail on another; in `make test-long`, whether it uses one."""
    if item.get_closest_marker("once") and not is_long():
        return False
    fixtures: set[str] = set(getattr(item, "fixturenames", ()))
    return bool(item.get_closest_marker("django_db") or fixtures & DATABASE_FIXTURES)


def is_long() -> bool:
    """Whether this is `make test-long`."""
    return hypothesis.settings().max_examples > ORDINARY


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> TogetherScheduling | None:
    """Distribute the tests to several workers."""
    return TogetherScheduling(config, log) if config.getvalue("dist") == "load" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test marked `alone` while no other worker runs any."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    with machine_lock(alone=bool(item.get_closest_marker("alone"))):
        return (yield)


@contextmanager
def machine_lock(*, alone: bool) -> Iterator[None]:
    """Hold the machine for the block, `alone` or shared; only the first in the queue waits for it."""
    with ExitStack() as holding:
        with file_lock("queue"):
            holding.enter_context(file_lock("machine", shared=not alone))
        yield


@pytest.fixture(scope="session")
def django_db_setup(
    request: pytest.FixtureRequest, django_test_environment: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Make the test database, and empty it quickly after each test that commits."""
    worker: dict[str, str] = getattr(request.config, "workerinput", {"testrunuid": uuid4().hex, "workerid": "only"})
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        with django_db_blocker.unblock():
            stack.enter_context(copied_database(worker["testrunuid"], worker["workerid"]))
            database = MigratedDatabase()
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda _: database.restore())
        yield
        with django_db_blocker.unblock():
            stack.close()


@pytest.fixture
def factor() -> int:
    """By how much `make test-long` multiplies the number of random trials."""
    return 5 if is_long() else 1


@pytest.fixture
def start() -> Iterator[Start]:
    """A function that starts the gateway's commands as processes."""
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
    """Skip the test without DCMTK; fail it in CI."""
    if not shutil.which("findscu"):
        reason = "DCMTK's findscu is not installed: apt-get install dcmtk"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def tinyproxy_program() -> None:
    """Skip the test without tinyproxy; fail it in CI."""
    if not shutil.which("tinyproxy"):
        reason = "tinyproxy is not installed: apt-get install tinyproxy-bin"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture
def tinyproxy(tinyproxy_program: None, tmp_path: Path) -> Iterator[TinyProxy]:
    """A proxy that requires authentication."""
    with running_proxy(tmp_path) as proxy:
        yield proxy


@pytest.fixture
def collector(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    """A collector that receives this process's traces."""
    with collecting() as made, traces_to(made.endpoint, settings, monkeypatch):
        yield made


@pytest.fixture
def deaf_collector(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A collector that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        with traces_to(endpoint, settings, monkeypatch):
            yield
