"""Look every ten minutes for steps that a modality has begun and never ended, and open an exception for each."""

import threading
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from core.contract import ItemStatus
from core.regular_check import RegularCheck
from worklist.models import MppsException, PerformedProcedureStep
from worklist.performed_step.linking import open_exception

#: A step without an end is an exception after this long.
ABANDONED_AFTER = timedelta(hours=24)
CHECK_SECONDS = 600.0


def abandoned_steps_check(stopping: threading.Event) -> RegularCheck:
    """Return the thread that flags abandoned steps until `stopping` is set."""
    return RegularCheck("abandoned steps", flag_abandoned, CHECK_SECONDS, stopping)


@transaction.atomic
def flag_abandoned() -> int:
    """Open an exception for each step that began more than ABANDONED_AFTER ago and has no end; return how many.

    The steps stay in progress, as the gateway cannot know how they ended.
    """
    begun = PerformedProcedureStep.objects.filter(
        status=ItemStatus.IN_PROGRESS, created_at__lt=timezone.now() - ABANDONED_AFTER
    )
    new = begun.exclude(exceptions__reason=MppsException.Reason.ABANDONED)
    steps = list(new.select_for_update(no_key=True, skip_locked=True))
    for step in steps:
        open_exception(step, MppsException.Reason.ABANDONED)
    return len(steps)
