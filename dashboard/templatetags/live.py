"""Owns what the live page's templates say in their own way: moments, icons, types of actions."""

from datetime import datetime

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard.severity import moment

register = template.Library()

#: Its size is the style sheet's; without that it is small.
ICON = (
    '<svg class="icon icon--{name}" width="24" height="24" aria-hidden="true" focusable="false">'
    '<use href="#icon-{name}"/></svg>'
)


@register.filter
def clock(at: datetime | None, now: datetime) -> str:
    """`10:42`, with the day where it is another one."""
    return moment(at, now)


@register.simple_tag
def icon(name: str) -> SafeString:
    """A shape that stands beside its word, so nobody has to be told of it twice."""
    return format_html(ICON, name=name)


@register.filter
def words(identifier: str) -> str:
    """`create item` of `worklist.create_item`."""
    return identifier.rpartition(".")[2].replace("_", " ")
