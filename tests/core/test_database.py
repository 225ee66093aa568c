"""Connections, their limit, and the durability of a commit."""

import threading

import pytest
from django.db import connection

from core.database import ConcurrencyLimit, DatabaseBusy, borrowed_connection

pytestmark = pytest.mark.django_db(transaction=True)


def in_thread(work: object) -> None:
    """Run a function in a thread of its own, and wait until it ends."""
    thread = threading.Thread(target=work)  # type: ignore[arg-type]
    thread.start()
    thread.join()


class TestBorrowedConnection:
    def test_a_connection_opened_inside_is_closed(self) -> None:
        after = []

        def work() -> None:
            with borrowed_connection():
                connection.ensure_connection()
            after.append(connection.connection)

        in_thread(work)
        assert after == [None]

    def test_a_connection_opened_before_stays_open(self) -> None:
        connection.ensure_connection()
        with borrowed_connection():
            connection.cursor().execute("SELECT 1")
        assert connection.connection is not None


class TestConcurrencyLimit:
    def test_refuses_one_more_when_no_slot_becomes_free_in_time(self) -> None:
        limit = ConcurrencyLimit(at_once=1, wait_seconds=0.01)
        with limit.slot(), pytest.raises(DatabaseBusy), limit.slot():
            pass

    def test_frees_the_slot_after_a_failure(self) -> None:
        limit = ConcurrencyLimit(at_once=1, wait_seconds=0)
        with pytest.raises(KeyError), limit.slot():
            raise KeyError
        with limit.slot():
            pass


class TestDurability:
    def test_what_is_committed_survives_a_power_cut(self) -> None:
        sqlite = connection.vendor == "sqlite"
        question = "PRAGMA synchronous" if sqlite else "SHOW synchronous_commit"
        with connection.cursor() as cursor:
            cursor.execute(question)
            assert cursor.fetchone() == ((2,) if sqlite else ("on",))  # 2 is FULL
