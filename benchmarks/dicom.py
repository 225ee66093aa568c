"""Measure the worklist server beside wlmscpfs, Orthanc and a plain pynetdicom SCP, all of which serve the same rows.

The client is `raw_dicom`; the servers are real processes on the loopback interface. Each request has an association of
its own, and its time runs from connecting to the end of the release, unless the row says otherwise.
"""

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks import worklists
from benchmarks.databases import copy_of_the_database
from benchmarks.measuring import OURS, Row, Scale, Table, progress, repeated, timed
from benchmarks.processes import cpu_seconds, memory_mib
from benchmarks.raw_dicom import SUCCESS, Answer, RawAssociation, UnexpectedAnswer
from benchmarks.servers import AT_BEST, COLUMNS, PLAIN, Server, gateway, peers

OURS_LARGE = "large"
SECONDS_AT_ONCE = 2.5
SECONDS_AT_REST = 5.0
#: Opening the idle associations is given up after this time.
OPENING_SECONDS = 60.0


def measure(scale: Scale) -> list[Table]:
    """Return the tables of this part."""
    worklists.fill_worklist(scale)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        small = stack.enter_context(copy_of_the_database(folder))
        took = timed(lambda: worklists.multiply_worklist(scale.many_items // scale.items - 1))
        progress(f"{scale.items:,} items became {scale.many_items:,} in {took:.0f} s")
        large = os.environ["DATABASE_URL"]  # noqa: TID251 - as set for this part
        ours = stack.enter_context(gateway(folder, small))
        ours_large = stack.enter_context(gateway(folder, large, OURS_LARGE))
        rows = all_rows(ours, scale)
        servers = [ours, *(stack.enter_context(peer) for peer in peers(folder, rows))]
        return [
            side_by_side(servers, scale),
            by_size_of_the_table(ours, ours_large, scale),
            the_process(folder, small, scale),
        ]


def all_rows(server: Server, scale: Scale) -> list[bytes]:
    """Return every row that our server has, for the others to serve."""
    with RawAssociation(server.port) as association:
        answer = association.find(worklists.everything(), keep=True)
    if len(answer.data_sets) != scale.items:
        raise UnexpectedAnswer(f"{len(answer.data_sets)} rows instead of {scale.items}, status {answer.status:04X}")
    return answer.data_sets


# Side by side ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finished:
    """One request: seconds from connecting to each event."""

    accepted: float
    first_row: float
    ended: float


def side_by_side(servers: list[Server], scale: Scale) -> Table:
    """Measure every kind of request at every server, one after the other, in each round."""
    against = (AT_BEST, (PLAIN,))

    def row(name: str, aim: str, unit: str = "ms", *, more_is_better: bool = False) -> Row:
        return Row(name, unit, peers=against, aim=aim, more_is_better=more_is_better)

    echo = row("C-ECHO with association", "≤ 0.2 × plain")
    accepted = row("association accepted", "≤ 1.5 ms, ≤ 3 × best")
    one = row(f"1 of {scale.items:,}", "≤ 0.15 × best")
    room = row(f"{scale.room} of {scale.items:,}", "≤ 0.4 × best")
    first = row("first row of these", "≤ 0.15 × best")
    everything = row(f"{scale.items:,} of {scale.items:,}", "≤ 1.0 × best")
    rate = row(f"{scale.stations} at once, {scale.room} rows each", "≥ 2 × best", "queries/s", more_is_better=True)
    wait = row("their median wait", "")
    slowest = row("the slowest one's wait ÷ the median", "≤ 2", "")
    numbers = cycle(range(scale.items))  # each time another item, as an operator would type it
    #: Request → the rows that its times go to: from connecting to which event.
    kinds: list[tuple[Callable[[int], Finished], dict[str, Row]]] = [
        (echoed, {"ended": echo, "accepted": accepted}),
        (lambda port: found(port, worklists.one_item(next(numbers)), 1), {"ended": one}),
        (lambda port: found(port, worklists.list_of(0), scale.room), {"ended": room, "first_row": first}),
        (lambda port: found(port, worklists.everything(), scale.items), {"ended": everything}),
    ]
    for number in range(scale.rounds):
        progress(f"DICOM, round {number + 1} of {scale.rounds}")
        turn = number % len(servers)
        in_turn = servers[turn:] + servers[:turn]
        for request, by_event in kinds:
            for server in in_turn:
                finished = requests(server, request, scale)
                for event, timed_row in by_event.items():
                    timed_row.add(server.name, median_ms(finished, event))
        for server in in_turn:
            add_waits(at_once(server, scale), server, rate, wait, slowest)
    names = {server.name for server in servers}
    columns = tuple(column for column in COLUMNS if column in names)
    rows = [echo, accepted, one, room, first, everything, rate, wait, slowest]
    return Table("The worklist server beside others", columns, rows, ("÷ best C++ server", "÷ plain pynetdicom"))


def median_ms(finished: list[Finished], event: str) -> float | None:
    """Return the median milliseconds to an event; None if no request was answered."""
    return statistics.median(getattr(each, event) for each in finished) * 1000 if finished else None


def requests(server: Server, request: Callable[[int], Finished], scale: Scale) -> list[Finished]:
    """Return the requests that a server answered within the time for one figure; none if it answered wrongly."""
    try:
        return repeated(lambda: request(server.port), scale.seconds)
    except (UnexpectedAnswer, OSError) as problem:
        progress(f"{server.name}: {problem}")
        return []


def echoed(port: int) -> Finished:
    """Send a C-ECHO."""
    with RawAssociation(port) as association:
        association.echo()
    return Finished(association.accepted, 0.0, association.ended)


def found(port: int, identifier: bytes, rows: int, calling: str = "MAMMO1") -> Finished:
    """Send a C-FIND; UnexpectedAnswer if the answer is not this many rows."""
    with RawAssociation(port, calling) as association:
        answer = association.find(identifier)
    expect(answer, rows)
    return Finished(association.accepted, answer.first_row, association.ended)


def expect(answer: Answer, rows: int) -> None:
    """Raise UnexpectedAnswer unless the answer is a success with this many rows."""
    if (answer.rows, answer.status) != (rows, SUCCESS):
        raise UnexpectedAnswer(f"{answer.rows} rows of {rows}, status {answer.status:04X}")


# Many modalities at once ----------------------------------------------------------------------------------------------

Waits = list[tuple[float, float, float]]


def at_once(server: Server, scale: Scale) -> list[Waits]:
    """Let each modality, in a process of its own, ask for its list again and again.

    Return for each modality when its requests began and ended, and how long they took.
    """
    if sys.platform == "win32":
        raise NotImplementedError("the modalities are forked")
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(scale.stations)
    until = 0.0 if scale.is_short else SECONDS_AT_ONCE

    def ask(number: int, result: Connection) -> None:
        identifier, calling = worklists.list_of(number), worklists.station(number)
        waits: Waits = []
        together.wait()
        deadline = time.perf_counter() + until
        while not waits or time.perf_counter() < deadline:
            began = time.perf_counter()
            try:
                found(server.port, identifier, scale.room, calling)
            except (UnexpectedAnswer, OSError):
                break
            ended = time.perf_counter()
            waits.append((began, ended, ended - began))
        result.send(waits)

    modalities = []
    for number in range(scale.stations):
        receiving, sending = fork.Pipe(duplex=False)
        process = fork.Process(target=ask, args=(number, sending))
        process.start()
        modalities.append((process, receiving))
    results = [receiving.recv() for _, receiving in modalities]
    for process, _ in modalities:
        process.join()
    return results


def add_waits(modalities: list[Waits], server: Server, rate: Row, wait: Row, slowest: Row) -> None:
    """Add a round's figures; none if a modality was not answered."""
    if not all(modalities):
        progress(f"{server.name}: {sum(not waits for waits in modalities)} modalities were refused")
        for row in (rate, wait, slowest):
            row.add(server.name, None)
        return
    requests = [request for waits in modalities for request in waits]
    seconds = max(ended for _, ended, _ in requests) - min(began for began, _, _ in requests)
    medians = [statistics.median(took for _, _, took in waits) for waits in modalities]
    median = statistics.median(took for _, _, took in requests)
    rate.add(server.name, len(requests) / seconds)
    wait.add(server.name, median * 1000)
    slowest.add(server.name, max(medians) / median)


# Our own server -------------------------------------------------------------------------------------------------------


def by_size_of_the_table(small: Server, large: Server, scale: Scale) -> Table:
    """Measure queries in a small and in a large table: does the rest of the table cost anything?"""
    sizes = (f"{scale.items:,} items", f"{scale.many_items:,} items")
    queries = {
        "today's list of one station": (worklists.list_of(0), scale.room),
        "by date": (worklists.by_date(), scale.stations * scale.room),
        "by accession number": (worklists.one_item(), 1),
        "by patient id": (worklists.patient_based("PatientID", "9990000001"), 1),
        "by name, SMITH*": (worklists.patient_based("PatientName", "SMITH*"), scale.room),
        "by requested procedure id": (worklists.patient_based("RequestedProcedureID", "RP000001"), 1),
    }
    rows = [Row(name, "ms", peers=((sizes[0],),), aim="≤ 1.1 ×") for name in queries]
    for number in range(scale.rounds):
        progress(f"by size of the table, round {number + 1} of {scale.rounds}")
        for row, (identifier, count) in zip(rows, queries.values(), strict=True):
            for size, server in zip(sizes, (small, large), strict=True):
                finished = requests(server, lambda port, i=identifier, c=count: found(port, i, c), scale)  # type: ignore[misc]
                row.add(size, median_ms(finished, "ended"))
    return Table("Our queries by size of the table", sizes, rows, ("ratio",), subject=sizes[1])


def the_process(folder: Path, database_url: str, scale: Scale) -> Table:
    """Measure what our server's process costs: at its start, and with many associations that do nothing."""
    start = Row("start to first answer", "s", aim="≤ 1.0")
    memory = Row("memory (PSS) then", "MiB", aim="≤ 80")
    for number in range(scale.rounds):
        progress(f"the process, round {number + 1} of {scale.rounds}")
        began = time.perf_counter()
        with gateway(folder, database_url) as server:
            echoed(server.port)
            start.add(OURS, time.perf_counter() - began)
            memory.add(OURS, memory_mib(server.pid))
    idle = idle_associations(folder, database_url, scale)
    return Table("Our worklist server's process", (OURS,), [start, memory, *idle])


def idle_associations(folder: Path, database_url: str, scale: Scale) -> list[Row]:
    """Measure our server while many associations are open on which nothing happens."""
    opened = Row("idle associations", "", aim=str(scale.associations))
    cpu_alone = Row("CPU at rest without any", "%")
    cpu = Row("CPU at rest with these", "%", aim="the same")
    memory = Row("memory (PSS) with these", "MiB")
    associations: list[RawAssociation] = []
    try:
        with gateway(folder, database_url) as server, ExitStack() as idle:
            echoed(server.port)
            cpu_alone.add(OURS, cpu_at_rest(server, scale))
            deadline = time.monotonic() + OPENING_SECONDS
            while len(associations) < scale.associations and time.monotonic() < deadline:
                associations.append(idle.enter_context(RawAssociation(server.port)))
            opened.add(OURS, len(associations))
            cpu.add(OURS, cpu_at_rest(server, scale))
            memory.add(OURS, memory_mib(server.pid))
    except (UnexpectedAnswer, OSError) as problem:
        progress(f"{len(associations)} idle associations: {problem}")
    return [opened, cpu_alone, cpu, memory]


def cpu_at_rest(server: Server, scale: Scale) -> float:
    """Return the percentage of one core that a server uses while nobody asks it anything."""
    seconds = 0.2 if scale.is_short else SECONDS_AT_REST
    time.sleep(seconds / 5)  # let it finish what it was asked before
    before = cpu_seconds(server.pid)
    time.sleep(seconds)
    return 100 * (cpu_seconds(server.pid) - before) / seconds
