"""Run the image SCP, and kill it (SIGKILL) in its first C-STORE at one of MOMENTS, always before it has answered."""

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

from images import storage  # noqa: E402
from images.management.commands.run_image_scp import Command  # noqa: E402
from images.models import ReceivedImage  # noqa: E402
from images.spool import IncomingFile  # noqa: E402
from tests.processes import KILL  # noqa: E402

#: How the statement begins that stores a row.
INSERT = f'INSERT INTO "{ReceivedImage._meta.db_table}"'


def die(*_: Any) -> None:
    """Kill this process at once, without any clean-up."""
    os.kill(os.getpid(), KILL)


def at_statement(what: Callable[[], None]) -> None:
    """Call this once the row has been written, within the transaction."""

    def execute(execute: Callable[..., Any], sql: str, *arguments: Any) -> Any:
        done = execute(sql, *arguments)
        if sql.startswith(INSERT):
            what()
        return done

    connection_created.connect(lambda connection, **_: connection.execute_wrappers.append(execute), weak=False)


#: Each prepares the process for its death.
MOMENTS: dict[str, Callable[[], object]] = {
    "while-the-data-set-comes": partial(setattr, IncomingFile, "write", die),
    "before-the-fsync": partial(setattr, IncomingFile, "keep", die),
    "before-the-rename": partial(setattr, Path, "rename", die),
    "before-the-row": partial(setattr, storage, "in_transaction", die),
    "before-the-commit": partial(at_statement, die),
    "after-the-commit": partial(at_statement, partial(transaction.on_commit, die)),
}

if __name__ == "__main__":
    MOMENTS[sys.argv[1]]()
    Command().handle()
