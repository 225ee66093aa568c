"""Set up a temporary database, time functions and print results."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import django

SMALL, LARGE = 1_000, 1_000_000


@contextmanager
def with_a_database() -> Iterator[None]:
    """Set Django up on a temporary SQLite file, or on the database of DATABASE_URL."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{Path(folder) / 'benchmark.sqlite3'}")  # noqa: TID251
        os.environ["DJANGO_SETTINGS_MODULE"] = "gateway_project.settings.local"  # noqa: TID251
        os.environ["LOG_LEVEL"] = "WARNING"  # noqa: TID251
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415

        call_command("migrate", verbosity=0)
        yield


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a function takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def print_row(what: str, value: str) -> None:
    print(f"{what:48} {value:>12}")  # noqa: T201
