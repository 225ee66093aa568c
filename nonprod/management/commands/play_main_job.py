"""Play the main job against the gateway that runs on this machine; exit with 0 if every step passed."""

import threading
import time
from datetime import datetime
from io import StringIO
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone
from rich import box
from rich.console import Console
from rich.table import Table

from core.checks import GATEWAY
from nonprod.local_gateway import NotReady, local_modality, wait_until_ready
from nonprod.main_job import MainJob, StepFailed
from nonprod.manage_emulator import PollRefused
from nonprod.modality_emulator import RequestFailed
from relay.hybrid_connection.failures import HybridConnectionError


def table_of_changes(changes: list[dict[str, Any]]) -> str:
    """Lay out the changes of `worklist.changes_since` as a table, a line each."""
    table = Table("Time", "Accession", "Status", "Station", "Images", "Ended", box=box.SIMPLE_HEAD, pad_edge=False)
    for change in changes:
        performed = change["performed"] or {}
        at = f"{timezone.localtime(datetime.fromisoformat(change['at'])):%H:%M:%S}"
        ended = (performed.get("ended_at") or "").partition("T")[2]
        ended += " (assumed)" if performed.get("ended_at_is_assumed") else ""
        superseded = f", superseded by {change['superseded_by']}" if "superseded_by" in change else ""
        status = f"{change['worklist_status']}{superseded}"
        cells = (at, change["accession_number"], status, performed.get("station_ae_title", ""))
        table.add_row(*cells, str(performed.get("images", "")), ended)
    console = Console(file=StringIO(), width=120)
    with console.capture() as captured:
        console.print(table)
    return captured.get().strip("\n")


class Command(BaseCommand):
    help = __doc__
    requires_system_checks = (GATEWAY,)

    def handle(self, *args: Any, **options: Any) -> None:
        """Wait until the gateway answers, then play each step."""
        try:
            wait_until_ready(threading.Event())
        except NotReady as error:
            raise CommandError(str(error)) from None
        job = MainJob(local_modality())
        for sentence, step in job.steps():
            started = time.monotonic()
            try:
                step()
            except (StepFailed, RequestFailed, PollRefused, HybridConnectionError) as error:
                raise CommandError(f"✗ {sentence}: {error}") from None
            self.stdout.write(f"✓ {sentence} ({(time.monotonic() - started) * 1000:.0f} ms)")
        self.stdout.write(f"\nWhat the modality showed:\n\n{job.worklist}")
        self.stdout.write(f"\nWhat Manage learnt:\n\n{table_of_changes(job.changes)}\n\nEvery step passed.")
