"""The short form of the benchmark runs every part once, and counts every row rightly. No time is asserted."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measuring import SHORT, Table
from benchmarks.parts import PARTS
from benchmarks.report import Results

PATIENCE = 600.0

pytestmark = pytest.mark.once


def tables_of(part: str, folder: Path) -> list[Table]:
    """Measure a part in the short form, and return its tables."""
    command = [sys.executable, "-m", "benchmarks", part, "--short", "--docs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Results.read(folder).latest[part].tables


@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_and_leaves_no_figure_out(part: str, tmp_path: Path) -> None:
    tables = tables_of(part, tmp_path)
    missing = [
        f"{table.title}: {row.name}: {column}"
        for table in tables
        for row in table.rows
        for column in table.columns
        if None in row.figures.get(column, [None])
    ]
    assert missing == []
    page = (tmp_path / "performance.md").read_text()
    assert all(table.title in page and row.name in page for table in tables for row in table.rows)
    if part == "dicom":
        idle = {row.name: row for row in tables[-1].rows}["idle associations"]
        assert idle.median("ours") == SHORT.associations
