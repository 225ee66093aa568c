"""Measure the relay listener beside a bare WebSocket echo, with real processes: `python -m benchmarks.relay`.

Each round sends to both, one after the other, so that both meet the same moments of a busy machine; what counts is the
ratio. The sender is the same for both. Linux only, as memory and CPU are read in /proc.
"""

import asyncio
import json
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import SharedAccessKey
from relay.hybrid_connection.websocket import token_header

ROUNDS, ONE_BY_ONE, AT_ONCE, SENDERS = 5, 30, 320, 64
KEY_NAME, KEY, PATH = "benchmark", "a key that is no secret", "benchmark"
ECHO = json.dumps({"action_type": "echo"})
READY_SECONDS = 30.0


class Row(NamedTuple):
    """One result. `peer` is the bare echo's value, where it has one."""

    name: str
    value: float
    unit: str
    peer: float | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.peer if self.peer else None


@dataclass(frozen=True)
class Target:
    """Where a sender connects, and the process that answers it."""

    process: "subprocess.Popen[bytes]"
    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Samples:
    """What the rounds gave for one target: seconds to each reply, senders served a second, and CPU seconds for each."""

    alone: list[float] = field(default_factory=list)
    crowded: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    cpu_alone: list[float] = field(default_factory=list)
    cpu_crowded: list[float] = field(default_factory=list)
    cpu_echo: list[float] = field(default_factory=list)
    refused: int = 0


def measure_relay(rounds: int = ROUNDS, one_by_one: int = ONE_BY_ONE, at_once: int = AT_ONCE) -> list[Row]:
    """Measure on a temporary SQLite file, or on the empty database of DATABASE_URL."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        environment = _environment(Path(folder))
        _run(environment, "migrate", "--verbosity", "0")
        log = stack.enter_context((Path(folder) / "listener.log").open("w+", encoding="utf-8"))
        bare = stack.enter_context(_bare_echo())
        emulator = stack.enter_context(_started(environment, "run_relay_emulator"))
        relay_port = int(environment["RELAY_EMULATOR_PORT"])
        _wait_for_port(relay_port)
        begun = time.perf_counter()
        listener = stack.enter_context(_started(environment, "run_relay_listener", log=log))
        gateway = Target(listener, *_sender_request(relay_port))
        first_echo = _wait_for_echo(gateway) - begun
        rows = [
            Row("listener: start to first echo", first_echo, "s"),
            Row("listener: PSS at start", _pss(listener), "MiB"),
        ]
        ours, peer = Samples(), Samples()
        for _ in range(rounds):
            for target, samples in ((bare, peer), (gateway, ours)):
                asyncio.run(_sample(target, samples, one_by_one, at_once))
        rows.append(Row(f"listener: PSS after {SENDERS} senders at once", _pss(listener), "MiB"))
        rows.append(Row("relay emulator: PSS", _pss(emulator), "MiB"))
        rows.append(Row("actions refused", ours.refused, "of all"))
        return rows + _compared(ours, peer) + _arrived_to_visible(log)


def _compared(ours: Samples, peer: Samples) -> list[Row]:
    def row(name: str, unit: str, attribute: str, statistic: Any = statistics.median, factor: float = 1000) -> Row:
        value, other = (factor * statistic(getattr(samples, attribute)) for samples in (ours, peer))
        return Row(name, value, unit, other)

    return [
        row("one sender: action to reply, median", "ms", "alone"),
        row("one sender: action to reply, p99", "ms", "alone", p99),
        row(f"{SENDERS} senders: a second", "actions", "rates", factor=1),
        row(f"{SENDERS} senders: action to reply, median", "ms", "crowded"),
        row(f"{SENDERS} senders: action to reply, p99", "ms", "crowded", p99),
        row("CPU of an echo, one sender", "ms", "cpu_echo"),
        row("CPU of an action, one sender", "ms", "cpu_alone"),
        row(f"CPU of an action, {SENDERS} senders", "ms", "cpu_crowded"),
    ]


def _arrived_to_visible(log: IO[str]) -> list[Row]:
    """Read how long after its arrival each action was committed: from then on every C-FIND finds it."""
    log.seek(0)
    lines = (json.loads(line) for line in log if '"action answered"' in line)
    took = [line["ms"] for line in lines if line["outcome"] == "created"][:ONE_BY_ONE]
    return [
        Row("one sender: arrived to visible, median", statistics.median(took), "ms"),
        Row("one sender: arrived to visible, p99", p99(took), "ms"),
    ]


def p99(values: list[float]) -> float:
    return sorted(values)[int(0.99 * len(values))]


# Processes ------------------------------------------------------------------------------------------------------------


def _environment(folder: Path) -> dict[str, str]:
    mine = dict(os.environ)  # noqa: TID251 - passed on
    return {
        "DATABASE_URL": f"sqlite:///{folder / 'benchmark.sqlite3'}",
        **mine,
        "DJANGO_SETTINGS_MODULE": "gateway_project.settings.local",
        "LOG_FORMAT": "json",
        "RELAY_EMULATOR_PORT": str(_free_port()),
        "RELAY_ECHO_SECONDS": "0",
        "AZURE_RELAY_HYBRID_CONNECTION": PATH,
        "AZURE_RELAY_KEY_NAME": KEY_NAME,
        "AZURE_RELAY_SHARED_ACCESS_KEY": KEY,
    }


def _run(environment: dict[str, str], *command: str) -> None:
    subprocess.run([sys.executable, "manage.py", *command], env=environment, check=True)  # noqa: S603


@contextmanager
def _started(
    environment: dict[str, str], *command: str, log: IO[str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    arguments = command if command[0] == "-m" else ("manage.py", *command)
    process = subprocess.Popen([sys.executable, *arguments], env=environment, stderr=log or subprocess.DEVNULL)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _bare_echo() -> Iterator[Target]:
    port = _free_port()
    with _started(dict(os.environ), "-m", "benchmarks.bare_echo", str(port)) as process:  # noqa: TID251 - passed on
        _wait_for_port(port)
        yield Target(process, f"ws://127.0.0.1:{port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise TimeoutError(f"nothing listens on port {port}")


def _wait_for_echo(gateway: Target) -> float:
    """Return when the first echo came back."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            asyncio.run(exchange(gateway, ECHO))
        except (OSError, WebSocketException):
            time.sleep(0.01)
        else:
            return time.perf_counter()
    raise TimeoutError("the listener answers no echo")


