"""Send thousands of slightly malformed requests: each ends in a status, a rejection, an abort or a closed connection.

None leaves a thread or memory behind. The seed is fixed, so that a failure can be repeated.
"""

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
from tests.dicom.malformed import ENDED, send_malformed_identifiers, send_malformed_pdus
from tests.dicom.raw import ABORT, ACCEPT, DATA, REJECT, RELEASED
from tests.dicom.requests import PATIENCE, Unit, request
from tests.dicom.serving import all_ended, assert_new_threads_end, port_of, serving
from tests.factories import WorklistItemFactory

pytestmark = [
    pytest.mark.once,
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
]

SEED = 20260310
#: How many of each; `make test-long` sends five times as many.
IDENTIFIERS, PDUS = 800, 1200
#: Sending identifiers keeps a processor busy, so processes do it; sending PDUs is mostly waiting, so threads do.
PROCESSES, THREADS = 2, 10
MEMORY = Path("/proc/self/statm")
MAX_MEGABYTES_LEFT = 25

Task = Callable[[int, UID, int, int], Counter[int]]


def memory() -> float:
    """The resident memory of this process, in megabytes."""
    gc.collect()
    return int(MEMORY.read_text().split()[1]) * 4096 / 1e6


@pytest.fixture
def _quiet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep pytest from holding on to memory until the test ends: log lines, and exceptions that end a thread.

    pynetdicom ends a thread by an exception when a PDU comes at the wrong time.
    """
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def in_parts(pool: Executor, parts: int, task: Task, *, port: int, number: int, seed: int) -> Counter[int]:
    """Run a task in several parts at once, each with its own seed, over both transfer syntaxes."""
    jobs = []
    for part in range(parts):
        syntax = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)[part % 2]
        jobs.append(pool.submit(task, port, syntax, seed + part, number // parts))
    return sum((job.result() for job in jobs), Counter[int]())


def send_all(port: int, identifiers: int, pdus: int, seed: int) -> tuple[Counter[int], Counter[int]]:
    """Send malformed identifiers and PDUs; return how often each status, and each type of last PDU, came back.

    The pools live no longer than this call: their threads must not be counted as the server's.
    """
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as processes:
        statuses = in_parts(processes, PROCESSES, send_malformed_identifiers, port=port, number=identifiers, seed=seed)
    with ThreadPoolExecutor(THREADS) as threads:
        return statuses, in_parts(threads, THREADS, send_malformed_pdus, port=port, number=pdus, seed=seed)


@pytest.mark.usefixtures("_quiet")
def test_malformed_requests_leave_the_server_as_it_was(factor: int) -> None:
    identifiers, pdus = IDENTIFIERS * factor, PDUS * factor
    WorklistItemFactory.create(accession_number="ACC1", patient_name="ŁUKASZ^ZOË")
    with serving(fresh_seconds=PATIENCE) as running:
        send_all(port_of(running), 200, 200, SEED - THREADS)  # what is created once is created now
        settle(running)
        before, threads_before = memory(), set(threading.enumerate())
        statuses, ends = send_all(port_of(running), identifiers, pdus, SEED)
        settle(running)
        assert sum(statuses.values()) + sum(ends.values()) == identifiers + pdus
        assert set(statuses) <= {0x0000, 0xA900, 0xC310, ENDED}, statuses
        assert {0x0000, 0xA900, 0xC310} <= set(statuses)
        assert set(ends) <= {0, DATA, ACCEPT, REJECT, ABORT, RELEASED}, ends
        assert {RELEASED, ABORT} <= set(ends), ends
        assert_new_threads_end(threads_before)
        assert memory() - before < MAX_MEGABYTES_LEFT
        answer = Unit(port_of(running)).ask(request(AccessionNumber="ACC1", PatientName=""))
        assert answer.accession_numbers == ["ACC1"]


def settle(running: DicomServer) -> None:
    """Wait until all associations have ended."""
    deadline = time.monotonic() + PATIENCE
    while running.associations and time.monotonic() < deadline:
        all_ended(running)
    assert running.associations == []
