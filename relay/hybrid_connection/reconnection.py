"""Calculate how long to wait before the next attempt to connect. Pure: no socket, no event loop."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from .failures import Pace


@dataclass(frozen=True)
class ReconnectionPolicy:
    """Exponential back-off with full jitter, for ever. All values are seconds.

    The jitter keeps a hundred gateways from returning in the same second. The delay doubles from `first` to `cap`; a
    failure that only a person can fix is retried after `slow / 2` to `slow`, so the connection recovers once they have.
    `reset_after` is how long a channel must live to reset the back-off: one that dies as soon as it is open, because of
    our own ping for example, must not be reopened at once for ever.
    """

    first: float = 1.0
    cap: float = 30.0
    slow: float = 60.0
    reset_after: float = 60.0
    #: Picks a delay between a shortest and a longest one.
    jitter: Callable[[float, float], float] = field(default=random.uniform, repr=False)

    def failures_after(self, failures: int, lived: float) -> int:
        """Return how many failures in a row still count after a channel that lived for `lived` seconds."""
        return 0 if lived >= self.reset_after else failures

    def delay(self, failures: int, pace: Pace) -> float:
        """Return the seconds to wait after `failures` in a row, the last of which asks for `pace`."""
        if pace is Pace.AT_ONCE and failures <= 1:
            return 0.0
        if pace is Pace.SLOW:
            return self.jitter(self.slow / 2, self.slow)
        return self.jitter(0, min(self.cap, self.first * 2 ** min(failures - 1, 16)))
