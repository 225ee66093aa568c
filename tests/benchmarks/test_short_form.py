"""The short form of the benchmark runs every part once, and counts every row rightly. No time is asserted."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measuring import SHORT
from benchmarks.parts import PARTS
from benchmarks.report import Results

PATIENCE = 600.0

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all the parts have written in the short form."""
    folder = tmp_path_factory.mktemp("docs")
    command = [sys.executable, "-m", "benchmarks", "--short", "--docs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_and_leaves_no_figure_out(part: str, docs: Path) -> None:
    tables = Results.read(docs).latest[part].tables
    missing = [
        f"{table.title}: {row.name}: {column}"
        for table in tables
        for row in table.rows
        for column in table.columns
        if None in row.figures.get(column, [None])
    ]
    assert missing == []
    page = (docs / "performance.md").read_text()
    assert all(table.title in page and row.name in page for table in tables for row in table.rows)
    if part == "dicom":
        idle = {row.name: row for row in tables[-1].rows}["idle associations"]
        assert idle.median("ours") == SHORT.associations
