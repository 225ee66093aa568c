"""Keep the figures in performance.json, and write performance.md and its pictures from them.

`<<name>>` in the template stands for the tables of a part.
"""

import json
import platform
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import plot
from benchmarks.measuring import Row, Table, number, progress
from benchmarks.parts import PARTS

FOLDER = Path("docs")
TEMPLATE = Path(__file__).parent / "performance_template.md"
#: Of these parts the first table's rows in this unit are drawn; the text describes the picture.
DRAWN = {
    "dicom": ("ms", "Milliseconds for each request, at each server"),
    "relay": ("ms", "Milliseconds, beside a bare echo"),
    "images": ("MB/s", "Megabytes a second, at each server"),
}


@dataclass(frozen=True)
class Run:
    """What one run measured of a part, and when, of which commit and on which machine.

    `load` is how many processes already ran or waited for a processor when it began (the load average).
    """

    date: str
    commit: str
    machine: str
    load: float
    tables: list[Table]

    @classmethod
    def of_now(cls, tables: list[Table], load: float) -> "Run":
        """Return the run that has just ended."""
        return cls(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", commit(), machine(), round(load, 1), tables)

    def as_json(self) -> dict[str, Any]:
        """Return the run as JSON has it."""
        return {**vars(self), "tables": [table.as_json() for table in self.tables]}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Run":
        """Return the run that as_json wrote."""
        return cls(**{**values, "tables": [Table.from_json(table) for table in values["tables"]]})


@dataclass
class Results:
    """The runs by part: the latest, and those to compare them with."""

    latest: dict[str, Run] = field(default_factory=dict)
    before: dict[str, Run] = field(default_factory=dict)

    def add(self, part: str, tables: list[Table], *, load: float, before: bool) -> None:
        """Add what has just been measured of a part, in place of its earlier run."""
        run = Run.of_now(tables, load)
        self.latest[part] = run
        if before:
            self.before[part] = run

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """Return the results that were written to a folder; none if there is no file."""
        path = folder / "performance.json"
        if not path.exists():
            return cls()
        kinds = json.loads(path.read_text())
        return cls(**{kind: {part: Run.from_json(run) for part, run in runs.items()} for kind, runs in kinds.items()})

    def write(self, folder: Path) -> None:
        """Write the results, the figures of each column in one line."""
        content = {kind: {part: run.as_json() for part, run in runs.items()} for kind, runs in vars(self).items()}
        text = json.dumps(content, indent=1, ensure_ascii=False)
        text = re.sub(r"\[[^][{}]*\]", lambda values: re.sub(r"\s*\n\s*", " ", values[0]), text)
        (folder / "performance.json").write_text(text + "\n")


def write(results: Results, folder: Path) -> None:
    """Write performance.json, performance.md and its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    results.write(folder)
    (folder / "performance.md").write_text(page(results))
    (folder / "pictures").mkdir(exist_ok=True)
    for part, (unit, _) in DRAWN.items():
        if run := results.latest.get(part):
            table = run.tables[0]
            rows = [row for row in table.rows if row.unit == unit]
            if not plot.draw(folder / "pictures" / f"performance-{part}.png", table.columns, rows):
                progress("no picture: Chromium is not installed")


def page(results: Results) -> str:
    """Return performance.md."""
    parts = {part: "\n\n".join(_tables(part, results)) for part in PARTS}
    parts["runs"] = _runs(results)
    return re.sub(r"<<(\w+)>>", lambda match: parts[match[1]], TEMPLATE.read_text())


def _runs(results: Results) -> str:
    """Return a table of when, where and of which commit each part was measured."""
    rows = [
        (part, kind, run.date, f"`{run.commit}`", run.machine, f"{run.load:.1f}")
        for kind, runs in (("before", results.before), ("latest", results.latest))
        for part, run in runs.items()
    ]
    return _markdown(("part", "run", "date", "commit", "machine", "load before"), rows)


def _tables(part: str, results: Results) -> Iterable[str]:
    run, before = results.latest.get(part), results.before.get(part)
    if run is None:
        yield "Not measured yet."
        return
    if part in DRAWN:
        yield f"![{DRAWN[part][1]}](pictures/performance-{part}.png)"
    earlier = {(table.title, row.name): row for table in before.tables for row in table.rows} if before else {}
    for table in run.tables:
        has_aims = any(row.aim for row in table.rows)
        heading = (
            "",
            *(("before",) if earlier else ()),
            *table.columns,
            *table.ratios,
            *(("aim",) if has_aims else ()),
        )
        rows = []
        for row in table.rows:
            old = earlier.get((table.title, row.name))
            rows.append(
                (
                    f"{row.name}, {row.unit}" if row.unit else row.name,
                    *((_earlier(table, old),) if earlier else ()),
                    *(number(row.median(column)) for column in table.columns),
                    *(ratio(row.ratios(table.subject, peers)) for peers in _groups(table, row)),
                    *((row.aim,) if has_aims else ()),
                )
            )
        yield f"**{table.title}**\n\n{_markdown(heading, rows)}"


def _groups(table: Table, row: Row) -> list[tuple[str, ...]]:
    """Return the peers for each ratio of the table; a row may have none."""
    return [*row.peers, *[()] * (len(table.ratios) - len(row.peers))]


def _earlier(table: Table, row: Row | None) -> str:
    """Return the subject's earlier figure, with its first ratio."""
    if row is None:
        return ""
    figure = number(row.median(table.subject))
    ratios = row.ratios(table.subject, row.peers[0]) if row.peers else []
    return f"{figure} (× {ratio(ratios).partition(' ')[0]})" if ratios else figure


def ratio(ratios: list[float]) -> str:
    """Return the median of ratios, with their spread."""
    if not ratios:
        return ""
    ordered = sorted(ratios)
    median = number(ordered[len(ordered) // 2])
    return median if len(ordered) == 1 else f"{median} ({number(ordered[0])}–{number(ordered[-1])})"


def _markdown(heading: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    cells = [list(heading), *map(list, rows)]
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([lines[0], "|---" * len(cells[0]) + "|", *lines[1:]])


@cache
def commit() -> str:
    """Return the commit that is measured, with a plus if files differed from it before this page was written."""
    described = ["git", "describe", "--always", "--dirty=+", "--exclude=*"]
    return subprocess.run(described, capture_output=True, text=True, check=False).stdout.strip() or "unknown"  # noqa: S603


def machine() -> str:
    """Return processor, memory, system and Python of this machine."""
    processors = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    gib = int(memory[1]) / 1024 / 1024 if memory else 0
    name = processors[0] if processors else platform.machine()
    return f"{len(processors)} × {name}, {gib:.0f} GiB, {platform.system()}, Python {platform.python_version()}"
