"""Runs a coroutine in a time of its own, which jumps to the next timer whenever nothing happens.

Real sockets work in it: it jumps only when none of them, and no thread, has had anything to say for a moment of real
time. Half an hour of waiting passes in a second.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

#: How long nothing must happen, in real seconds, before time jumps.
QUIET = 0.02


class _JumpingSelector(selectors.DefaultSelector):
    """Waits a moment instead of as long as it is told, and counts the rest as passed."""

    def __init__(self) -> None:
        super().__init__()
        self.jumped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready; time jumps by `timeout` where nothing is."""
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
        """Real time and all that was jumped over."""
        return super().time() + self._jumping.jumped


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """The result of a coroutine."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(coroutine)


def now() -> float:
    """The virtual time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()
