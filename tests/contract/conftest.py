"""Fixtures for the checks against Microsoft's Node clients: the packages, and the scripts that use them."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack

import pytest

from nonprod.relay_emulator import RelayEmulator
from tests.conftest import KEYS, PATH
from tests.contract.scripts import HYCO, Script, running

INSTALLING_SECONDS = 180

Run = Callable[..., Awaitable[Script]]


def unavailable(reason: str) -> None:
    """Skip all that needs the packages, but never in CI."""
    reason = f"Microsoft's Node clients are not there to check ours against: {reason}"
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


@pytest.fixture(scope="session")
def hyco() -> None:
    """hyco-ws and hyco-https are installed as the lock file has them, by npm, unless they are already."""
    lock, installed = HYCO / "package-lock.json", HYCO / "node_modules" / ".installed-lock"
    if not shutil.which("node") or not shutil.which("npm"):
        unavailable("no node or no npm: apt-get install nodejs npm")
    if installed.exists() and installed.read_bytes() == lock.read_bytes():
        return
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=HYCO, timeout=INSTALLING_SECONDS, check=True, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        unavailable(f"{' '.join(command)} took longer than {INSTALLING_SECONDS} s")
    except subprocess.CalledProcessError as error:
        unavailable(f"{' '.join(command)} failed:\n{error.stderr[-2000:]}")
    installed.write_bytes(lock.read_bytes())


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
