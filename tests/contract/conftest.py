"""Fixtures for Microsoft's Node clients: install their packages, and run the scripts that use them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import pytest

from nonprod.relay_emulator import RelayEmulator
from tests.conftest import KEYS, PATH
from tests.contract.scripts import HYCO, Script, running
from tests.node_packages import installed

Run = Callable[..., Awaitable[Script]]


@pytest.fixture(scope="session")
def hyco() -> None:
    """Install hyco-ws and hyco-https from the lock file, unless they are installed already."""
    installed(HYCO)


def starter(
    stack: AsyncExitStack, emulator: RelayEmulator, environment: Mapping[str, str] | None = None, **always: object
) -> Run:
    """Return a function that starts a script on the emulator's hybrid connection and waits for its first event."""

    async def start(name: str, ready: str = "ready", key: str = KEYS.key, **options: object) -> Script:
        connection = {"namespace": emulator.namespace, "path": PATH, "keyName": KEYS.name}
        script = await stack.enter_async_context(running(name, key, environment, {**connection, **always, **options}))
        await script.event(ready)
        return script

    return start


@pytest.fixture
async def run(hyco: None, emulator: RelayEmulator) -> AsyncIterator[Run]:
    """Start scripts; end them all before the emulator."""
    async with AsyncExitStack() as stack:
        yield starter(stack, emulator)
