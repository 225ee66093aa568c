"""Word counts and moments, as pages, reports and commands show them."""

from datetime import datetime

from django.utils import timezone


def count_of(count: int, noun: str) -> str:
    """Return the count with its noun: `1 image`, `2 images`; of an AtLeast `7+ images`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def clock_time(at: datetime | None, now: datetime) -> str:
    """Return `10:42` for today, `23 Nov 10:42` for another day, in the clinic's time zone; "" for None."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    if local.date() == timezone.localtime(now).date():
        return f"{local:%H:%M}"
    return f"{local.day} {local:%b %H:%M}"
