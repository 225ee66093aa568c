"""Owns how a daemon says that it lives, and what the gateway says of its own health."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q
from django.utils import timezone

from core.contract import GatewayAction, Reply
from core.database import UNAVAILABLE, borrowed_connection
from core.models import Heartbeat

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5
#: A daemon that has not said anything for this long is taken for dead.
STALE_AFTER = timedelta(seconds=30)
#: The rows of processes that were killed are looked at by people for this long.
FORGOTTEN_AFTER = timedelta(days=1)
#: Role → the states in which it does its work.
WORKING_STATES = {"relay_listener": {"online"}, "mwl_scp": {"listening"}}

_started = time.monotonic()


@cache
def version() -> str:
    """The gateway's version: pyproject.toml's."""
    for line in (Path(settings.BASE_DIR) / "pyproject.toml").read_text().splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    return "unknown"


def host_name() -> str:
    """This machine's name, or this container's, as an instance's name begins."""
    return socket.gethostname()[:80]


def instance_name() -> str:
    """`host:process id` of this process."""
    return f"{host_name()}:{os.getpid()}"


class Pulse:
    """Writes one daemon's heartbeat row every few seconds, and at once when its state changes, from its own thread.

    A database that is away costs beats, never the daemon. One that must be fed stops when nobody feeds it any more: a
    daemon whose own loop hangs must not look alive because this thread is.
    """

    def __init__(
        self, role: str, state: str, *, must_be_fed: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.role = role
        self.state = state
        self.must_be_fed = must_be_fed
        self._clock = clock
        self._fed_at = clock()
        self.details: dict[str, Any] = {}
        self.started_at = self.state_since = timezone.now()
        self._woken = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._beat_until_stopped, name=f"{role}-pulse", daemon=True)

    def start(self) -> "Pulse":
        """Begin to beat."""
        self._thread.start()
        return self

    def set_state(self, state: str, **details: Any) -> None:
        """Say what the daemon does now; `details` must be JSON and hold no personal data.

        A new state is written at once, new details of the same state with the next beat.
        """
        self.details = details
        if state != self.state:
            self.state, self.state_since = state, timezone.now()
            self._woken.set()

    def feed(self) -> None:
        """Say that the daemon's own loop is running."""
        self._fed_at = self._clock()

    def stop(self, patience: float = 2 * BEAT_SECONDS) -> None:
        """End, waiting at most so many seconds for it; the row of a daemon that ends by itself goes."""
        self._stopping = True
        self._woken.set()
        self._thread.join(timeout=patience)

    @property
    def _starves(self) -> bool:
        return self.must_be_fed and self._clock() - self._fed_at > STALE_AFTER.total_seconds() / 2

    def _beat_until_stopped(self) -> None:
        while True:
            self._woken.clear()
            with borrowed_connection():
                if self._stopping:
                    self._write(ending=True)
                    return
                self.beat()
            self._woken.wait(BEAT_SECONDS)

    def beat(self) -> None:
        """Write the row, unless it is long since anybody fed this."""
        if not self._starves:
            self._write(ending=False)

    def _write(self, ending: bool) -> None:
        mine = Q(instance=instance_name())
        forgotten = Q(beat_at__lt=timezone.now() - FORGOTTEN_AFTER)
        try:
            Heartbeat.objects.filter(mine | forgotten if ending else forgotten, role=self.role).delete()
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


def check_database() -> dict[str, Any]:
    """Whether the database answers."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the database does not answer ({type(error).__name__})"}
    return {"ok": True}


def check_role(role: str, host: str = "") -> dict[str, Any]:
    """Whether a process of this role, on this host if one is named, has beaten lately and does its work."""
    mine = Q(instance__startswith=f"{host}:") if host else Q()
    try:
        latest = Heartbeat.objects.filter(mine, role=role, beat_at__gte=timezone.now() - STALE_AFTER).order_by(
            "-beat_at"
        )
        beats = list(latest)
    except DatabaseError as error:
        return {"ok": False, "error": f"no heartbeat can be read ({type(error).__name__})"}
    working = [beat for beat in beats if beat.state in WORKING_STATES[role]]
    if not beats:
        return {"ok": False, "error": f"no sign of life for {STALE_AFTER.seconds} s: is the process running?"}
    shown = (working or beats)[0]
    since = shown.state_since.isoformat(timespec="seconds")
    return {**shown.details, "ok": bool(working), "state": shown.state, "since": since}


CHECKS: dict[str, Callable[[], dict[str, Any]]] = {
    "database": check_database,
    "relay_listener": lambda: check_role("relay_listener"),
    "mwl_scp": lambda: check_role("mwl_scp"),
}

#: What a person must see to though the gateway works: each says so in a sentence, or nothing.
ALARMS: list[Callable[[], str]] = []


def alarms() -> list[str]:
    """What a person must see to now."""
    return [sentence for say in ALARMS if (sentence := say())]


def health(action: GatewayAction) -> Reply:
    """The reply to the `health` probe."""
    checks = {name: check() for name, check in CHECKS.items()}
    return {
        "status": "ok",
        "action_id": action.action_id,
        "health": {
            "healthy": all(check["ok"] for check in checks.values()),
            "version": version(),
            "listener_uptime_seconds": int(time.monotonic() - _started),
            "checks": checks,
        },
    }
