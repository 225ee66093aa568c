"""Measure the relay listener beside a bare WebSocket echo and a bare listener, as real processes, with the same sender.

Linux only, as memory and CPU are read in /proc.
"""

import asyncio
import json
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from benchmarks.measuring import OURS, Row, Scale, Table, progress
from benchmarks.processes import STARTING_SECONDS, cpu_seconds, free_port, memory_mib, python, running, wait_for_port
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import SharedAccessKey
from relay.hybrid_connection.websocket import token_header

KEY_NAME, KEY, PATH = "benchmark", "a key that is no secret", "benchmark"
ECHO = json.dumps({"action_type": "echo"})
BARE = "bare echo"
BARE_LISTENER = "bare listener"


@dataclass(frozen=True)
class Load:
    """How much is sent in a round: so many actions one by one, then so many from `senders` at once."""

    one_by_one: int
    at_once: int
    senders: int


@dataclass(frozen=True)
class Target:
    """Where a sender connects, and the process that answers it."""

    name: str
    pid: int
    url: str
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Samples:
    """What a round gave for one target: seconds to each reply, senders served a second, and CPU seconds for each.

    An action that was refused, or lost its connection, has no time.
    """

    alone: list[float] = field(default_factory=list)
    crowded: list[float] = field(default_factory=list)
    refused: int = 0
    rate: float = 0.0
    cpu_alone: float = 0.0
    cpu_crowded: float = 0.0
    cpu_echo: float = 0.0


def measure(scale: Scale) -> list[Table]:
    """Return the tables of this part."""
    load = Load(3, 8, 4) if scale.is_short else Load(30, 320, 64)
    compared = Compared(load)
    started = Row("start to first echo", "s", aim="≤ 1.0")
    memory_at_start = Row("memory (PSS) then", "MiB", aim="≤ 80")
    memory = Row(f"memory (PSS) after {load.senders} senders at once", "MiB", aim="≤ 130")
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        bare = bare_echo(folder, stack)
        bare_listener = start_bare_listener(folder, stack)
        port, log = start_emulator(folder, stack), folder / "listener.log"
        for _ in range(scale.rounds):
            with ExitStack() as once:
                gateway, seconds = start_listener(port, folder / "start.log", once)
                started.add(OURS, seconds)
                memory_at_start.add(OURS, memory_mib(gateway.pid))
        gateway, _ = start_listener(port, log, stack)
        for number in range(scale.rounds):
            progress(f"relay, round {number + 1} of {scale.rounds}")
            for target in (bare, bare_listener, gateway):
                compared.add(target.name, asyncio.run(sample(target, load)))
        memory.add(OURS, memory_mib(gateway.pid))
        visible = list(arrived_to_visible(log, load))
    columns = (OURS, BARE, BARE_LISTENER)
    return [
        Table("From action to reply", columns, compared.rows, tuple(f"÷ {peer}" for peer in (BARE, BARE_LISTENER))),
        Table("The listener's process", (OURS,), [started, memory_at_start, memory, *visible]),
    ]


class Compared:
    """The rows in which we are compared with the bare echo and the bare listener."""

    def __init__(self, load: Load) -> None:
        def row(name: str, unit: str = "ms", aim: str = "", *, more_is_better: bool = False) -> Row:
            return Row(name, unit, peers=((BARE,), (BARE_LISTENER,)), aim=aim, more_is_better=more_is_better)

        crowd = f"{load.senders} senders"
        self.alone = row("one sender: action to reply, median", aim="≤ 2.5 ×")
        self.alone_p99 = row("one sender: action to reply, p99")
        self.rate = row(f"{crowd} at once", "actions/s", "≥ 0.4 ×", more_is_better=True)
        self.crowded = row(f"{crowd}: action to reply, median")
        self.crowded_p99 = row(f"{crowd}: action to reply, p99")
        self.cpu_echo = row("CPU of an echo, one sender")
        self.cpu_alone = row("CPU of an action, one sender", aim="≤ 7 ms")
        self.cpu_crowded = row(f"CPU of an action, {crowd}")
        self.refused = row(f"actions refused, of {load.one_by_one + load.at_once}", unit="")
        self.rows = [*vars(self).values()]

    def add(self, column: str, samples: Samples) -> None:
        """Add a round of a target."""
        self.alone.add(column, milliseconds(samples.alone, statistics.median))
        self.alone_p99.add(column, milliseconds(samples.alone, p99))
        self.rate.add(column, samples.rate)
        self.crowded.add(column, milliseconds(samples.crowded, statistics.median))
        self.crowded_p99.add(column, milliseconds(samples.crowded, p99))
        self.cpu_echo.add(column, 1000 * samples.cpu_echo)
        self.cpu_alone.add(column, 1000 * samples.cpu_alone)
        self.cpu_crowded.add(column, 1000 * samples.cpu_crowded)
        self.refused.add(column, samples.refused)


