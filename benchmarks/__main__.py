"""What does it cost? `make benchmark` measures, on a database of its own, and prints ratios side by side.

Absolute numbers are of the machine at hand; the ratios say whether a cost grows with what it should not grow with.
DATABASE_URL names another database than a temporary SQLite file; it must be empty.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from datetime import time as clock_time
from pathlib import Path

import django

ACTIONS = 10_000
SMALL, LARGE = 1_000, 50_000
ROOM = 60  # women on one room's list of today
REPEATS = 15


def main() -> None:
    """Run every benchmark."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATABASE_URL", f"sqlite:///{Path(folder) / 'benchmark.sqlite3'}")  # noqa: TID251
        os.environ["DJANGO_SETTINGS_MODULE"] = "gateway_project.settings.local"  # noqa: TID251
        os.environ["LOG_LEVEL"] = "WARNING"  # noqa: TID251
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415

        call_command("migrate", verbosity=0)
        execute_many_actions()
        query_small_and_large_tables()


def execute_many_actions() -> None:
    """Each a transaction of its own, durably committed: does the ten-thousandth cost what the first did?"""
    from django.db import connection  # noqa: PLC0415

    from nonprod.manage_emulator import create_item_action  # noqa: PLC0415
    from relay.configuration import configured_dispatcher  # noqa: PLC0415

    frames = [json.dumps(create_item_action(accession_number=f"BENCH{number:07}")) for number in range(ACTIONS)]
    dispatch = configured_dispatcher().dispatch
    connection.ensure_connection()
    tenth = ACTIONS // 10
    tenths = [frames[start : start + tenth] for start in range(0, ACTIONS, tenth)]
    seconds = [timed(lambda part=part: [dispatch(frame, "benchmark") for frame in part]) for part in tenths]  # type: ignore[misc]
    print_row("actions executed a second", f"{ACTIONS / sum(seconds):.0f}")
    print_row("last tenth ÷ first tenth", f"{seconds[-1] / seconds[0]:.2f}")


def query_small_and_large_tables() -> None:
    """Today's list of one room out of a small and a large table: does the rest of the table cost anything?"""
    took = {}
    for size in (SMALL, LARGE):
        fill_table(size)
        took[size] = statistics.median(timed(ask_for_the_room) for _ in range(REPEATS))
        print_row(f"today's list of {ROOM} out of {size} items", f"{took[size] * 1000:.1f} ms")
    print_row("large ÷ small", f"{took[LARGE] / took[SMALL]:.2f}")


def fill_table(size: int) -> None:
    """ROOM items for today and MAMMO1, the rest on other days."""
    from tests.factories import WorklistItemFactory  # noqa: PLC0415
    from worklist.models import WorklistItem  # noqa: PLC0415

    WorklistItem.objects.all().delete()
    today = date(2026, 11, 23)
    WorklistItem.objects.bulk_create(
        WorklistItemFactory.build(
            scheduled_date=today if number < ROOM else today + timedelta(days=1 + number % 300),
            scheduled_time=clock_time(9 + number % 8, number % 60),
        )
        for number in range(size)
    )


def ask_for_the_room() -> None:
    """What a C-FIND does, without the network."""
    from django.utils import timezone  # noqa: PLC0415

    from nonprod.modality_emulator import broad_query  # noqa: PLC0415
    from worklist.datasets import response_for  # noqa: PLC0415
    from worklist.matching import keys_from  # noqa: PLC0415
    from worklist.models import WorklistItem  # noqa: PLC0415

    query = broad_query("MAMMO1", date(2026, 11, 23))
    found = [
        response_for(item, query, "MAMMO1", timezone.get_default_timezone())
        for item in WorklistItem.objects.matching(keys_from(query))
    ]
    assert len(found) == ROOM  # noqa: S101


def timed(work: Callable[[], object]) -> float:
    """Seconds that it took."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def print_row(what: str, value: str) -> None:
    """One line of the result."""
    print(f"{what:48} {value:>12}")  # noqa: T201


if __name__ == "__main__":
    main()
