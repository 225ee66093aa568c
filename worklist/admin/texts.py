"""Owns how the worklist's pages write moments, links and lines."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.db.models import Model
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from core.admin import page_of


def moment(at: datetime) -> str:
    """On the clinic's clock."""
    return wall_clock(timezone.localtime(at))


def wall_clock(local: datetime) -> str:
    """A moment on a wall clock, with its day only where that is not today."""
    return clock(local) if local.date() == timezone.localdate() else date_format(local, "j M Y H:i")


def clock(local: datetime) -> str:
    """The time alone."""
    return f"{local:%H:%M}"


def lines(several: Iterable[str]) -> SafeString:
    """Each on a line of its own."""
    return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in several))


def link(record: Model, text: Any = "") -> SafeString:
    """A link to a record's page."""
    return format_html('<a href="{}">{}</a>', page_of(record), text or record)
