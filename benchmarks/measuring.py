"""How it is measured: on a database of its own, in seconds of this machine, of which the ratios tell something."""

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
    """Django, on a temporary SQLite file or on what DATABASE_URL names."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{Path(folder) / 'benchmark.sqlite3'}")  # noqa: TID251
        os.environ["DJANGO_SETTINGS_MODULE"] = "gateway_project.settings.local"  # noqa: TID251
        os.environ["LOG_LEVEL"] = "WARNING"  # noqa: TID251
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415

        call_command("migrate", verbosity=0)
        yield


def timed(work: Callable[[], object]) -> float:
    """Seconds that it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def print_row(what: str, value: str) -> None:
    """One line of the result."""
    print(f"{what:48} {value:>12}")  # noqa: T201
