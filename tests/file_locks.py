"""Lock files between processes, on every operating system."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

from django.conf import settings

PATIENCE = 1800.0


@contextmanager
def file_lock(name: str, *, shared: bool = False) -> Iterator[None]:
    """Hold this checkout's lock of a name for the block: alone, or `shared` with others who share it.

    It is SQLite's lock of an empty database: Python has none that works both on POSIX and on Windows.
    """
    folder = settings.BASE_DIR / "build"
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / f"{name}.lock", timeout=PATIENCE, isolation_level=None)) as database:
        database.execute("BEGIN" if shared else "BEGIN EXCLUSIVE")
        database.execute("SELECT * FROM sqlite_master")  # a shared transaction begins with its first statement
        yield
