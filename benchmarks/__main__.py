"""Measure the gateway, beside others where there are any, and write docs/performance.md: `make benchmark`.

    python -m benchmarks [PART…] [--short] [--before] [--rows N] [--docs FOLDER]

Without a part it measures all of them. DATABASE_URL can name a PostgreSQL server instead of the temporary SQLite files.
"""

import tempfile
import time
import traceback
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

from benchmarks.measuring import FULL, SHORT, progress
from benchmarks.parts import PARTS, measured
from benchmarks.processes import load_average
from benchmarks.report import FOLDER, Results, write


def main() -> None:
    """Measure each part in a process and on a database of its own, and write what is known by then."""
    parser = ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"one of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--short", action="store_true", help="run everything once on small tables, for a test")
    parser.add_argument("--rows", type=int, default=FULL.many_rows, help="in the large tables of *pages* (%(default)s)")
    parser.add_argument("--before", action="store_true", help="keep the figures as those to compare later ones with")
    parser.add_argument("--docs", type=Path, default=FOLDER, help="where performance.md is (default: %(default)s)")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    scale = SHORT if options.short else replace(FULL, many_rows=options.rows)
    results = Results.read(options.docs)
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for part in options.parts or PARTS:
            progress(f"=== {part}")
            began, load = time.monotonic(), load_average()
            try:
                tables = measured(part, scale, Path(folder) / "migrated.sqlite3")
                results.add(part, tables, load=load, before=options.before)
                write(results, options.docs)
            except Exception:  # noqa: BLE001 - what the other parts measure is kept
                traceback.print_exc()
                failed.append(part)
            progress(f"=== {part} took {time.monotonic() - began:.0f} s")
    if failed:
        parser.exit(1, f"failed: {', '.join(failed)}\n")


if __name__ == "__main__":
    main()
