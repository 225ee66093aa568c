"""Owns `make run`: all parts of the gateway on this machine, under honcho, until one ends or somebody ends them."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from honcho.environ import parse_procfile
from honcho.manager import SIGNALS, Manager

from core.database import borrowed_connection
from core.health import check_role
from nonprod.manage_emulator import echo_action, send_action
from nonprod.modality_emulator import Modality, NoAnswer
from relay.hybrid_connection.failures import HybridConnectionError

#: The ports of the parts that listen, by the setting that moves each.
PORT_SETTINGS = ("RELAY_EMULATOR_PORT", "MWL_PORT", "WEB_PORT")
READY_SECONDS = 40.0


class NotReady(Exception):
    """A part does not answer; the text says which."""


def taken_ports() -> list[str]:
    """A sentence for each configured port that cannot be had."""
    ports = {name: int(getattr(settings, name)) for name in PORT_SETTINGS if name in listening_settings()}
    twice = [name for name, port in ports.items() if list(ports.values()).count(port) > 1]
    if twice:
        return [f"{' and '.join(twice)} are the same port: each part needs its own"]
    other = dict(zip(ports, free_ports(len(ports)), strict=True))
    return [
        f"Port {port} is taken; set another one: {name}={other[name]} make run"
        for name, port in ports.items()
        if not _is_free(port)
    ]


def listening_settings() -> set[str]:
    """The port settings of the parts that run here: with a real relay there is no emulator."""
    return set(PORT_SETTINGS) - (set() if settings.RELAY_IS_EMULATED else {"RELAY_EMULATOR_PORT"})


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def free_ports(count: int) -> list[int]:
    """So many different ports that nothing has now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class _Parts(Manager):  # type: ignore[misc]
    """Honcho's manager, which a signal ends while it is still starting, too: honcho has no process id to end then,
    fails, and leaves the parts running."""

    def terminate(self) -> None:
        """End all parts, as soon as all have started."""
        if self._all_started():
            super().terminate()
        else:
            threading.Timer(0.1, self.terminate).start()


def run_processes(last_name: str, last_command: str, changes: Mapping[str, str], *, emulated: bool) -> int:
    """Run the Procfile and one command more; the exit status of whichever ended first, 0 when a signal ended them.

    `changes` go into the environment of all of them; the relay emulator is one of them if the relay is `emulated`.
    None is left when this returns.
    """
    environment = environment_with(changes)
    manager = _Parts()
    for name, command in _processes(emulated).items():
        manager.add_process(name, f"exec {command}", env=environment)
    manager.add_process(last_name, f"exec python manage.py {last_command}", env=environment)
    with own_terminal():
        manager.loop()
    stopped_by_us = {SIGNALS[number]["rc"] for number in (signal.SIGINT, signal.SIGTERM)}
    return 0 if manager.returncode in stopped_by_us else int(manager.returncode or 0)


@contextmanager
def own_terminal() -> Iterator[None]:
    """Ctrl-C reaches this process and not the `make` above it, which would otherwise fail however well we end."""
    try:
        terminal = sys.stdin.fileno()
        before = os.tcgetpgrp(terminal)
    except (OSError, ValueError):  # no terminal, or none of ours
        yield
        return
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, before)


def environment_with(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's environment for another one, with this virtual environment's python in front, and `changes`."""
    mine = dict(os.environ)  # noqa: TID251 - handed on, not read
    path = f"{Path(sys.executable).parent}{os.pathsep}{mine.get('PATH', '')}"
    return {**mine, "PATH": path, "PYTHONUNBUFFERED": "1", **changes}


def _processes(emulated: bool) -> dict[str, str]:
    processes = dict(parse_procfile((settings.BASE_DIR / "Procfile").read_text()).processes)
    if not emulated:
        del processes["relay-emulator"]
    return processes


def wait_until_ready(stopping: threading.Event) -> None:
    """Return when every part has answered, or when it is time to stop; NotReady says which part does not answer."""
    deadline = time.monotonic() + READY_SECONDS
    for name, answers in (
        ("relay and listener", _relay_answers),
        ("worklist", _worklist_answers),
        ("web", _web_answers),
    ):
        while not _quietly(answers) and not stopping.wait(0.2):
            if time.monotonic() > deadline:
                raise NotReady(f"no answer from: {name}")


def _quietly(answers: Callable[[], bool]) -> bool:
    try:
        return answers()
    except (HybridConnectionError, NoAnswer, OSError):
        return False


def _relay_answers() -> bool:
    """An echo there and back; at a real relay, where our key may listen only, the listener's word that it is online."""
    if not settings.RELAY_IS_EMULATED:
        with borrowed_connection():
            return bool(check_role("relay_listener")["ok"])
    return bool(json.loads(asyncio.run(send_action(echo_action(), patience=5.0)))["status"] == "echo")


def local_modality() -> Modality:
    """A modality that asks this machine's worklist."""
    return Modality("127.0.0.1", settings.MWL_PORT, settings.MWL_AE_TITLE)


def _worklist_answers() -> bool:
    local_modality().echo()
    return True


def _web_answers() -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{settings.WEB_PORT}/healthz", timeout=5) as response:
        return bool(response.status == 200)
