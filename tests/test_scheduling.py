"""How the tests are distributed to workers."""

import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.scheduling import TOGETHER

CONFTEST = """
from tests.scheduling import TogetherScheduling

def pytest_xdist_make_scheduler(config, log):
    return TogetherScheduling(config, log)
"""
TESTS = """
import os
from pathlib import Path

import pytest

@pytest.mark.parametrize("number", range(40))
def test_one(number):
    if number == 20 and not Path("crashed").exists():
        Path("crashed").touch()
        os._exit(1)
"""


def test_the_run_ends_after_a_worker_has_crashed(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_crash.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--numprocesses",
        "2",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
    ]
    environment = {"PYTHONPATH": str(settings.BASE_DIR), "PATH": "/usr/bin:/bin"}
    run = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "crashed while running 'test_crash.py::test_one[20]'" in run.stdout, run.stdout + run.stderr
    assert "1 failed, 40 passed" in run.stdout


@pytest.mark.parametrize("together", TOGETHER)
def test_what_runs_together_is_there(together: str) -> None:
    file, _, name = together.partition("::")
    path = Path(settings.BASE_DIR, file)
    assert path.is_dir() or f"class {name}" in path.read_text()
