"""Fixtures of the worklist's tests: a real SCP, a modality that asks it, a database that is down, and a woman on the
list with those who look at her in the admin."""

import logging
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import date
from logging.handlers import QueueHandler
from pathlib import Path

import psycopg
import pytest
import trustme
from django.db import connection
from django.test import Client
from psycopg import sql

from dicom.association_policy import AssociationPolicy, ServerConfig
from dicom.server import DicomServer, stop_server
from tests.dicom.dcmtk import Console
from tests.dicom.requests import CALLED, PATIENCE, Unit
from tests.factories import WorklistItemFactory
from tests.users import client_of
from worklist.models import WorklistItem
from worklist.query.find import WorklistContext
from worklist.scp import start_worklist_server

PERSON = {
    "patient_id": "9990000018",
    "patient_name": "O'BRIEN-ŁUKASZ^ZOË",
    "patient_birth_date": date(1943, 6, 7),
    "patient_address": "1 Long Lane^Leeds",
    "patient_comments": "uses a wheelchair",
    "patient_weight": "70.51",
    "performing_physician_name": "HOUSE^GREGORY",
}
#: As a page would show them.
SHOWN = ["9990000018", "ŁUKASZ", "1943", "Long Lane", "wheelchair", "70.51", "HOUSE", "patient_name", "NHS number"]


@pytest.fixture(scope="session")
def context() -> Iterator[WorklistContext]:
    """What the queries of the server share."""
    context = WorklistContext(AssociationPolicy(ServerConfig(CALLED)))
    context.deliveries.start()
    yield context
    context.deliveries.stop()


@pytest.fixture(scope="session")
def scp(django_db_setup: None, context: WorklistContext) -> Iterator[DicomServer]:
    """The DICOM server, on a free port."""
    server = start_worklist_server("127.0.0.1", 0, context)
    yield server
    stop_server(server)


@pytest.fixture
def unit(scp: DicomServer, context: WorklistContext, transactional_db: None) -> Iterator[Unit]:
    """A modality beside it, which sees the rows that the test makes. What it was shown is written before they go."""
    yield Unit(int(scp.server_address[1]))
    assert context.deliveries.flush()


class LogLines:
    """What a logger says while a test runs, from whichever thread."""

    def __init__(self) -> None:
        self._records: queue.Queue[logging.LogRecord] = queue.Queue()

    def wait_for(self, sentence: str) -> logging.LogRecord:
        """The next record with this sentence."""
        while (record := self._records.get(timeout=PATIENCE)).getMessage() != sentence:
            pass
        return record

    @contextmanager
    def of(self, *loggers: str) -> Iterator["LogLines"]:
        """Listen to these loggers."""
        handler = QueueHandler(self._records)
        for name in loggers:
            logging.getLogger(name).addHandler(handler)
        try:
            yield self
        finally:
            for name in loggers:
                logging.getLogger(name).removeHandler(handler)


@pytest.fixture
def log() -> Iterator[LogLines]:
    """What the SCP says."""
    with LogLines().of("worklist", "dicom", "core.regular_check") as lines:
        yield lines


@pytest.fixture
def no_connection_left(unit: Unit) -> Callable[[], bool]:
    """Whether all database connections but the test's own are given back, within a short while."""
    count = _sqlite_connections if connection.vendor == "sqlite" else _postgresql_connections

    def given_back() -> bool:
        deadline = time.monotonic() + PATIENCE
        while count() and time.monotonic() < deadline:
            pass  # the thread that answers closes its own after its last word
        return count() == 0

    return given_back


def _sqlite_connections() -> int:
    connection.close()  # as long as one is open, SQLite keeps the files of the others to use them again
    name = str(Path(str(connection.settings_dict["NAME"])).resolve())
    files = Path("/proc/self/fd")
    if not files.exists():
        pytest.skip("open files can be counted on Linux only")
    return sum(1 for file in files.iterdir() if file.is_symlink() and str(file.readlink()) == name)


def _postgresql_connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return int(cursor.fetchone()[0])


@pytest.fixture
def database_down() -> Callable[[], AbstractContextManager[None]]:
    """Takes the database down for a while: the file of SQLite, or PostgreSQL's connections and the leave to connect."""
    return _sqlite_down if connection.vendor == "sqlite" else _postgresql_down


@contextmanager
def _sqlite_down() -> Iterator[None]:
    connection.close()
    file = Path(str(connection.settings_dict["NAME"]))
    aside = file.rename(file.with_suffix(".aside"))
    file.mkdir()
    try:
        yield
    finally:
        file.rmdir()
        aside.rename(file)


@contextmanager
def _postgresql_down() -> Iterator[None]:
    connection.close()
    config = connection.settings_dict
    name = sql.Identifier(str(config["NAME"]))
    with psycopg.connect(
        host=config["HOST"], port=config["PORT"], user=config["USER"], dbname="postgres", autocommit=True
    ) as server:
        server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [config["NAME"]])
        try:
            yield
        finally:
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))


@pytest.fixture
def tls_files(tmp_path: Path) -> dict[str, str]:
    """The settings of TLS, with files of an authority of the test's own."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    (chain,) = issued.cert_chain_pems
    contents = {"CERTIFICATE": chain, "KEY": issued.private_key_pem, "CLIENT_CA": authority.cert_pem}
    for name, content in contents.items():
        content.write_to_path(str(tmp_path / name))
    return {f"MWL_TLS_{name}_PATH": str(tmp_path / name) for name in contents}


@pytest.fixture
def item() -> WorklistItem:
    """A woman on the list."""
    return WorklistItemFactory.create(accession_number="ACC1", correlation_id="c0ffee", **PERSON)


@pytest.fixture
def support() -> Client:
    """Somebody of the group that sees no patient data."""
    return client_of("support")


@pytest.fixture
def clinic() -> Client:
    """Somebody of the group that sees it."""
    return client_of("clinic")


@pytest.fixture
def console(findscu: None, unit: Unit, tmp_path: Path) -> Console:
    """DCMTK as the modality MAMMO1."""
    return Console(unit, tmp_path)
