"""Owns what the worklist adds to the gateway's health: how many women cannot be shown to any modality."""

from typing import Any

from core.database import UNAVAILABLE
from worklist.models import ItemAlarm


def check_items() -> dict[str, Any]:
    """The alarms about items that are still open. The gateway works with them, too: they do not make it unhealthy."""
    try:
        return {"ok": True, "alarms": ItemAlarm.objects.of_open_items().count()}
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the alarms cannot be read ({type(error).__name__})"}
