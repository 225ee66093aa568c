"""The pure modules are tested with plain values, and every branch of them."""

import subprocess
import sys
from pathlib import Path

import pytest

PURE = ("address", "tokens", "control_protocol", "failures", "reconnection", "liveness", "status")
SOURCES = Path("relay/hybrid_connection")
TESTS = Path(__file__).parent


class TestPureCore:
    @pytest.mark.parametrize("name", [name for name in PURE if name != "status"])
    def test_the_tests_of_pure_modules_open_no_socket(self, name: str) -> None:
        source = (TESTS / f"test_{name}.py").read_text()
        assert not {word for word in ("emulator", "socket.socket", "websockets", "listening") if f"{word}(" in source}

    def test_they_cover_every_branch_without_django(self, tmp_path: Path) -> None:
        tests = [str(TESTS / f"test_{name}.py") for name in PURE if name != "status"]
        sources = ",".join(str(SOURCES / f"{name}.py") for name in PURE)
        data = f"--data-file={tmp_path / 'coverage'}"
        # The last option imports the module that has no tests of its own.
        plugins = ("no:cacheprovider", "no:django", "relay.hybrid_connection.status")
        options = [word for plugin in plugins for word in ("-p", plugin)]
        run("run", data, "--branch", f"--include={sources}", "-m", "pytest", "-q", "--noconftest", *options, *tests)
        report = run("report", data, "--show-missing", "--fail-under=100")
        assert all(f"{name}.py" in report for name in PURE)


def run(*arguments: str) -> str:
    """Run coverage, which must succeed; return its output."""
    done = subprocess.run([sys.executable, "-m", "coverage", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout
