"""Says whether one part of the gateway is healthy: exit 0, or exit 1 with the reason. The image's HEALTHCHECK.

It asks for this host's own process only, so that one container's health does not hide another's. What a person must see
to is told, too, but no reason to restart anything.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from core.health import alarms, check_database, check_role, host_name

#: Command → the role of the process that runs it.
ROLES = {"run_relay_listener": "relay_listener", "run_mwl_scp": "mwl_scp", "run_web": "web"}
WEB_SECONDS = 5.0
#: These answer without the database, and are asked without it.
WITHOUT_DATABASE = {"web"}


class Command(BaseCommand):
    """`python manage.py check_health [ROLE]`"""

    help = __doc__
    requires_system_checks = ()  # the process that is asked for has passed them

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Whose health."""
        parser.add_argument("role", nargs="?", choices=CHECKS, help="Unless given, of what process 1 runs.")

    def handle(self, *args: Any, role: str | None, **options: Any) -> None:
        """Look once."""
        role = role or role_of(Path("/proc/1/cmdline").read_bytes())
        result = CHECKS[role]()
        if not result["ok"]:
            raise CommandError(f"{role}: {result.get('error') or _state(result)}")
        self.stdout.write(f"{role}: {result.get('state', 'ok')}")
        for alarm in alarms() if role not in WITHOUT_DATABASE else ():
            self.stdout.write(f"ALARM: {alarm}")


def _state(result: dict[str, Any]) -> str:
    """What a daemon that does not work said of itself last."""
    why = f": {result['why']}" if result.get("why") else ""
    return f"{result['state']} since {result['since']}{why}"


def role_of(command_line: bytes) -> str:
    """The role that a container was started for, from its first process; of a migration and the like: database."""
    words = command_line.decode(errors="replace").split("\0")
    return next((role for command, role in ROLES.items() if command in words), "database")


def check_web() -> dict[str, Any]:
    """Whether the web server of this host answers, called by a name that it is allowed to have."""
    connection = HTTPConnection("127.0.0.1", settings.WEB_PORT, timeout=WEB_SECONDS)
    try:
        connection.request("GET", "/healthz", headers={"Host": settings.ALLOWED_HOSTS[0].lstrip(".*") or "localhost"})
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return {"ok": False, "error": f"no answer on port {settings.WEB_PORT} ({type(error).__name__})"}
    finally:
        connection.close()
    return {"ok": status == 200, "error": f"port {settings.WEB_PORT} answers with {status}"}


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "relay_listener": partial(check_role, "relay_listener", host=host_name()),
    "mwl_scp": partial(check_role, "mwl_scp", host=host_name()),
    "web": check_web,
    "database": check_database,
}
