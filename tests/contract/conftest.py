"""Fixtures for the checks against Microsoft's Node clients: the packages, and the scripts that use them."""

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
    """hyco-ws and hyco-https are installed as the lock file has them, by npm, unless they are already."""
    installed(HYCO)


def starter(
    stack: AsyncExitStack, emulator: RelayEmulator, environment: Mapping[str, str] | None = None, **always: object
) -> Run:
    """Gives a function that starts a script on the emulator's hybrid connection, and waits until it says something."""

    async def start(name: str, says: str = "ready", key: str = KEYS.key, **options: object) -> Script:
        place = {"namespace": emulator.namespace, "path": PATH, "keyName": KEYS.name}
        script = await stack.enter_async_context(running(name, key, environment, {**place, **always, **options}))
        await script.said(says)
        return script

    return start


@pytest.fixture
async def run(hyco: None, emulator: RelayEmulator) -> AsyncIterator[Run]:
    """Starts scripts; all are ended before the emulator."""
    async with AsyncExitStack() as stack:
        yield starter(stack, emulator)
