"""Borrowed connections."""

import threading

import pytest
from django.db import connection

from core.database import StoreBusy, StoreGate, borrowed_connection

pytestmark = pytest.mark.django_db(transaction=True)


def in_thread(work: object) -> None:
    """Run a function in a thread of its own, to its end."""
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


class TestStoreGate:
    def test_one_more_than_may_in_is_told_when_nobody_leaves(self) -> None:
        gate = StoreGate(at_once=1, wait_seconds=0.01)
        with gate.entered(), pytest.raises(StoreBusy), gate.entered():
            pass

    def test_a_place_is_free_again_after_a_failure(self) -> None:
        gate = StoreGate(at_once=1, wait_seconds=0)
        with pytest.raises(KeyError), gate.entered():
            raise KeyError
        with gate.entered():
            pass


class TestDurability:
    def test_what_is_committed_survives_a_power_cut(self) -> None:
        sqlite = connection.vendor == "sqlite"
        question = "PRAGMA synchronous" if sqlite else "SHOW synchronous_commit"
        with connection.cursor() as cursor:
            cursor.execute(question)
            assert cursor.fetchone() == ((2,) if sqlite else ("on",))  # 2 is FULL
