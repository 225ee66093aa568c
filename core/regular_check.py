"""Run a check at regular intervals, in a thread of a daemon."""

import logging
import threading
from collections.abc import Callable

from django.db import Error

from core.database import borrowed_connection

logger = logging.getLogger(__name__)


class RegularCheck(threading.Thread):
    """Check at the start and then every `seconds`, until `stopping` is set. A failed check is only logged.

    `check` deals with what it finds, and returns how many it found; `what` names them in the log.
    """

    def __init__(self, what: str, check: Callable[[], int], seconds: float, stopping: threading.Event) -> None:
        super().__init__(name=what.replace(" ", "-"), daemon=True)
        self.what = what
        self.seconds = seconds
        self._check = check
        self._stopping = stopping

    def run(self) -> None:
        """Check until the thread is stopped."""
        while not self._stopping.is_set():
            try:
                with borrowed_connection():
                    found = self._check()
                if found:
                    logger.info("check found cases", extra={"check": self.what, "found": found})
            except Error as error:
                logger.warning("check failed", extra={"check": self.what, "error": type(error).__name__})
            except Exception:  # the outermost edge of this thread: the next check may succeed
                logger.exception("check failed", extra={"check": self.what})
            self._stopping.wait(self.seconds)
