"""Stop a daemon by signals, in threads and in asyncio, and end its process. Works on POSIX and on Windows."""

import _thread
import asyncio
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import NoReturn

from core import tracing

#: The signals that stop a daemon. Windows has SIGBREAK as well: Ctrl-Break, a closed console, a shutdown.
SIGNALS = [signal.SIGTERM, signal.SIGINT]
if sys.platform == "win32":
    SIGNALS.append(signal.SIGBREAK)
#: How long Windows may take to notice a signal: Python runs no handler there while the main thread waits for a lock.
NOTICE_SECONDS = 0.5


@dataclass(frozen=True)
class Signals:
    """SIGNALS as events: the first sets `stopping` (finish the work in hand), the next `aborting`."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    aborting: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of_loop(cls, reload: Callable[[], None] = lambda: None) -> "Signals":
        """Handle this process's signals in the running loop; SIGHUP, which Windows lacks, calls `reload`."""
        signals = cls()
        for number in SIGNALS:
            _call_in_loop(number, signals.receive)
        if hasattr(signal, "SIGHUP"):
            _call_in_loop(signal.SIGHUP, reload)
        return signals

    def receive(self) -> None:
        """Handle one of SIGNALS."""
        (self.aborting if self.stopping.is_set() else self.stopping).set()


def _call_in_loop(number: int, callback: Callable[[], None]) -> None:
    """Have the running loop call `callback` at each signal; on Windows, loops have no add_signal_handler."""
    loop = asyncio.get_running_loop()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(callback)  # wakes the loop, which `call_soon` would not

    try:
        loop.add_signal_handler(number, callback)
    except NotImplementedError:
        signal.signal(number, handle)


def exit_process() -> NoReturn:
    """End this process immediately with status 0, after sending its last traces and log lines.

    A thread that hangs (in a DNS lookup, in a locked database) would keep Python from exiting. Ending here is like a
    power cut: what was committed is done, and a resend gets its reply; anything else was not done at all.
    """
    tracing.flush()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


class _StopEvent(threading.Event):
    """An event that is waited for in short steps, between which a signal's handler can run on Windows."""

    def wait(self, timeout: float | None = None) -> bool:
        deadline = time.monotonic() + (threading.TIMEOUT_MAX if timeout is None else timeout)
        while not super().wait(max(0.0, min(NOTICE_SECONDS, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                return False
        return True


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Yield an event that SIGNALS set while the block runs. Call it in the main thread.

    Another thread sets the event: the signal may arrive while the main thread holds the event's lock, on its way into
    or out of `wait`, and setting the event there would deadlock.
    """
    stopping = _StopEvent()
    before = {
        number: signal.signal(number, lambda *_: _thread.start_new_thread(stopping.set, ())) for number in SIGNALS
    }
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
