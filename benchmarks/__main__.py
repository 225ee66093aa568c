"""Measure actions, queries and the live page on a temporary database, and print ratios side by side: `make benchmark`.

The absolute numbers are this machine's. The ratios show whether a cost grows with something it should not grow with.
DATABASE_URL can name another database than the temporary SQLite file; it must be empty.
"""

import json
import statistics
from datetime import date, timedelta
from datetime import time as clock_time
from itertools import islice
from typing import TYPE_CHECKING

from benchmarks.measuring import LARGE, SMALL, print_row, timed, with_a_database

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

ACTIONS = 10_000
TODAY = date(2026, 11, 23)
ROOM = 60  # items on one room's list for today
CAP = 500  # the most items in one answer
REPEATS = 15


def main() -> None:
    with with_a_database():
        from benchmarks.live_page import measure_live_page  # noqa: PLC0415

        measure_live_page()
        execute_many_actions()
        query_small_and_large_tables()


def execute_many_actions() -> None:
    """Execute ACTIONS actions, each in a durable transaction: does the last tenth cost as much as the first?"""
    from django.db import connection  # noqa: PLC0415

    from nonprod.manage_emulator import create_item_action  # noqa: PLC0415
    from relay.configuration import configured_dispatcher  # noqa: PLC0415

    frames = [json.dumps(create_item_action(accession_number=f"BENCH{number:07}")) for number in range(ACTIONS)]
    dispatch = configured_dispatcher().dispatch
    connection.ensure_connection()
    tenth = ACTIONS // 10
    tenths = [frames[start : start + tenth] for start in range(0, ACTIONS, tenth)]
    seconds = [timed(lambda part=part: [dispatch(frame, "benchmark") for frame in part]) for part in tenths]  # type: ignore[misc]
    print_row("actions executed per second", f"{ACTIONS / sum(seconds):.0f}")
    print_row("last tenth ÷ first tenth", f"{seconds[-1] / seconds[0]:.2f}")


def query_small_and_large_tables() -> None:
    """Query a day in a small and in a large table: does the rest of the table cost anything?"""
    fill_table()
    small = {what: median_of(query, found) for what, (query, found) in queries().items()}
    print_row(f"{SMALL} items become {LARGE}", f"{timed(multiply_table):.0f} s")
    large = {what: median_of(query, found) for what, (query, found) in queries().items()}
    print(f"\n{'C-FIND by size of the table, in ms':36} {SMALL:>10} {LARGE:>10} {'ratio':>7}")  # noqa: T201
    for what, took in small.items():
        print(f"{what:36} {took * 1000:10.1f} {large[what] * 1000:10.1f} {large[what] / took:7.2f}")  # noqa: T201


def queries() -> dict[str, tuple["Dataset", int]]:
    """Return each query by name, with the number of items it finds in both tables."""
    from nonprod.modality_emulator import broad_query  # noqa: PLC0415

    def patient_based(keyword: str, value: str) -> "Dataset":
        query = broad_query(modality="")
        setattr(query, keyword, value)
        return query

    return {
        "today's list of one AE title": (broad_query("MAMMO1", TODAY), ROOM),
        "by date": (broad_query("", TODAY), 2 * ROOM),
        "by accession number": (patient_based("AccessionNumber", "B000001"), 1),
        "by patient id": (patient_based("PatientID", "9990000001"), 1),
        "by name, SMITH*": (patient_based("PatientName", "SMITH*"), ROOM),
        "by requested procedure id": (patient_based("RequestedProcedureID", "RP000001"), 1),
        f"everything, up to {CAP}": (broad_query(modality=""), CAP),
    }


def fill_table() -> None:
    """Create ROOM items for today at each of two stations, the first all named SMITH, and the rest on other days."""
    from tests.factories import WorklistItemFactory  # noqa: PLC0415
    from worklist.models import WorklistItem  # noqa: PLC0415

    WorklistItem.objects.all().delete()
    WorklistItem.objects.bulk_create(
        WorklistItemFactory.build(
            accession_number=f"B{number:06}",
            patient_id=f"999{number:07}",
            patient_name=f"SMITH^JANE{number}" if number < ROOM else f"JONES{number}^MARY",
            scheduled_date=TODAY if number < 2 * ROOM else TODAY + timedelta(days=1 + number % 300),
            scheduled_time=clock_time(9 + number % 8, number % 60),
            station_ae_title=f"MAMMO{1 + number // ROOM % 2}",
            requested_procedure_id=f"RP{number:06}",
            scheduled_procedure_step_id=f"SP{number:06}",
        )
        for number in range(SMALL)
    )


def multiply_table() -> None:
    """Copy every item under other names until there are LARGE: half on later days, half completed on earlier ones.

    In SQL, because Django needs minutes for a million rows.
    """
    from django.db import connection  # noqa: PLC0415

    from worklist.models import WorklistItem  # noqa: PLC0415

    on_sqlite = connection.vendor == "sqlite"
    days = "(CASE WHEN n %% 2 = 0 THEN -n - 300 ELSE n END)"
    copies = {
        name: f"CAST(100000 + n AS varchar) || '-' || {name}"
        for name in (
            "accession_number",
            "patient_id",
            "patient_name",
            "patient_name_search",
            "requested_procedure_id",
            "scheduled_procedure_step_id",
        )
    }
    copies |= {
        "id": "lower(hex(randomblob(16)))" if on_sqlite else "gen_random_uuid()",
        "scheduled_date": f"date(scheduled_date, {days} || ' days')" if on_sqlite else f"scheduled_date + {days}",
        "status": "CASE WHEN n %% 2 = 0 THEN 'COMPLETED' ELSE status END",
        "study_instance_uid": "study_instance_uid || '.' || n",
    }
    columns = [str(field.column) for field in WorklistItem._meta.concrete_fields]
    values = ", ".join(copies.get(column, column) for column in columns)
    table = WorklistItem._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < %s) "  # noqa: S608
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} CROSS JOIN copies",
            [LARGE // SMALL - 1],
        )
        if not on_sqlite:
            cursor.execute(f"ANALYZE {table}")  # as autovacuum does when a table has grown


def median_of(query: "Dataset", expected: int) -> float:
    """Return the median seconds that a C-FIND takes, without the network."""
    return statistics.median(timed(lambda: answer(query, expected)) for _ in range(REPEATS))


def answer(query: "Dataset", expected: int) -> None:
    """Build the responses of a C-FIND."""
    from django.utils import timezone  # noqa: PLC0415

    from worklist.models import WorklistItem  # noqa: PLC0415
    from worklist.query.matching import parse_matching_keys  # noqa: PLC0415
    from worklist.query.response import response_for  # noqa: PLC0415

    found = [
        response_for(item, query, "MAMMO1", timezone.get_default_timezone())
        for item in islice(WorklistItem.objects.matching(parse_matching_keys(query)), CAP)
    ]
    assert len(found) == expected  # noqa: S101


if __name__ == "__main__":
    main()
