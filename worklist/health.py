"""Owns what the worklist adds to the gateway's health: women not shown, and women mixed up."""

from typing import Any

from core.database import UNAVAILABLE
from worklist.models import ItemAlarm, MppsException


def check_items() -> dict[str, Any]:
    """The alarms about items that are still open, and those about a wrong patient.

    The gateway works with them, too, and no restart cures them: they do not make it unhealthy.
    """
    try:
        return {
            "ok": True,
            "alarms": ItemAlarm.objects.of_open_items().count(),
            "wrong_patient_alarms": MppsException.objects.alarms().count(),
        }
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the alarms cannot be read ({type(error).__name__})"}


def wrong_patients() -> str:
    """What a person must be told, if there is such an alarm."""
    try:
        count = MppsException.objects.alarms().count()
    except UNAVAILABLE:
        return ""  # whoever asks hears from the checks themselves that the database is away
    alarms = "alarm" if count == 1 else "alarms"
    return f"{count} wrong patient {alarms}: see MPPS exceptions in the admin" if count else ""