def _pss(process: "subprocess.Popen[bytes]") -> float:
    """Return the proportional set size in MiB."""
    lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _cpu(process: "subprocess.Popen[bytes]") -> float:
    """Return the seconds of CPU that the process has used, of all its threads."""
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# Senders --------------------------------------------------------------------------------------------------------------


def _sender_request(port: int) -> tuple[str, dict[str, str]]:
    """Return the address of the hybrid connection for a sender, and the header with its token."""
    address = HybridConnectionAddress(f"127.0.0.1:{port}", PATH, plain=True)
    return address.connect_url, token_header(SharedAccessKey(KEY_NAME, KEY).token(address.audience))


async def _sample(target: Target, samples: Samples, one_by_one: int, at_once: int) -> None:
    """Send echoes and actions one by one, then actions from SENDERS senders at once."""
    idle = _cpu(target.process)
    for _ in range(one_by_one):
        await exchange(target, ECHO)
    before = _cpu(target.process)
    for _ in range(one_by_one):
        samples.alone.append(await _timed_exchange(target, samples))
    between = _cpu(target.process)
    begun = time.perf_counter()
    waiting = iter(range(at_once))

    async def sender() -> None:
        for _ in waiting:
            samples.crowded.append(await _timed_exchange(target, samples))

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    samples.rates.append(at_once / (time.perf_counter() - begun))
    samples.cpu_echo.append((before - idle) / one_by_one)
    samples.cpu_alone.append((between - before) / one_by_one)
    samples.cpu_crowded.append((_cpu(target.process) - between) / at_once)


async def _timed_exchange(target: Target, samples: Samples) -> float:
    """Send a new item; return the seconds from connecting to the reply."""
    text = json.dumps(_new_item())
    begun = time.perf_counter()
    reply = await exchange(target, text)
    took = time.perf_counter() - begun
    samples.refused += '"error"' in reply
    return took


def _new_item() -> dict[str, Any]:
    number = secrets.token_hex(8).upper()
    return {
        "schema_version": 1,
        "action_id": number,
        "action_type": "worklist.create_item",
        "source_system": "benchmark",
        "source_reference": {"appointment_id": number, "participant_id": "9990000018"},
        "parameters": {
            "worklist_item": {
                "accession_number": number,
                "participant": {
                    "nhs_number": "9990000018",
                    "name": "O'BRIEN-ŁUKASZ^ZOË",
                    "birth_date": "19700321",
                    "sex": "F",
                },
                "scheduled": {"date": "20261123", "time": "143000"},
                "procedure": {"modality": "MG", "study_description": "Screening Mammography"},
            }
        },
    }


async def exchange(target: Target, text: str) -> str:
    """Open a WebSocket, send one text and return the first message, as Manage does; raises without one."""
    async with connect(target.url, additional_headers=target.headers, compression=None) as socket:
        await socket.send(text)
        return await socket.recv(decode=True)


def print_rows(rows: list[Row]) -> None:
    print(f"\n{'relay':48} {'ours':>10} {'bare echo':>10} {'ratio':>7}")  # noqa: T201
    for row in rows:
        compared = f"{row.peer:10.1f} {row.ratio:7.2f}" if row.peer and row.ratio else ""
        print(f"{f'{row.name} ({row.unit})':48} {row.value:10.1f} {compared}")  # noqa: T201


if __name__ == "__main__":
    print_rows(measure_relay())
