"""Run a coroutine in virtual time, which jumps to the next timer whenever nothing happens.

Real sockets work: time jumps only after a moment of real time without activity on any socket or from any thread. Half
an hour of waiting passes in a second.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

#: How many real seconds without activity make time jump, and how many while a thread works for the loop.
QUIET, QUIET_WITH_THREADS = 0.02, 0.5


class _JumpingSelector(selectors.DefaultSelector):
    """Waits a moment instead of the whole timeout, and counts the rest as passed."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0
        self.threads = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; let time jump by `timeout` if nothing is."""
        quiet = QUIET_WITH_THREADS if self.threads else QUIET
        if timeout is None or timeout <= quiet:
            return super().select(timeout)
        ready = super().select(quiet)
        if not ready:
            self.jumped += timeout - quiet
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def run_in_executor(self, *args: Any) -> "asyncio.Future[Any]":  # type: ignore[override]
        """Run in a thread as usual, and let time jump later meanwhile: on a busy machine, a thread may start late."""

        def finished(_: object) -> None:
            self._jumping.threads -= 1

        self._jumping.threads += 1
        future = super().run_in_executor(*args)
        future.add_done_callback(finished)
        return future

    def time(self) -> float:
        """Return real time plus all jumps."""
        return super().time() + self._jumping.jumped


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine in virtual time and return its result."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(coroutine)


def now() -> float:
    """Return the virtual time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()
