"""Write moments in the clinic's time zone, as pages and commands show them."""

from datetime import datetime

from django.utils import timezone


def clock_time(at: datetime | None, now: datetime) -> str:
    """Return `10:42` for today, `23 Nov 10:42` for another day, and "" for None."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    if local.date() == timezone.localtime(now).date():
        return f"{local:%H:%M}"
    return f"{local.day} {local:%b %H:%M}"
