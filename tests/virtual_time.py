"""Run a coroutine in virtual time, which jumps to the next timer whenever nothing happens.

Real sockets work: time jumps only after a moment of real time without activity on any socket or from any thread. Half
an hour of waiting passes in a second.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

#: How many real seconds without activity make time jump.
QUIET = 0.02


class _JumpingSelector(selectors.DefaultSelector):
    """Waits a moment instead of the whole timeout, and counts the rest as passed."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return what is ready; let time jump by `timeout` if nothing is."""
        if timeout is None or timeout <= QUIET:
            return super().select(timeout)
        ready = super().select(QUIET)
        if not ready:
            self.jumped += timeout - QUIET
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

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
