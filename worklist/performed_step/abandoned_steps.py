"""Owns the round that looks, now and then, for steps that a modality has begun and never ended."""

import logging
import threading

from django.db import Error

from core.database import borrowed_connection
from worklist.performed_step.create_and_set import flag_abandoned

logger = logging.getLogger(__name__)

ROUND_SECONDS = 600.0


class AbandonedStepsCheck(threading.Thread):
    """One at the start and then every ten minutes, until `stopping`; a database that is away costs one of them."""

    def __init__(self, stopping: threading.Event) -> None:
        super().__init__(name="abandoned-steps", daemon=True)
        self._stopping = stopping

    def run(self) -> None:
        """Go round; a fault costs this round only."""
        while not self._stopping.is_set():
            try:
                self._go_round()
            except Error as error:
                logger.warning("abandoned steps not looked for", extra={"error": type(error).__name__})
            except Exception:  # the outermost edge of this thread: the next round may go well
                logger.exception("abandoned steps not looked for")
            self._stopping.wait(ROUND_SECONDS)

    def _go_round(self) -> None:
        with borrowed_connection():
            found = flag_abandoned()
            if found:
                logger.warning("steps without an end", extra={"found": found})
