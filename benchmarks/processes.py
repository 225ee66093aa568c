"""Run a server as a process of its own, and read what it costs from /proc (Linux)."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform == "win32":
    TICKS_A_SECOND = 0  # there is no /proc either
else:
    TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

STARTING_SECONDS = 60.0
STOPPING_SECONDS = 10.0


def free_port() -> int:
    """Return a port of the loopback interface on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def running(command: Sequence[str], log: Path, environment: Mapping[str, str] = {}) -> Iterator[int]:
    """Run a command, its output in `log`, and yield its process id; end it with the block.

    Python may keep the modules' bytecode, which an installed gateway has: compiling them takes a tenth of a start.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - the commands are this package's
            command,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},  # noqa: TID251 - passed on
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def python(*arguments: str) -> list[str]:
    """Return a command of this interpreter."""
    return [sys.executable, *arguments]


def wait_for_port(port: int, log: Path) -> None:
    """Wait until something listens; TimeoutError with the log's end if it takes too long."""
    deadline = time.monotonic() + STARTING_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise TimeoutError(f"nothing listens on {port}: {log.read_text(errors='replace')[-2000:]}") from None
            time.sleep(0.005)
        else:
            return


def memory_mib(pid: int) -> float:
    """Return the proportional set size of a process and its children."""
    return sum(_pss_kib(each) for each in _family(pid)) / 1024


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process and its children have used, those that have ended included."""
    ticks = 0
    for each in _family(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / TICKS_A_SECOND


def load_average() -> float:
    """Return how many processes had work for the processors during the last minute."""
    return float(Path("/proc/loadavg").read_text().split()[0])


def _pss_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def _family(pid: int) -> Iterator[int]:
    """Yield a process and, recursively, its children."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        found: list[str] = []
        with suppress(FileNotFoundError):  # the thread has ended meanwhile
            found = children.read_text().split()
        for child in found:
            yield from _family(int(child))
