"""Connections, their limit, and the durability of a commit."""

import threading
from pathlib import Path

import pytest
from django.db import connection
from django.db import connections as connections_of_thread

from core.database import (
    CHECKED_AFTER_SECONDS,
    ConcurrencyLimit,
    DatabaseBusy,
    LentConnections,
    borrowed_connection,
)

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

    def test_serves_in_the_order_of_arrival(self) -> None:
        limit, served = ConcurrencyLimit(at_once=1, wait_seconds=30), list[int]()

        def work(number: int) -> None:
            with limit.slot():
                served.append(number)

        threads = [threading.Thread(target=work, args=[number]) for number in range(5)]
        with limit.slot():
            for thread in threads:
                thread.start()
                while len(limit._waiting) <= threads.index(thread):
                    pass
        for thread in threads:
            thread.join()
        assert served == [0, 1, 2, 3, 4]

    def test_a_slot_that_nobody_waits_for_any_more_is_free(self) -> None:
        limit = ConcurrencyLimit(at_once=1, wait_seconds=0.01)
        with limit.slot(), pytest.raises(DatabaseBusy), limit.slot():
            pass
        with limit.slot():
            pass


class TestDurability:
    def test_what_is_committed_survives_a_power_cut(self) -> None:
        sqlite = connection.vendor == "sqlite"
        question = "PRAGMA synchronous" if sqlite else "SHOW synchronous_commit"
        with connection.cursor() as cursor:
            cursor.execute(question)
            assert cursor.fetchone() == ((2,) if sqlite else ("on",))  # 2 is FULL


class TestLentConnections:
    def test_the_next_thread_gets_the_open_connection_of_the_one_before(self) -> None:
        connections, seen = LentConnections(), []

        def work() -> None:
            with connections.lent(), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                seen.append(connection.connection)
            seen.append(connection.connection)

        in_thread(work)
        in_thread(work)
        first, after_first, second, after_second = seen
        assert first is second is not None
        assert after_first is after_second is None
        connections.close_idle()

    def test_two_threads_at_once_have_a_connection_each(self) -> None:
        connections, seen, both = LentConnections(), [], threading.Barrier(2)

        def work() -> None:
            with connections.lent():
                connection.ensure_connection()
                both.wait()
                seen.append(connection.connection)

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(map(id, seen))) == 2
        connections.close_idle()

    def test_a_thread_that_has_a_connection_of_its_own_uses_that(self) -> None:
        connection.ensure_connection()
        own = connection.connection
        with LentConnections().lent():
            assert connection.connection is own

    def test_a_connection_that_is_idle_for_too_long_is_closed(self) -> None:
        now = 0.0
        connections, seen = LentConnections(lambda: now), []

        def work() -> None:
            with connections.lent():
                connection.ensure_connection()
                seen.append(connections_of_thread["default"])

        in_thread(work)
        connections.close_idle(5.0)
        assert seen[0].connection is not None
        now = 5.0
        connections.close_idle(5.0)
        assert seen[0].connection is None

    def test_a_connection_that_has_died_is_replaced(self) -> None:
        now = 0.0
        connections, seen = LentConnections(lambda: now), []

        def work() -> None:
            with connections.lent(), connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                seen.append(connection.connection)

        in_thread(work)
        if connection.vendor == "postgresql":
            seen[0].close()  # as when the server has gone
            now = CHECKED_AFTER_SECONDS + 1
            in_thread(work)
            assert seen[1] is not seen[0]
        connections.close_idle()

    def test_a_connection_on_which_the_database_failed_is_replaced(self) -> None:
        connections, seen = LentConnections(), []

        def work() -> None:
            with connections.lent():
                connection.ensure_connection()
                seen.append(connection.connection)
                connection.errors_occurred = len(seen) == 1

        in_thread(work)
        in_thread(work)
        assert seen[0] is not seen[1]
        connections.close_idle()

    def test_a_file_of_sqlite_that_has_been_replaced_is_opened_anew(self, tmp_path: Path) -> None:
        if connection.vendor != "sqlite":
            pytest.skip("SQLite only")
        connections, seen = LentConnections(), []
        name = tmp_path / "gateway.sqlite3"

        def work() -> None:
            with connections.lent(), connection.cursor() as cursor:
                connection.settings_dict["NAME"] = str(name)
                cursor.execute("CREATE TABLE IF NOT EXISTS found (value)")
                seen.append(connection.connection)

        before = connection.settings_dict["NAME"]
        try:
            connection.settings_dict["NAME"] = str(name)
            in_thread(work)
            name.unlink()
            in_thread(work)
        finally:
            connection.settings_dict["NAME"] = before
            connections.close_idle()
        assert seen[0] is not seen[1]
        assert name.exists()
