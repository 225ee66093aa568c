"""Check one part of the gateway, for the container's HEALTHCHECK: exit with 0, or with 1 and the reason.

Only this host's own process counts, so that one container's health does not hide another's. Open problems are
printed, too, but do not change the exit status: a restart does not solve them.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from core.concerns import Severity, open_concerns
from core.database import UNAVAILABLE
from core.health import check_database
from core.heartbeat import DAEMONS, check_daemon
from core.instance import host_name

WEB_SECONDS = 5.0
#: The command line of the container's first process. Outside Linux there is none.
PROCESS_1 = Path("/proc/1/cmdline")


class Command(BaseCommand):
    """`python manage.py check_health [ROLE]`"""

    help = __doc__
    requires_system_checks = ()  # the process to check has passed them

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("role", nargs="?", choices=checks(), help="Default: the role of process 1, in a container.")

    def handle(self, *args: Any, role: str | None, **options: Any) -> None:
        if role is None and not PROCESS_1.exists():
            raise CommandError(f"name what to check: {', '.join(checks())}")
        role = role or role_of(PROCESS_1.read_bytes())
        result = checks()[role]()
        if not result["ok"]:
            reason = result.get("error")
            if not reason:  # a daemon that is alive, but not in a working state
                why = f": {result['why']}" if result.get("why") else ""
                reason = f"{result['state']} since {result['since']}{why}"
            raise CommandError(f"{role}: {reason}")
        self.stdout.write(f"{role}: {result.get('state', 'ok')}")
        if role == "web":  # it answers without the database, and is checked without it
            return
        try:
            concerns = open_concerns(timezone.now())
        except UNAVAILABLE:
            return
        for concern in concerns:
            if concern.severity is Severity.PROBLEM:
                self.stdout.write(f"ALARM: {concern.title} ({concern.count}). {concern.what_to_do}")


def checks() -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the check of each role on this host."""
    daemons = {role: partial(check_daemon, role, host=host_name()) for role in DAEMONS}
    return {**daemons, "web": check_web, "database": check_database}


def role_of(command_line: bytes) -> str:
    """Return the role of a container by its first process; `database` for a migration and the like."""
    words = command_line.decode(errors="replace").split("\0")
    commands = {"run_web": "web", **{daemon.command: role for role, daemon in DAEMONS.items()}}
    return next((role for command, role in commands.items() if command in words), "database")


def check_web() -> dict[str, Any]:
    """Check that this host's web server answers, called by one of its ALLOWED_HOSTS."""
    connection = HTTPConnection("127.0.0.1", settings.WEB_PORT, timeout=WEB_SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"Host": settings.ALLOWED_HOSTS[0].lstrip(".*") or "localhost"})
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return {"ok": False, "error": f"no answer on port {settings.WEB_PORT} ({type(error).__name__})"}
    finally:
        connection.close()
    return {"ok": status == 200, "error": f"port {settings.WEB_PORT} answers with {status}"}
