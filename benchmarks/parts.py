"""The parts of the benchmark: modules of this package with a function `measure`. Each runs in a process of its own."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path

from benchmarks.databases import temporary_database
from benchmarks.measuring import Scale, Table

PARTS = ("dicom", "relay", "actions", "images", "pages")


def measured(part: str, scale: Scale, migrated: Path) -> list[Table]:
    """Measure a part in a new process, which ends with all that it has opened; `migrated` is kept between parts."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as executor:
        return executor.submit(_measure, part, scale, migrated).result()


def _measure(part: str, scale: Scale, migrated: Path) -> list[Table]:
    with temporary_database(migrated):  # which the part's module needs already when it is imported
        tables: list[Table] = import_module(f"benchmarks.{part}").measure(scale)
    return tables
