"""Owns what the server knows of the modalities: their policies, read from the database now and then."""

import logging
import threading
import time

from core.database import UNAVAILABLE, borrowed_connection
from worklist.models import Modality
from worklist.policies import UNKNOWN, Policy

logger = logging.getLogger(__name__)

#: A change in the admin is in force after this long. Seconds.
FRESH_SECONDS = 2.0


class Directory:
    """AE title → policy. While the database is away, what was known last holds."""

    def __init__(self) -> None:
        self._policies: dict[str, Policy] = {}
        self._read_at = float("-inf")
        self._lock = threading.Lock()

    def policy_for(self, ae_title: str) -> Policy:
        """How this calling AE title is treated."""
        with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                self._read()
            return self._policies.get(ae_title, UNKNOWN)

    def _read(self) -> None:
        try:
            with borrowed_connection():
                self._policies = {modality.ae_title: modality.policy for modality in Modality.objects.all()}
        except UNAVAILABLE as error:
            logger.warning("modalities not read", extra={"error": type(error).__name__})
        self._read_at = time.monotonic()
