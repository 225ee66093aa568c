"""Name this process: the gateway's version, the host and the instance."""

import os
import socket
from functools import cache
from pathlib import Path

from django.conf import settings


@cache
def version() -> str:
    """Return the gateway's version, from pyproject.toml."""
    for line in (Path(settings.BASE_DIR) / "pyproject.toml").read_text(encoding="utf-8").splitlines():
        if line.startswith("version = "):
            return line.split('"')[1]
    return "unknown"


def host_name() -> str:
    """Return the name of this machine or container, short enough to begin an instance name."""
    return socket.gethostname()[:80]


def instance_name() -> str:
    """Return this process's name in heartbeats and traces: `host:process id`."""
    return f"{host_name()}:{os.getpid()}"
