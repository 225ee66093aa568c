"""Answer Manage's `health` probe: is the gateway healthy, and what needs a person's attention?

The gateway is healthy when every check is ok and no concern of severity PROBLEM is open: the rule by which the live
page turns red and `status` exits with 1. The checks are the database, each registered daemon, and what the apps
register in their `AppConfig.ready`. `/readyz` and the container's HEALTHCHECK ask only whether the processes work,
as no restart mends a concern.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.db import connection
from django.utils import timezone

from core.concerns import is_healthy, open_concerns
from core.contract import GatewayAction, Reply
from core.database import UNAVAILABLE
from core.heartbeat import DAEMONS, check_daemon
from core.instance import version

#: Returns `ok`, and what else there is to say: `error` if it is not ok.
Check = Callable[[], dict[str, Any]]

_registered: dict[str, Check] = {}
_started = time.monotonic()


def register_check(name: str, check: Check) -> None:
    """Add a check of an app to the health reply, under this name."""
    _registered[name] = check


def check_database() -> dict[str, Any]:
    """Check that the database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the database does not answer ({type(error).__name__})"}
    return {"ok": True}


def process_checks() -> dict[str, Check]:
    """Return the checks of the database and of each registered daemon, by name."""
    return {"database": check_database, **{role: partial(check_daemon, role) for role in DAEMONS}}


def health(action: GatewayAction) -> Reply:
    """Return the reply to the `health` probe. It names no patient and no accession number."""
    checks = {name: check() for name, check in {**process_checks(), **_registered}.items()}
    try:
        concerns = open_concerns(timezone.now()) if checks["database"]["ok"] else []
    except UNAVAILABLE as error:
        concerns = []
        checks["database"] = {"ok": False, "error": f"the concerns cannot be read ({type(error).__name__})"}
    return {
        "status": "ok",
        "action_id": action.action_id,
        "health": {
            "healthy": all(check["ok"] for check in checks.values()) and is_healthy(concerns),
            "version": version(),
            "listener_uptime_seconds": int(time.monotonic() - _started),
            "checks": checks,
            "concerns": [
                {
                    "concern": concern.key,
                    "severity": concern.severity,
                    "count": int(concern.count),
                    "title": concern.title,
                    "what_to_do": concern.what_to_do,
                }
                for concern in concerns
            ],
        },
    }
