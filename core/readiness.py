"""Owns whether the gateway as a whole can do its work, as a monitor asks it over HTTP: `/readyz`.

Nobody logs in for it, so it says which part fails, since when, and nothing else.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from core import health
from core.database import UNAVAILABLE

Check = dict[str, Any]

#: What of a check may be told to anybody; a listener's reasons name hosts and proxies.
TOLD = ("ok", "state", "since", "error")
NOT_ASKED: Check = {"ok": False, "error": "not asked, as the database does not answer"}


def check_migrations() -> Check:
    """Whether the database is as this version wants it."""
    try:
        applied = set(MigrationRecorder(connection).applied_migrations())
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the migrations cannot be read ({type(error).__name__})"}
    if _last_migrations() <= applied:
        return {"ok": True}
    return {"ok": False, "error": "migrations are missing"}


@cache
def _last_migrations() -> frozenset[tuple[str, str]]:
    """App and name of each app's last one: the others are applied before it."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


#: Asked in this order; without a database each of the others would wait for it once more.
DATABASE = "database"
CHECKS: dict[str, Callable[[], Check]] = {
    DATABASE: health.CHECKS[DATABASE],
    "migrations": check_migrations,
    "relay_listener": health.CHECKS["relay_listener"],
    "mwl_scp": health.CHECKS["mwl_scp"],
}


def readiness() -> dict[str, Check]:
    """Every check's result."""
    results: dict[str, Check] = {}
    for name, check in CHECKS.items():
        away = name != DATABASE and not results[DATABASE]["ok"]
        result = NOT_ASKED if away else check()
        results[name] = {key: result[key] for key in TOLD if key in result}
    return results


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """200 when everything is well, and 503 otherwise; with each check."""
    checks = readiness()
    is_ready = all(check["ok"] for check in checks.values())
    response = JsonResponse({"ready": is_ready, "checks": checks}, status=200 if is_ready else 503)
    response.headers["Cache-Control"] = "no-store"
    return response
