"""Owns what the server knows of the modalities: their policies, read from the database now and then."""

import logging
import threading
import time

from django.db import Error

from core.database import borrowed_connection
from worklist.models import Modality
from worklist.policies import UNKNOWN, Policy

logger = logging.getLogger(__name__)

#: A change in the admin is in force after this long. Seconds.
FRESH_SECONDS = 2.0
#: Nobody waits longer than this for a fresh answer, whatever the database does. Seconds.
PATIENCE_SECONDS = 0.5


class Directory:
    """AE title → policy. While the database is away or slow, what was known last holds."""

    def __init__(self, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._fresh_seconds = fresh_seconds
        self._policies: dict[str, Policy] | None = None
        self._read_at = float("-inf")
        self._reader: threading.Thread | None = None
        self._slow_reader: threading.Thread | None = None
        self._lock = threading.Lock()

    def policy_for(self, ae_title: str) -> Policy:
        """How this calling AE title is treated."""
        return (self._fresh() or {}).get(ae_title, UNKNOWN)

    def size(self) -> int | None:
        """How many modalities are configured; None while that could not be read yet."""
        policies = self._fresh()
        return None if policies is None else len(policies)

    def _fresh(self) -> dict[str, Policy] | None:
        """All policies, as they were at most so many seconds ago, if the database answers."""
        with self._lock:
            if self._reader is None and time.monotonic() - self._read_at > self._fresh_seconds:
                self._reader = threading.Thread(target=self._read, name="modalities-reader", daemon=True)
                self._reader.start()
            reader = self._reader
        if reader and reader is not self._slow_reader:  # one that was waited for in vain is not waited for again
            reader.join(PATIENCE_SECONDS)
            self._slow_reader = reader if reader.is_alive() else None
        return self._policies

    def _read(self) -> None:
        try:
            with borrowed_connection():
                self._policies = {modality.ae_title: modality.policy for modality in Modality.objects.all()}
        except Error as error:
            logger.warning("modalities not read", extra={"error": type(error).__name__})
        finally:
            with self._lock:
                self._read_at = time.monotonic()
                self._reader = None
