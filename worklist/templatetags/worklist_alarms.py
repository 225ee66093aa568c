"""Owns the alarm that stands on the worklist's pages until somebody has dealt with it: a wrong patient."""

from typing import Any

from django import template

from worklist.models import MppsException

register = template.Library()


@register.inclusion_tag("admin/worklist/alarms.html", takes_context=True)
def wrong_patient_alarms(context: template.Context) -> dict[str, Any]:
    """How many are open, for those who may see exceptions."""
    may_see = context["request"].user.has_perm("worklist.view_mppsexception")
    return {"alarms": MppsException.objects.alarms().count() if may_see else 0}
