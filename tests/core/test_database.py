"""Borrowed connections."""

import threading

import pytest
from django.db import connection

from core.database import borrowed_connection

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
