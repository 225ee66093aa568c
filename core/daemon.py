"""Owns how a daemon learns that it is to stop, in threads and in asyncio, and how it leaves."""

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
    """What SIGTERM and SIGINT have asked for: the first of them sets `stopping`, the next one `leaving`."""

    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    leaving: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of_loop(cls, reload: Callable[[], None] = lambda: None) -> "Signals":
        """Listen to the signals of this process, SIGHUP calling `reload`; to be called inside the running loop."""
        signals, loop = cls(), asyncio.get_running_loop()
        for number in SIGNALS:
            loop.add_signal_handler(number, signals.receive)
        loop.add_signal_handler(signal.SIGHUP, reload)
        return signals

    def receive(self) -> None:
        """One SIGTERM or SIGINT."""
        (self.leaving if self.stopping.is_set() else self.stopping).set()


def leave() -> NoReturn:
    """End this process now, with 0, its work being done.

    A thread that hangs (in a name that is looked up, in a locked database) would keep Python from ending. It ends as
    by a power cut: what it has committed is done, and a resend gets its reply; the rest is not done at all.
    """
    tracing.flush()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


@contextmanager
def stop_event() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set, as long as the block lasts; to be called in the main thread.

    It is set from a thread of its own: the signal may come while this one holds the event's lock, on its way into or
    out of `wait`, and would then wait for itself for ever.
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
