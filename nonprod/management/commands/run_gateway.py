"""Run every process of the gateway on this machine, in one terminal with one log: `make run`.

With --once: play the main job on free ports, with a database of its own, and exit with 0 if every step passed. The logs
go to a file, which is printed if a step fails; VERBOSE=1 prints them as they come.
"""

import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from core.checks import GATEWAY
from nonprod.local_gateway import (
    PORT_SETTINGS,
    LogFilePrinter,
    environment_with,
    free_ports,
    run_processes,
    taken_ports,
)

ADMIN_USER = ADMIN_PASSWORD = "admin"  # noqa: S105 - for a database on this machine, served on loopback only
MAIN_JOB = "main-job"


class Command(BaseCommand):
    help = __doc__
    #: What it starts checks the rest.
    requires_system_checks = (GATEWAY,)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="Play the main job once and stop.")
        parser.add_argument("--verbose", action="store_true", help="With --once: print the logs of all processes.")

    def handle(self, *args: Any, once: bool, verbose: bool, **options: Any) -> None:
        """Exit with the status of the first process that ended; with 0 after Ctrl-C."""
        try:
            sys.exit(self.play_once(verbose=verbose) if once else self.run())
        except KeyboardInterrupt:  # before any process was started
            sys.exit(0)

    def run(self) -> int:
        """Run on the configured ports until Ctrl-C."""
        if problems := taken_ports():
            raise CommandError("\n".join(problems), returncode=2)
        call_command("migrate", verbosity=0)
        users = get_user_model().objects
        if not users.exists():
            users.create_superuser(ADMIN_USER, password=ADMIN_PASSWORD)
        return run_processes("gateway", "announce_gateway", {}, emulated=settings.RELAY_IS_EMULATED)

    def play_once(self, *, verbose: bool) -> int:
        """Play the main job on free ports, with a temporary database."""
        with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
            ports = dict(zip(PORT_SETTINGS, map(str, free_ports(len(PORT_SETTINGS))), strict=True))
            changes = {
                **ports,
                "DATABASE_URL": f"sqlite:///{(Path(folder) / 'once.sqlite3').as_posix()}",
                "DJANGO_SETTINGS_MODULE": "gateway_project.settings.local",
                "AZURE_RELAY_NAMESPACE": "",
                "LOG_FORMAT": "readable",
                "IMAGE_SPOOL_DIR": str(Path(folder) / "spool"),
                "MANAGE_API_URL": "",
            }
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0", "--skip-checks"]
            subprocess.run(migrate, check=True, env=environment_with(changes))  # noqa: S603
            if verbose:
                return run_processes(MAIN_JOB, "play_main_job", changes, emulated=True)
            return self._play_with_log_file(changes)

    def _play_with_log_file(self, changes: dict[str, str]) -> int:
        descriptor, path = tempfile.mkstemp(prefix="gateway-main-job-", suffix=".log")
        with open(descriptor, "w+", encoding="utf-8") as log:  # noqa: PTH123 - an open file descriptor
            status = run_processes(
                MAIN_JOB, "play_main_job", changes, emulated=True, printer=LogFilePrinter(MAIN_JOB, log)
            )
            if status:
                log.seek(0)
                self.stdout.write(log.read())
        self.stdout.write(f"The logs of all processes are in {path}")
        return status
