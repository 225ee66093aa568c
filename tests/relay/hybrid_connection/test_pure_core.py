"""The pure core is tested by plain values, and every branch of it."""

import subprocess
import sys
from pathlib import Path

import pytest

PURE = ("address", "tokens", "control_protocol", "failures", "reconnection", "liveness", "status")
SOURCES = Path("relay/hybrid_connection")
TESTS = Path(__file__).parent


class TestPureCore:
    @pytest.mark.parametrize("name", [name for name in PURE if name != "status"])
    def test_its_tests_open_no_socket(self, name: str) -> None:
        source = (TESTS / f"test_{name}.py").read_text()
        assert not {word for word in ("emulator", "socket.socket", "websockets", "listening") if f"{word}(" in source}

    def test_every_branch_is_run_by_them(self, tmp_path: Path) -> None:
        tests = [str(TESTS / f"test_{name}.py") for name in PURE if name != "status"]
        sources = ",".join(str(SOURCES / f"{name}.py") for name in PURE)
        data = f"--data-file={tmp_path / 'coverage'}"
        run("run", data, "--branch", f"--include={sources}", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
        report = run("report", data, "--show-missing", "--fail-under=100")
        assert all(f"{name}.py" in report for name in PURE)


def run(*arguments: str) -> str:
    """What coverage prints; it must end with 0."""
    done = subprocess.run([sys.executable, "-m", "coverage", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout
