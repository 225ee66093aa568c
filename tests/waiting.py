"""Wait for what no event tells of: what another process, or a thread of the product, writes or does."""

import time
from collections.abc import Callable

from tests.processes import PATIENCE

#: A loop without a pause would take the processor from what is waited for.
PAUSE = 0.02


def eventually(holds: Callable[[], object]) -> None:
    """Return as soon as a condition holds; fail if it does not within PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"it did not come true within {PATIENCE:g} s"
        time.sleep(PAUSE)
