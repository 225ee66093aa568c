"""Owns how bad something is, and how moments are said on the clinic's clock. Pure, but for the time zone."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from django.utils import timezone


class Level(StrEnum):
    """How bad it is. Shown by a colour, by a shape and by its word."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"

    @property
    def word(self) -> str:
        """For those who see neither colour nor shape."""
        return WORDS[self]


WORDS = {Level.OK: "OK", Level.WARNING: "Warning", Level.PROBLEM: "Problem"}
_RANK = {level: rank for rank, level in enumerate(Level)}


def worst(levels: Iterable[Level]) -> Level:
    """The worst of them; OK without any."""
    return max(levels, key=lambda level: _RANK[level], default=Level.OK)


def moment(at: datetime | None, now: datetime) -> str:
    """`10:42` of today, `23 Nov 10:42` of another day; empty for never."""
    if at is None:
        return ""
    local = timezone.localtime(at)
    if local.date() == timezone.localtime(now).date():
        return f"{local:%H:%M}"
    return f"{local.day} {local:%b %H:%M}"
