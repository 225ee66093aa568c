"""Owns how long to wait before the next try. Pure."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from .failures import Pace

Spread = Callable[[float, float], float]


@dataclass(frozen=True)
class ReconnectionPolicy:
    """Exponential with full jitter, so that a hundred gateways do not come back in the same second. It never gives up.

    All values are seconds. `forgiven_after` is how long a channel must have lived for the count to begin anew: one
    that dies right after it opened, by our own ping for instance, must not be reopened at once for ever. What only a
    person can mend is tried again every `slow` seconds at most, so that it heals when they have.
    """

    first: float = 1.0
    cap: float = 30.0
    slow: float = 60.0
    forgiven_after: float = 60.0
    spread: Spread = field(default=random.uniform, repr=False)

    def forgiven(self, failures: int, lived: float) -> int:
        """What is left of so many failures in a row after a channel that lived so long."""
        return 0 if lived >= self.forgiven_after else failures

    def delay(self, failures: int, pace: Pace) -> float:
        """Seconds to wait after so many failures in a row, the last of that pace."""
        if pace is Pace.AT_ONCE and failures <= 1:
            return 0.0
        if pace is Pace.SLOW:
            return self.spread(self.slow / 2, self.slow)
        return self.spread(0, min(self.cap, self.first * 2 ** min(failures - 1, 16)))
