"""Runs every part of the gateway on this machine, in one terminal with one prefixed log: what `make run` calls.

With --once: on free ports, with a database of its own, only to play the main job; exits 0 if every step of it held.
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

from nonprod.local_gateway import PORT_SETTINGS, environment_with, free_ports, run_processes, taken_ports

ADMIN_USER = ADMIN_PASSWORD = "admin"  # noqa: S105 - of a database on this machine, served on loopback only


class Command(BaseCommand):
    """`python manage.py run_gateway`"""

    help = __doc__

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--once."""
        parser.add_argument("--once", action="store_true")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        """Run; the exit status is the first part's that ended, 0 after Ctrl-C."""
        try:
            sys.exit(self.play_once() if once else self.run())
        except KeyboardInterrupt:  # before the parts were started: nothing is running
            sys.exit(0)

    def run(self) -> int:
        """On the configured ports, until Ctrl-C."""
        if problems := taken_ports():
            raise CommandError("\n".join(problems), returncode=2)
        call_command("migrate", verbosity=0)
        users = get_user_model().objects
        if not users.exists():
            users.create_superuser(ADMIN_USER, password=ADMIN_PASSWORD)
        return run_processes("gateway", "announce_gateway", {}, emulated=settings.RELAY_IS_EMULATED)

    def play_once(self) -> int:
        """On free ports, with a database that is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
            ports = dict(zip(PORT_SETTINGS, map(str, free_ports(len(PORT_SETTINGS))), strict=True))
            changes = {
                **ports,
                "DATABASE_URL": f"sqlite:///{Path(folder) / 'once.sqlite3'}",
                "DJANGO_SETTINGS_MODULE": "gateway_project.settings.local",
                "AZURE_RELAY_NAMESPACE": "",
                "LOG_FORMAT": "readable",
            }
            migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
            subprocess.run(migrate, check=True, env=environment_with(changes))  # noqa: S603
            return run_processes("main-job", "play_main_job", changes, emulated=True)
