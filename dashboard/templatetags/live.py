"""Format times, icons and action types in the live page's templates."""

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.wording import clock_time

register = template.Library()
register.filter("clock", clock_time)

#: The style sheet sets the size; the attributes keep the icon small without it.
ICON = (
    '<svg class="icon icon--{name}" width="24" height="24" aria-hidden="true" focusable="false">'
    '<use href="#icon-{name}"/></svg>'
)


@register.simple_tag
def icon(name: str) -> SafeString:
    """Draw a shape, hidden from screen readers: its word is always beside it."""
    return format_html(ICON, name=name)


@register.filter
def words(identifier: str) -> str:
    """Format `worklist.create_item` as `create item`."""
    return identifier.rpartition(".")[2].replace("_", " ")
