"""Measure how many actions a second `execute_actions` executes: does the last tenth cost as much as the first?"""

import json
import tempfile
from functools import partial
from io import StringIO
from pathlib import Path

from django.core.management import call_command

from benchmarks.measuring import OURS, Row, Scale, Table, timed
from nonprod.manage_emulator import create_item_action

FILES = 10


def measure(scale: Scale) -> list[Table]:
    """Execute the actions in FILES files, each action durably; return the tables of this part."""
    rate = Row("actions executed a second", "", more_is_better=True)
    growth = Row("time of the last tenth ÷ the first", "")
    count = scale.actions // FILES
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        for part in range(FILES):
            numbers = range(part * count, (part + 1) * count)
            actions = [create_item_action(accession_number=f"BENCH{number:07}") for number in numbers]
            file = Path(folder) / f"{part}.json"
            file.write_text(json.dumps(actions))
            seconds.append(timed(partial(execute, file, count)))
            rate.add(OURS, count / seconds[-1])
    growth.add(OURS, seconds[-1] / seconds[0])
    return [Table(f"`execute_actions`, {scale.actions:,} actions", (OURS,), [rate, growth])]


def execute(file: Path, count: int) -> None:
    """Execute the actions of a file, all of which must create an item."""
    replies = StringIO()
    call_command("execute_actions", str(file), stdout=replies)
    assert replies.getvalue().count('"status":"created"') == count  # noqa: S101
