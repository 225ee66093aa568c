"""The parts of the benchmark: modules of this package with a function `measure`. Each runs in a process of its own."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module

from benchmarks.databases import temporary_database
from benchmarks.measuring import Scale, Table

PARTS = ("dicom", "relay", "actions", "images", "pages")


def measured(part: str, scale: Scale) -> list[Table]:
    """Measure a part in a new process, which ends with all that it has opened."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=spawn) as executor:
        return executor.submit(_measure, part, scale).result()


def _measure(part: str, scale: Scale) -> list[Table]:
    with temporary_database():  # which the part's module needs already when it is imported
        tables: list[Table] = import_module(f"benchmarks.{part}").measure(scale)
    return tables
