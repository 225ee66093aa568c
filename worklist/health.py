"""Check for the health reply that no patient is missing from the worklist, and none is mixed up with another."""

from typing import Any

from django.utils import timezone

from core.database import UNAVAILABLE
from worklist.models import ItemAlarm, MppsException


def check_items() -> dict[str, Any]:
    """Check that no item of today or later fails to be shown and no wrong-patient alarm is open; count all alarms."""
    try:
        alarms = ItemAlarm.objects.of_open_items()
        current = alarms.filter(item__scheduled_date__gte=timezone.localdate()).exists()
        alarm_count = alarms.count()
        wrong_patient_alarms = MppsException.objects.alarms().count()
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the alarms cannot be read ({type(error).__name__})"}
    return {
        "ok": not current and not wrong_patient_alarms,
        "alarms": alarm_count,
        "wrong_patient_alarms": wrong_patient_alarms,
    }
