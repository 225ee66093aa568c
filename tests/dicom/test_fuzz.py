"""Thousands of requests that are a little wrong: each is answered by a status, a reject, an abort or the end of the
connection, and nothing is left of them. The seed is fixed, so that what fails can be seen again."""

import gc
import logging
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dicom.server import DicomServer
from tests.dicom.malformed import (
    ABORT,
    ACCEPT,
    DATA,
    ENDED,
    REJECT,
    RELEASED,
    ask_wrongly,
    greet_wrongly,
    greeting_of,
)
from tests.dicom.requests import PATIENCE, Unit, request
from tests.dicom.serving import all_ended, port_of, serving
from tests.factories import WorklistItemFactory

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]

SEED = 20260310
#: Of each so many, and ten thousand in all by `make test-long`.
IDENTIFIERS, PDUS = 800, 1200
#: Identifiers keep a processor busy each, and go out of processes of their own; PDUs are mostly waited for.
PROCESSES, THREADS = 2, 10
MEMORY = Path("/proc/self/statm")
MEGABYTES_THAT_MAY_STAY = 25

Task = Callable[[int, bytes, UID, int, int], Counter[int]]


def memory() -> float:
    """What this process has in memory, in megabytes."""
    gc.collect()
    return int(MEMORY.read_text().split()[1]) * 4096 / 1e6


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What pytest keeps until the end of a test would be measured: lines of log, and exceptions that end a thread, with
    all that their frames hold. pynetdicom ends a thread of its own by one on a PDU that comes at the wrong time."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def in_parts(pool: Executor, parts: int, task: Task, *, port: int, number: int, seed: int) -> Counter[int]:
    """A task in several parts at once, each with a seed of its own, over both transfer syntaxes."""
    jobs = []
    for part in range(parts):
        syntax = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)[part % 2]
        jobs.append(pool.submit(task, port, greeting_of(port, syntax), syntax, seed + part, number // parts))
    return sum((job.result() for job in jobs), Counter[int]())


@pytest.mark.usefixtures("_quiet")
def test_mutants_leave_the_server_as_it_was(factor: int) -> None:
    identifiers, pdus = IDENTIFIERS * factor, PDUS * factor
    WorklistItemFactory.create(accession_number="ACC1", patient_name="ŁUKASZ^ZOË")
    processes = ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn"))
    threads = ThreadPoolExecutor(THREADS)
    with serving(fresh_seconds=PATIENCE) as running, processes, threads:

        def ask(number: int, seed: int) -> Counter[int]:
            return in_parts(processes, PROCESSES, ask_wrongly, port=port_of(running), number=number, seed=seed)

        def greet(number: int, seed: int) -> Counter[int]:
            return in_parts(threads, THREADS, greet_wrongly, port=port_of(running), number=number, seed=seed)

        ask(200, SEED - PROCESSES)  # what is made once is made now
        greet(200, SEED - THREADS)
        settle(running)
        before, threads_before = memory(), threading.active_count()
        statuses, ends = ask(identifiers, SEED), greet(pdus, SEED)
        settle(running)
        assert sum(statuses.values()) + sum(ends.values()) == identifiers + pdus
        assert set(statuses) <= {0x0000, 0xA900, 0xC310, ENDED}, statuses
        assert {0x0000, 0xA900, 0xC310} <= set(statuses)
        assert set(ends) <= {0, DATA, ACCEPT, REJECT, ABORT, RELEASED}, ends
        assert {RELEASED, ABORT} <= set(ends), ends
        assert threading.active_count() <= threads_before
        assert memory() - before < MEGABYTES_THAT_MAY_STAY
        answer = Unit(port_of(running)).ask(request(AccessionNumber="ACC1", PatientName=""))
        assert answer.accession_numbers == ["ACC1"]


def settle(running: DicomServer) -> None:
    """Wait until all associations have ended."""
    deadline = time.monotonic() + PATIENCE
    while running.active_associations and time.monotonic() < deadline:
        all_ended(running)
    assert running.active_associations == []
