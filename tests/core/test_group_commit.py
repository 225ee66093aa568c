"""Operations that wait at the same moment are committed together, and each thread learns of its own."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError, connection, transaction

from core.audit import Auditor
from core.correlation import correlated, correlation_id
from core.database import ConcurrencyLimit, DatabaseBusy, borrowed_connection
from core.group_commit import GroupCommit
from core.models import AuditLog

pytestmark = pytest.mark.django_db(transaction=True)


class Group:
    """Threads whose operations wait for the database until all of them do."""

    def __init__(self, together: int = 10, wait_seconds: float = 30) -> None:
        self.limit = ConcurrencyLimit(at_once=1, wait_seconds=wait_seconds)
        self.commits = GroupCommit(self.limit, borrowed_connection, together)
        self.outcomes: dict[str, Any] = {}

    def run(self, **operations: Callable[[], Any]) -> dict[str, Any]:
        """Run the operations at the same moment; return what each returned or raised in its own thread."""
        threads = [threading.Thread(target=self._run, args=each) for each in operations.items()]
        with self.limit.slot():
            for number, thread in enumerate(threads, 1):
                thread.start()
                while len(self.limit._waiting) < number:
                    pass
        for thread in threads:
            thread.join()
        return self.outcomes

    def _run(self, name: str, operation: Callable[[], Any]) -> None:
        try:
            with correlated(name):
                self.outcomes[name] = self.commits.run(operation)
        except (DatabaseError, KeyError, DatabaseBusy) as error:
            self.outcomes[name] = error


def note() -> str:
    """Write a row that is marked with the correlation id of the thread that asked for it, and return the id."""
    Auditor("test").note(AuditLog.Operation.EXPORT, AuditLog)
    return correlation_id()


def fail() -> None:
    note()
    raise KeyError


def noted() -> list[str]:
    """Return the correlation ids of the rows, in the order in which they were written."""
    return list(AuditLog.objects.order_by("created_at").values_list("correlation_id", flat=True))


class TestTogether:
    def test_what_waits_is_committed_at_once_in_the_order_of_arrival(self) -> None:
        happened: list[str] = []

        def operation() -> None:
            happened.append(note())
            transaction.on_commit(lambda: happened.append("committed"))

        Group().run(a=operation, b=operation, c=operation)
        assert happened == ["a", "b", "c", "committed", "committed", "committed"]

    def test_each_thread_gets_the_result_of_its_own_operation_in_its_own_context(self) -> None:
        assert Group().run(a=note, b=note, c=note) == {"a": "a", "b": "b", "c": "c"}

    def test_no_more_than_so_many_are_committed_at_once(self) -> None:
        happened: list[str] = []

        def operation() -> None:
            happened.append(note())
            transaction.on_commit(lambda: happened.append("committed"))

        Group(together=2).run(a=operation, b=operation, c=operation)
        assert happened == ["a", "b", "committed", "committed", "c", "committed"]

    def test_an_operation_in_a_transaction_of_the_caller_takes_no_other_along(self) -> None:
        group = Group()
        with transaction.atomic():
            assert group.commits.run(note) == ""
            transaction.set_rollback(True)
        assert noted() == []


class TestFailures:
    def test_one_that_fails_is_undone_and_the_others_are_committed(self) -> None:
        outcomes = Group().run(a=note, b=fail, c=note)
        assert isinstance(outcomes.pop("b"), KeyError)
        assert outcomes == {"a": "a", "c": "c"}
        assert noted() == ["a", "c"]

    def test_one_whose_statement_the_database_refuses_is_undone_alone(self) -> None:
        def refused() -> None:
            connection.cursor().execute("SELECT * FROM no_such_table")

        outcomes = Group().run(a=note, b=refused, c=note)
        assert isinstance(outcomes["b"], DatabaseError)
        assert noted() == ["a", "c"]

    def test_where_no_transaction_can_begin_all_learn_of_it_after_one_attempt(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        attempts = []

        def begin(*_: Any) -> None:
            attempts.append(1)
            raise OperationalError("database is locked")

        monkeypatch.setattr(transaction.Atomic, "__enter__", begin)
        outcomes = Group().run(a=note, b=note, c=note)
        assert [type(each) for each in outcomes.values()] == [OperationalError] * 3
        assert len(attempts) == 1

    def test_one_that_waits_too_long_is_never_executed(self) -> None:
        group = Group(wait_seconds=0.01)
        with group.limit.slot(), pytest.raises(DatabaseBusy):
            group.commits.run(note)
        assert group.run(b=note) == {"b": "b"}
        assert noted() == ["b"]
