"""Install npm packages for tests by their lock file, once for all workers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.file_locks import file_lock

INSTALLING_SECONDS = 180


def installed(folder: Path) -> Path:
    """Return the folder `node_modules` of a package.json, installed. Without npm, skip the tests; fail them in CI."""
    lock, mark = folder / "package-lock.json", folder / "node_modules" / ".installed-lock"
    if not shutil.which("node") or not shutil.which("npm"):
        unavailable(folder, "no node or no npm: apt-get install nodejs npm")
    with file_lock(f"npm-{folder.name}"):  # one worker of pytest-xdist installs, the others wait for it
        if not mark.exists() or mark.read_bytes() != lock.read_bytes():
            _install(folder)
            mark.write_bytes(lock.read_bytes())
    return mark.parent


def unavailable(folder: Path, reason: str) -> None:
    """Skip the tests that need the packages; fail them in CI."""
    reason = f"What {folder.name}/package.json names is not there: {reason}"
    pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)


def _install(folder: Path) -> None:
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=folder, timeout=INSTALLING_SECONDS, check=True, capture_output=True, text=True)
    except subprocess.TimeoutExpired:
        unavailable(folder, f"{' '.join(command)} took longer than {INSTALLING_SECONDS} s")
    except subprocess.CalledProcessError as error:
        unavailable(folder, f"{' '.join(command)} failed:\n{error.stderr[-2000:]}")
