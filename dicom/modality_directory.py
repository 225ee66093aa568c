"""Keep the policies of the configured modalities at hand, re-read from the database every two seconds."""

import logging
import threading
import time

from django.db import Error

from core.database import LendConnection, borrowed_connection
from dicom.modality_policy import UNKNOWN, ModalityPolicy
from dicom.models import Modality

logger = logging.getLogger(__name__)

#: A change in the admin takes effect after this long. Seconds.
FRESH_SECONDS = 2.0
#: Nobody waits longer than this for a fresh answer, however slow the database. Seconds.
PATIENCE_SECONDS = 0.5
#: But longer for the first answer, as without one every request is refused.
FIRST_PATIENCE_SECONDS = 2.0


class ModalityDirectory:
    """AE title → policy. While the database is down or slow, the last known policies stay in force."""

    def __init__(self, fresh_seconds: float = FRESH_SECONDS, connection: LendConnection = borrowed_connection) -> None:
        self._fresh_seconds = fresh_seconds
        self._connection = connection
        self._policies: dict[str, ModalityPolicy] | None = None
        self._read_at = float("-inf")
        self._reader: threading.Thread | None = None
        self._slow_reader: threading.Thread | None = None
        self._lock = threading.Lock()

    def policy_for(self, ae_title: str) -> ModalityPolicy:
        """The policy for a calling AE title; UNKNOWN for one that is not configured."""
        return (self._fresh() or {}).get(ae_title, UNKNOWN)

    def count(self) -> int | None:
        """The number of configured modalities, without test machines; None as long as they have never been read."""
        policies = self._fresh()
        return None if policies is None else sum(not policy.is_test_machine for policy in policies.values())

    def _fresh(self) -> dict[str, ModalityPolicy] | None:
        with self._lock:
            if self._reader is None and time.monotonic() - self._read_at > self._fresh_seconds:
                self._reader = threading.Thread(target=self._read, name="modalities-reader", daemon=True)
                self._reader.start()
            reader = self._reader
        if reader and reader is not self._slow_reader:  # a read that has timed out once is not waited for again
            reader.join(PATIENCE_SECONDS if self._policies is not None else FIRST_PATIENCE_SECONDS)
            self._slow_reader = reader if reader.is_alive() else None
        return self._policies

    def _read(self) -> None:
        try:
            with self._connection():
                self._policies = {modality.ae_title: modality.policy for modality in Modality.objects.all()}
        except Error as error:
            logger.warning("modalities not read", extra={"error": type(error).__name__})
        finally:
            with self._lock:
                self._read_at = time.monotonic()
                self._reader = None