def arrived_to_visible(log: Path, load: Load) -> Iterator[Row]:
    """Read how long after its arrival each action of one sender was committed: from then on every C-FIND finds it."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if '"action answered"' in line)
    took = [line["ms"] for line in lines if line["outcome"] == "created"][: load.one_by_one]
    for name, statistic, aim in (("median", statistics.median, "< 20"), ("p99", p99, "< 60")):
        row = Row(f"one sender: arrived to visible, {name}", "ms", aim=aim)
        row.add(OURS, statistic(took) if took else None)
        yield row


def milliseconds(times: list[float], statistic: Callable[[list[float]], float]) -> float | None:
    """Return a statistic of times in seconds; None if there is none."""
    return 1000 * statistic(times) if times else None


def p99(values: list[float]) -> float:
    """Return the value that 99 of 100 do not exceed."""
    return sorted(values)[int(0.99 * len(values))]


# Processes ------------------------------------------------------------------------------------------------------------


def settings(emulator_port: int) -> dict[str, str]:
    """Return the settings of an emulator and its listener; they share the database of this part."""
    return {
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "INFO",
        "RELAY_EMULATOR_PORT": str(emulator_port),
        "RELAY_ECHO_SECONDS": "0",
        "AZURE_RELAY_HYBRID_CONNECTION": PATH,
        "AZURE_RELAY_KEY_NAME": KEY_NAME,
        "AZURE_RELAY_SHARED_ACCESS_KEY": KEY,
    }


def bare_echo(folder: Path, stack: ExitStack) -> Target:
    """Start `bare_echo`, until the stack ends."""
    port, log = free_port(), folder / "bare.log"
    pid = stack.enter_context(running(python("-m", "benchmarks.bare_echo", str(port)), log))
    wait_for_port(port, log)
    return Target(BARE, pid, f"ws://127.0.0.1:{port}")


def start_emulator(folder: Path, stack: ExitStack) -> int:
    """Start a relay emulator, until the stack ends; return its port."""
    port = free_port()
    log = folder / f"emulator-{port}.log"
    stack.enter_context(running(python("manage.py", "run_relay_emulator"), log, settings(port)))
    wait_for_port(port, log)
    return port


def start_listener(emulator_port: int, log: Path, stack: ExitStack) -> tuple[Target, float]:
    """Start the gateway's listener, until the stack ends; return it, and the seconds to its first echo."""
    began = time.perf_counter()
    pid = stack.enter_context(running(python("manage.py", "run_relay_listener"), log, settings(emulator_port)))
    gateway = Target(OURS, pid, *sender_request(emulator_port))
    return gateway, wait_for_echo(gateway) - began


def start_bare_listener(folder: Path, stack: ExitStack) -> Target:
    """Start `bare_listener` with an emulator of its own, until the stack ends."""
    port = start_emulator(folder, stack)
    command = python("-m", "benchmarks.bare_listener", f"127.0.0.1:{port}", PATH, KEY_NAME, KEY)
    pid = stack.enter_context(running(command, folder / "bare_listener.log"))
    listener = Target(BARE_LISTENER, pid, *sender_request(port))
    wait_for_echo(listener)
    return listener


def wait_for_echo(gateway: Target) -> float:
    """Return when the first echo came back."""
    deadline = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < deadline:
        try:
            asyncio.run(exchange(gateway, ECHO))
        except (OSError, WebSocketException):
            time.sleep(0.01)
        else:
            return time.perf_counter()
    raise TimeoutError("the listener answers no echo")


# Senders --------------------------------------------------------------------------------------------------------------


def sender_request(port: int) -> tuple[str, dict[str, str]]:
    """Return the address of the hybrid connection for a sender, and the header with its token."""
    address = HybridConnectionAddress(f"127.0.0.1:{port}", PATH, plain=True)
    return address.connect_url, token_header(SharedAccessKey(KEY_NAME, KEY).token(address.audience))


async def sample(target: Target, load: Load) -> Samples:
    """Send echoes and actions one by one, then actions from all senders at once."""
    samples = Samples()
    idle = cpu_seconds(target.pid)
    for _ in range(load.one_by_one):
        await exchange(target, ECHO)
    before = cpu_seconds(target.pid)
    for _ in range(load.one_by_one):
        await send_action(target, samples, samples.alone)
    between = cpu_seconds(target.pid)
    began = time.perf_counter()
    waiting = iter(range(load.at_once))

    async def sender() -> None:
        for _ in waiting:
            await send_action(target, samples, samples.crowded)

    await asyncio.gather(*(sender() for _ in range(load.senders)))
    samples.rate = len(samples.crowded) / (time.perf_counter() - began)
    samples.cpu_echo = (before - idle) / load.one_by_one
    samples.cpu_alone = (between - before) / load.one_by_one
    samples.cpu_crowded = (cpu_seconds(target.pid) - between) / load.at_once
    return samples


async def send_action(target: Target, samples: Samples, times: list[float]) -> None:
    """Send a new item; add the seconds from connecting to the reply to `times`."""
    text = json.dumps(new_item())
    began = time.perf_counter()
    try:
        reply = await exchange(target, text)
    except (OSError, WebSocketException):
        reply = '"error"'
    if '"error"' in reply:
        samples.refused += 1
    else:
        times.append(time.perf_counter() - began)


def new_item() -> dict[str, Any]:
    """Return an action for a new appointment."""
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
