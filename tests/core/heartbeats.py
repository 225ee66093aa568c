"""Heartbeats for tests."""

from datetime import timedelta
from typing import Any

from django.utils import timezone

from core.heartbeat import DAEMONS
from core.instance import host_name
from core.models import Heartbeat


def beat(role: str, state: str, seconds_ago: float = 0, host: str = "", process: int = 1, **details: Any) -> Heartbeat:
    """Create a heartbeat of a process, on this host unless another is named."""
    then = timezone.now() - timedelta(seconds=seconds_ago)
    times = {"state_since": then, "started_at": then, "beat_at": then}
    instance = f"{host or host_name()}:{process}"
    return Heartbeat.objects.create(role=role, state=state, instance=instance, details=details, **times)


def beat_all() -> None:
    """Create a heartbeat of each daemon, at work."""
    for daemon in DAEMONS.values():
        beat(daemon.role, max(daemon.working_states))
