"""Show that the daemons are alive: each writes a heartbeat row every few seconds, and others judge it by that row.

A daemon is a process that runs until it is stopped, such as the relay listener. Each app registers its daemons in
`AppConfig.ready`; the health reply, `/readyz` and `check_health` derive their checks from the registered ones. A row
holds the daemon's state; a daemon does its work only in its working states. A row older than STALE_AFTER belongs to a
process that was killed or hangs, so its state no longer counts.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone

from core.database import borrowed_connection
from core.instance import instance_name
from core.models import Heartbeat

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5
#: A daemon without a heartbeat for this long is taken for dead.
STALE_AFTER = timedelta(seconds=30)
#: The row of a killed process is kept this long, for people to look at.
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True)
class Daemon:
    """A kind of daemon. `role` names it in heartbeats and checks; `command` is the management command that runs it."""

    role: str
    command: str
    working_states: frozenset[str]


#: Role → daemon.
DAEMONS: dict[str, Daemon] = {}


def register_daemon(daemon: Daemon) -> None:
    """Add a daemon to those that health, readiness and `check_health` look at."""
    DAEMONS[daemon.role] = daemon


def is_working(beat: Heartbeat) -> bool:
    """Tell whether a daemon is in one of its working states, however old the heartbeat is."""
    return beat.state in DAEMONS[beat.role].working_states


def check_daemon(role: str, host: str = "") -> dict[str, Any]:
    """Check that a process of this role works, on `host` only if given: its heartbeat is fresh and its state working.

    Of several processes one is enough. The result has `ok`, and either `error` or the daemon's details, `state` and
    `since` (ISO 8601, UTC).
    """
    on_host = Q(instance__startswith=f"{host}:") if host else Q()
    fresh = Heartbeat.objects.filter(on_host, role=role, beat_at__gte=timezone.now() - STALE_AFTER)
    try:
        beats = list(fresh.order_by("-beat_at"))
    except DatabaseError as error:
        return {"ok": False, "error": f"no heartbeat can be read ({type(error).__name__})"}
    if not beats:
        return {"ok": False, "error": f"no sign of life for {STALE_AFTER.seconds} s: is the process running?"}
    beat = next(filter(is_working, beats), beats[0])
    since = beat.state_since.isoformat(timespec="seconds")
    return {**beat.details, "ok": is_working(beat), "state": beat.state, "since": since}


class HeartbeatWriter:
    """Writes one daemon's heartbeat from a thread of its own, every BEAT_SECONDS and when the state changes.

    While the database is unavailable, heartbeats are lost; the daemon goes on. With `watchdog`, the heartbeat stops
    unless the daemon's main loop calls `keep_alive`: a daemon whose loop hangs must not look alive because this thread
    is.
    """

    def __init__(
        self, role: str, state: str, *, watchdog: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.role = role
        self.state = state
        self.details: dict[str, Any] = {}
        self.started_at = self.state_since = timezone.now()
        self._watchdog = watchdog
        self._clock = clock
        self._kept_alive_at = clock()
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"{role}-heartbeat", daemon=True)

    def start(self) -> "HeartbeatWriter":
        """Start the thread, and return self."""
        self._thread.start()
        return self

    def set_state(self, state: str, **details: Any) -> None:
        """Set what the daemon does now; `details` must be JSON without personal data.

        A new state is written immediately, new details of the same state with the next heartbeat.
        """
        self.details = details
        if state != self.state:
            self.state, self.state_since = state, timezone.now()
            self._wake.set()

    def keep_alive(self) -> None:
        """Reset the watchdog: the daemon's main loop is running."""
        self._kept_alive_at = self._clock()

    def stop(self, patience: float = 2 * BEAT_SECONDS) -> None:
        """Delete the row and end the thread, waiting at most `patience` seconds for it."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=patience)

    def _run(self) -> None:
        while True:
            self._wake.clear()
            with borrowed_connection():
                if self._stopping:
                    self._write(ending=True)
                    return
                self.beat()
            self._wake.wait(BEAT_SECONDS)

    def beat(self) -> None:
        """Write the row, unless the watchdog has expired."""
        if self._watchdog and self._clock() - self._kept_alive_at > STALE_AFTER.total_seconds() / 2:
            return
        self._write(ending=False)

    def _write(self, ending: bool) -> None:
        own = Q(instance=instance_name())
        forgotten = Q(beat_at__lt=timezone.now() - FORGOTTEN_AFTER)
        try:
            Heartbeat.objects.filter(own | forgotten if ending else forgotten, role=self.role).delete()
            if ending:
                return
            Heartbeat.objects.update_or_create(
                role=self.role,
                instance=instance_name(),
                defaults={
                    "state": self.state,
                    "state_since": self.state_since,
                    "started_at": self.started_at,
                    "beat_at": timezone.now(),
                    "details": self.details,
                },
            )
        except DatabaseError as error:
            logger.warning("heartbeat not written", extra={"role": self.role, "error": type(error).__name__})
