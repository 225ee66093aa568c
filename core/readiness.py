"""Answer `/readyz`: can the gateway as a whole do its work?

It needs no login, so each check shows only whether and since when it fails.
"""

from functools import cache
from typing import Any

from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from core.database import UNAVAILABLE
from core.health import Check, process_checks

#: The keys of a check that anybody may read. A listener's reasons, for instance, name hosts and proxies.
PUBLIC_KEYS = ("ok", "state", "since", "error")


def check_migrations() -> dict[str, Any]:
    """Check that all migrations of this version have been applied."""
    try:
        applied = set(MigrationRecorder(connection).applied_migrations())
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the migrations cannot be read ({type(error).__name__})"}
    return {"ok": True} if _last_migrations() <= applied else {"ok": False, "error": "migrations are missing"}


@cache
def _last_migrations() -> frozenset[tuple[str, str]]:
    """Return (app, name) of each app's last migration: Django applies the others before it."""
    return frozenset(MigrationLoader(None).graph.leaf_nodes())


def readiness() -> dict[str, dict[str, Any]]:
    """Run all checks; skip the rest if the database does not answer, as each would wait for it again."""
    database, *others = process_checks().items()
    checks: list[tuple[str, Check]] = [database, ("migrations", check_migrations), *others]
    results: dict[str, dict[str, Any]] = {}
    for name, check in checks:
        if not results.get("database", {"ok": True})["ok"]:
            results[name] = {"ok": False, "error": "not checked, as the database does not answer"}
        else:
            results[name] = {key: value for key, value in check().items() if key in PUBLIC_KEYS}
    return results


@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Return each check, with status 200 if all are ok and 503 otherwise."""
    checks = readiness()
    is_ready = all(check["ok"] for check in checks.values())
    response = JsonResponse({"ready": is_ready, "checks": checks}, status=200 if is_ready else 503)
    response.headers["Cache-Control"] = "no-store"
    return response
