"""Show open wrong-patient alarms on every admin page of the worklist."""

from typing import Any

from django import template
from django.utils import timezone

from worklist.concerns import wrong_patient

register = template.Library()


@register.inclusion_tag("admin/worklist/alarms.html", takes_context=True)
def wrong_patient_alarms(context: template.Context) -> dict[str, Any]:
    """Show the wrong-patient concern to users with its permission, while it has cases."""
    user = context["request"].user
    found = [each for each in wrong_patient(timezone.now()) if each.count and user.has_perm(each.permission)]
    return {"concerns": found}
