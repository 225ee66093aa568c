"""Run all processes of the gateway on this machine under honcho, until one ends or somebody stops them: `make run`."""

import asyncio
import itertools
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
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from django.apps import apps
from django.conf import settings
from honcho.environ import parse_procfile
from honcho.manager import SIGNALS, Manager
from honcho.printer import Message, Printer

from core.database import borrowed_connection
from core.heartbeat import check_daemon
from dicom.scu import StorageScu
from nonprod.manage_emulator import echo_action, send_action
from nonprod.modality_emulator import ModalityEmulator, RequestFailed
from relay.hybrid_connection.failures import HybridConnectionError

#: The settings of the ports that processes listen on.
PORT_SETTINGS = ("RELAY_EMULATOR_PORT", "MWL_PORT", "IMAGE_PORT", "WEB_PORT")
READY_SECONDS = 40.0
#: Where free ports are looked for.
FIRST_PORT, PORTS = 11_200, 4_400


class NotReady(Exception):
    """A process does not answer; the text says which."""


def taken_ports() -> list[str]:
    """Return one message for each configured port that is taken."""
    ports = {name: int(getattr(settings, name)) for name in PORT_SETTINGS if name in listening_settings()}
    twice = [name for name, port in ports.items() if list(ports.values()).count(port) > 1]
    if twice:
        return [f"{' and '.join(twice)} are the same port: each process needs its own"]
    other = dict(zip(ports, free_ports(len(ports)), strict=True))
    return [
        f"Port {port} is taken. Choose another one: {name}={other[name]} make run"
        for name, port in ports.items()
        if not is_free(port)
    ]


def listening_settings() -> set[str]:
    """Return the port settings of the processes that run here: with a real relay, no emulator runs."""
    not_here = {"RELAY_EMULATOR_PORT"} if not settings.RELAY_IS_EMULATED else set()
    return set(PORT_SETTINGS) - not_here - ({"IMAGE_PORT"} if not images_are_on() else set())


def images_are_on() -> bool:
    return apps.is_installed("images")


def is_free(port: int) -> bool:
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> list[int]:
    """Return `count` different ports that are free now, and stay free until the processes listen on them.

    They are below those that the system gives to connections.
    """
    first = FIRST_PORT + os.getpid() % PORTS  # another gateway that starts at this moment begins elsewhere
    return list(itertools.islice(filter(is_free, range(first, first + PORTS)), count))


class ProcessManager(Manager):  # type: ignore[misc]
    """Honcho's manager, but a signal may arrive during the start.

    honcho (2.0) has no process id to signal at that moment: it would fail and leave the processes running.
    """

    def terminate(self) -> None:
        if self._all_started():
            super().terminate()
        else:
            threading.Timer(0.1, self.terminate).start()


class LogFilePrinter(Printer):  # type: ignore[misc]
    """Prints the lines of one process as they are, and writes those of all others to a log file, prefixed."""

    def __init__(self, shown: str, log: TextIO) -> None:
        super().__init__(output=log, colour=False)
        self._shown = shown

    def write(self, message: Message) -> None:
        if message.name == self._shown:
            line = message.data.decode(errors="replace") if isinstance(message.data, bytes) else message.data
            print(line, end="", flush=True)  # noqa: T201 - what the process printed
        super().write(message)


def run_processes(
    last_name: str, last_command: str, changes: Mapping[str, str], *, emulated: bool, printer: Printer | None = None
) -> int:
    """Run the Procfile and one more command; return the exit status of the first to end, 0 if a signal ended them.

    `changes` are added to the environment of every process. The relay emulator runs if the relay is `emulated`,
    and the two processes of images unless IMAGES is off.
    Every process has ended when this returns.
    """
    environment = environment_with(changes)
    manager = ProcessManager(printer)
    processes = dict(parse_procfile((settings.BASE_DIR / "Procfile").read_text(encoding="utf-8")).processes)
    if not emulated:
        del processes["relay-emulator"]
    if not images_are_on():
        del processes["image-scp"], processes["image-uploader"]
    # Honcho runs each command in a shell; with `exec`, a signal reaches the command. Windows has no `exec`.
    in_shell = "" if sys.platform == "win32" else "exec "
    for name, command in processes.items():
        manager.add_process(name, f"{in_shell}{command}", env=environment)
    manager.add_process(last_name, f"{in_shell}python manage.py {last_command}", env=environment)
    with own_terminal():
        manager.loop()
    stopped_by_us = {SIGNALS[number]["rc"] for number in (signal.SIGINT, signal.SIGTERM)}
    return 0 if manager.returncode in stopped_by_us else int(manager.returncode or 0)


@contextmanager
def own_terminal() -> Iterator[None]:
    """Take the terminal, so that Ctrl-C reaches this process and not `make` above it, which would report a failure."""
    if sys.platform == "win32":  # has no process groups of a terminal
        yield
        return
    try:
        terminal = sys.stdin.fileno()
        before = os.tcgetpgrp(terminal)
    except (OSError, ValueError):  # no terminal, or not ours
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
    """Return this process's environment for a child, with this virtual environment's python first, and `changes`."""
    mine = dict(os.environ)  # noqa: TID251 - passed on, not read
    path = f"{Path(sys.executable).parent}{os.pathsep}{mine.get('PATH', '')}"
    return {**mine, "PATH": path, "PYTHONUNBUFFERED": "1", **changes}


def wait_until_ready(stopping: threading.Event) -> None:
    """Wait until every process answers, or until `stopping` is set; raise NotReady if one does not answer in time."""
    deadline = time.monotonic() + READY_SECONDS
    modality = local_modality()
    image_server = replace(modality, port=settings.IMAGE_PORT, called_ae_title=settings.IMAGE_AE_TITLE)
    of_images = {"image server": image_server.echo, "image uploader": lambda: _is_working("image_uploader")}
    checks: dict[str, Callable[[], bool | None]] = {
        "relay and listener": _relay_answers,
        "worklist": modality.echo,
        **(of_images if images_are_on() else {}),
        "web": _web_answers,
    }
    for name, check in checks.items():
        while not _answers(check) and not stopping.wait(0.2):
            if time.monotonic() > deadline:
                raise NotReady(f"{name} does not answer within {READY_SECONDS:g} s")


def _answers(check: Callable[[], bool | None]) -> bool:
    """Return whether the check passes: it neither raises nor returns False."""
    try:
        return check() is not False
    except (HybridConnectionError, RequestFailed, OSError):
        return False


def _relay_answers() -> bool:
    """An echo through the relay; with a real relay, whose key may have no Send right, the listener's heartbeat."""
    if not settings.RELAY_IS_EMULATED:
        return _is_working("relay_listener")
    return bool(json.loads(asyncio.run(send_action(echo_action(), patience=5.0)))["status"] == "echo")


def local_modality() -> ModalityEmulator:
    """Return a modality that queries the worklist on this machine."""
    return ModalityEmulator("127.0.0.1", settings.MWL_PORT, settings.MWL_AE_TITLE)


def local_image_server(ae_title: str) -> StorageScu:
    """Return what sends images of a modality to the image server on this machine."""
    return StorageScu("127.0.0.1", settings.IMAGE_PORT, settings.IMAGE_AE_TITLE, ae_title)


def _is_working(role: str) -> bool:
    """Return whether a daemon's heartbeat says that it does its work."""
    with borrowed_connection():
        return bool(check_daemon(role)["ok"])


def _web_answers() -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{settings.WEB_PORT}/healthz", timeout=5) as response:
        return bool(response.status == 200)
