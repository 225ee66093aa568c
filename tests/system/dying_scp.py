"""Run the worklist SCP, and kill it (SIGKILL) in its first N-CREATE, `before` or `after` the commit.

In both cases it sends no response: pynetdicom sends it when the handler returns.
"""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

import django

django.setup()

from django.db import transaction  # noqa: E402
from django.db.backends.signals import connection_created  # noqa: E402

from tests.processes import KILL  # noqa: E402
from worklist.management.commands.run_mwl_scp import Command  # noqa: E402
from worklist.models import ItemChange  # noqa: E402

#: How the last statement of the transaction begins.
LAST_STATEMENT = f'INSERT INTO "{ItemChange._meta.db_table}"'


def die() -> None:
    """Kill this process at once, without any clean-up."""
    os.kill(os.getpid(), KILL)


#: What to do after the last statement of the transaction, before the commit.
MOMENTS: dict[str, Callable[[], None]] = {"before": die, "after": partial(transaction.on_commit, die)}


def execute_and_die(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
    """Execute a statement; after the last one, die at the chosen moment."""
    done = execute(sql, *arguments)
    if sql.startswith(LAST_STATEMENT):
        MOMENTS[sys.argv[1]]()
    return done


def watch(connection: Any, **_: Any) -> None:
    """Wrap the statements of a new connection."""
    connection.execute_wrappers.append(execute_and_die)


if __name__ == "__main__":
    connection_created.connect(watch)
    Command().handle()
