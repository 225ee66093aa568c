"""Commit what several threads do at the same moment in one transaction, for a database with one writer.

A commit waits for the disk, and operations that are executed one after the other are quicker than the same ones between
other work. So the thread whose turn it is executes those of the waiting threads as well.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextvars import copy_context
from typing import Any, TypeVar

from django.db import connection, transaction

from core.database import ConcurrencyLimit, DatabaseBusy, LendConnection, in_transaction

Result = TypeVar("Result")


class _Operation:
    """What one thread waits for. It runs in that thread's context, whichever thread executes it."""

    def __init__(self, operation: Callable[[], Any]) -> None:
        self._operation, self._context = operation, copy_context()
        self.outcome: Future[Any] = Future()

    def execute(self) -> Any:
        return self._context.run(self._operation)

    def execute_alone(self) -> None:
        """Settle the outcome in a transaction of its own."""
        try:
            self.outcome.set_result(in_transaction(self.execute))
        except Exception as error:  # noqa: BLE001 - raised in the thread that waits
            self.outcome.set_exception(error)


class GroupCommit:
    """Commits up to `together` operations at once; each thread waits for its turn within the limit.

    With `together=1` each operation has a transaction of its own. A database that runs several transactions at the same
    time needs that: groups would wait for each other's locks.
    """

    def __init__(self, limit: ConcurrencyLimit, lend: LendConnection, together: int = 1) -> None:
        self._limit, self._lend, self._together = limit, lend, together
        self._lock = threading.Lock()
        self._waiting: deque[_Operation] = deque()

    def run(self, operation: Callable[[], Result]) -> Result:
        """Return what the operation returns, once that is committed.

        Raises what the operation or the commit raises, or DatabaseBusy; the operation has then had no effect.
        """
        own = _Operation(operation)
        with self._lock:
            self._waiting.append(own)
        try:
            with self._limit.slot():
                if group := self._take_group_of(own):
                    self._execute(group)
        except DatabaseBusy:
            if self._withdraw(own):
                raise
        result: Result = own.outcome.result()
        return result

    def _take_group_of(self, own: _Operation) -> list[_Operation]:
        """Take the operation and others that wait; return nothing if another thread has taken it."""
        if not self._withdraw(own):
            return []
        others = 0 if connection.in_atomic_block else self._together - 1  # else they would wait for that transaction
        with self._lock:
            return [own, *(self._waiting.popleft() for _ in range(min(others, len(self._waiting))))]

    def _withdraw(self, own: _Operation) -> bool:
        """Return whether the operation was still waiting; it no longer does."""
        with self._lock:
            if own not in self._waiting:
                return False
            self._waiting.remove(own)
            return True

    def _execute(self, group: Sequence[_Operation]) -> None:
        """Settle the outcome of each operation."""
        try:
            with self._lend():
                if len(group) == 1 or not _executed_together(group):
                    for each in group:
                        each.execute_alone()
        finally:
            for each in group:
                if not each.outcome.done():  # the thread is being ended
                    each.outcome.set_exception(DatabaseBusy())


def _executed_together(group: Sequence[_Operation]) -> bool:
    """Execute operations in one transaction; return False, with nothing done, if each has to be executed alone.

    If the transaction cannot even begin, as in a database that is locked, no other attempt is made: it takes long.
    """
    has_begun = False
    try:
        with transaction.atomic():
            has_begun = True
            results = [each.execute() for each in group]
    except Exception as error:  # noqa: BLE001 - raised in the threads that wait
        if has_begun:
            return False
        for each in group:
            each.outcome.set_exception(error)
        return True
    for each, result in zip(group, results, strict=True):
        each.outcome.set_result(result)
    return True
