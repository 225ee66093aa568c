"""Look every ten minutes for steps that a modality has begun and never ended, and open an exception for each."""

import logging
import threading
from datetime import timedelta

from django.db import Error, transaction
from django.utils import timezone

from core.contract import ItemStatus
from core.database import borrowed_connection
from worklist.models import MppsException, PerformedProcedureStep
from worklist.performed_step.linking import open_exception

logger = logging.getLogger(__name__)

#: A step without an end is an exception after this long.
ABANDONED_AFTER = timedelta(hours=24)
CHECK_SECONDS = 600.0


class AbandonedStepsCheck(threading.Thread):
    """Check at the start and then every ten minutes, until `stopping` is set. A failed check is only logged."""

    def __init__(self, stopping: threading.Event) -> None:
        super().__init__(name="abandoned-steps", daemon=True)
        self._stopping = stopping

    def run(self) -> None:
        """Check until the thread is stopped."""
        while not self._stopping.is_set():
            try:
                with borrowed_connection():
                    found = flag_abandoned()
                if found:
                    logger.warning("abandoned steps found", extra={"found": found})
            except Error as error:
                logger.warning("abandoned steps not checked", extra={"error": type(error).__name__})
            except Exception:  # the outermost edge of this thread: the next check may succeed
                logger.exception("abandoned steps not checked")
            self._stopping.wait(CHECK_SECONDS)


@transaction.atomic
def flag_abandoned() -> int:
    """Open an exception for each step that began more than ABANDONED_AFTER ago and has no end; return the new ones.

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
