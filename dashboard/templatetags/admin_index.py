"""List on the admin index what needs attention."""

from typing import Any

from django import template
from django.utils import timezone

from core.concerns import Concern, Occurrence, open_concerns
from core.wording import clock_time

register = template.Library()


@register.inclusion_tag("admin/dashboard/attention.html", takes_context=True)
def needs_attention(context: template.Context) -> dict[str, Any]:
    """List the open concerns that this user may see, each with its latest occurrences."""
    user, now = context["request"].user, timezone.now()
    permitted = [concern for concern in open_concerns(now) if user.has_perm(concern.permission)]

    def line(concern: Concern, each: Occurrence) -> dict[str, str]:
        sees_numbers = user.has_perm("worklist.view_worklistitem")
        words = each.words if sees_numbers else each.words_without_number or each.words
        at = f", {clock_time(each.at, now)}" if each.at else ""
        return {
            "words": f"{words}{at}",
            "link": each.link if user.has_perm(each.permission or concern.permission) else "",
        }

    return {
        "concerns": [(concern, [line(concern, each) for each in concern.latest]) for concern in permitted],
        "at": timezone.localtime(now),
        "perms": context["perms"],
    }
