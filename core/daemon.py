"""Stop a daemon by signals, in threads and in asyncio, and end its process."""

import _thread
import asyncio
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from core import tracing

SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Signals:
    """SIGTERM and SIGINT as events: the first sets `stopping` (finish the work in hand), the next `aborting`."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    aborting: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of_loop(cls, reload: Callable[[], None] = lambda: None) -> "Signals":
        """Handle this process's signals in the running loop; SIGHUP calls `reload`."""
        signals, loop = cls(), asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, signals.receive)
        loop.add_signal_handler(signal.SIGHUP, reload)
        return signals

    def receive(self) -> None:
        """Handle one SIGTERM or SIGINT."""
        (self.aborting if self.stopping.is_set() else self.stopping).set()


def exit_process() -> NoReturn:
    """End this process at once with status 0, after sending its last traces and log lines.

    A thread that hangs (in a DNS lookup, in a locked database) would keep Python from exiting. Ending here is like a
    power cut: what was committed is done, and a resend gets its reply; anything else was not done at all.
    """
    tracing.flush()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM and SIGINT set while the block runs. Call it in the main thread.

    Another thread sets the event: the signal may arrive while the main thread holds the event's lock, on its way into
    or out of `wait`, and setting the event there would deadlock.
    """
    stopping = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: _thread.start_new_thread(stopping.set, ())) for number in SIGNALS
    }
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
