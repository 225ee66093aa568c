"""Owns what the admin's landing page asks for."""

from typing import Any

from django import template
from django.utils import timezone

from dashboard.admin_index import concerns

register = template.Library()


@register.inclusion_tag("admin/dashboard/attention.html", takes_context=True)
def needs_attention(context: template.Context) -> dict[str, Any]:
    """What needs attention, as far as this user may see it."""
    user, now = context["request"].user, timezone.now()
    return {"concerns": concerns(user, now), "at": timezone.localtime(now), "perms": context["perms"]}
