"""Start the gateway's commands as real processes against the test database, and wait for their output."""

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.db import connection

from nonprod.local_gateway import is_free

PATIENCE = 120.0

#: The signal that ends a process at once, without any clean-up.
if sys.platform == "win32":
    KILL = signal.SIGTERM
else:
    KILL = signal.SIGKILL

#: A range of ports for each worker of pytest-xdist, below the ports that the system assigns by itself: a port that is
#: free now stays free until the process under test listens on it.
FIRST_PORT, PORTS, WORKERS = 20_000, 500, 24
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % WORKERS
_ports = itertools.count(os.getpid())  # another run of the tests beside this one begins elsewhere


def free_ports(count: int) -> list[int]:
    """Return different ports on which nothing listens."""
    own = (FIRST_PORT + _worker * PORTS + number % PORTS for number in _ports)
    return list(itertools.islice(filter(is_free, own), count))


def database_url() -> str:
    """Return the DATABASE_URL of the test database, for other processes."""
    config = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{config['NAME']}"
    return f"postgres://{config['USER']}@{config['HOST']}:{config['PORT']}/{config['NAME']}"


class Process:
    """A running command, and its output so far."""

    def __init__(self, arguments: list[str], environment: dict[str, str], program: str = sys.executable) -> None:
        self._process = subprocess.Popen(
            [program, *arguments],
            env={**os.environ, "PYTHONUNBUFFERED": "1", "DATABASE_URL": database_url(), **environment},
            cwd=settings.BASE_DIR,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._new: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.lines.append(line)
            self._new.put(line)
        self._new.put(None)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """Return all output so far."""
        return "".join(self.lines)

    def wait_for(self, text: str) -> str:
        """Return the next line that contains the text; fail with the whole output if the process ends without one."""
        while (line := self._new.get(timeout=PATIENCE)) is not None:
            if text in line:
                return line
        raise AssertionError(f"ended without {text!r}:\n{self.output}")

    def wait_for_field(self, text: str, field: str) -> Any:
        """Return a field of the next JSON log line that contains the text."""
        return json.loads(self.wait_for(text))[field]

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, patience: float = PATIENCE) -> int:
        """Send a signal, wait for the exit and return its status."""
        self.send_signal(number)
        return self.exit_status(patience)

    def exit_status(self, patience: float = PATIENCE) -> int:
        """Wait for the exit and return its status."""
        status = self._process.wait(patience)
        self._reader.join(PATIENCE)
        return status

    def ask_to_end(self) -> None:
        """Send SIGTERM if it runs. Unlike KILL this also ends the processes that it has started."""
        if self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        """Wait for the exit, and kill the process if it takes too long."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self.exit_status()


Start = Callable[..., Process]


@contextmanager
def processes() -> Iterator[Start]:
    """Yield a function that starts `manage.py COMMAND` with an environment; end all processes with the block."""
    started: list[Process] = []

    def start(*command: str, program: str = "manage.py", **environment: str) -> Process:
        process = Process([program, *command], {"LOG_FORMAT": "json", **environment})
        started.append(process)
        return process

    try:
        yield start
    finally:
        for process in started:
            process.ask_to_end()
        for process in started:
            process.end()
