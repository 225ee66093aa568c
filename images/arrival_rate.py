"""Limit how many images one address may send in a second, so that a machine gone wild cannot fill the tables."""

import threading
import time
from collections.abc import Callable

#: So many seconds' worth of images may come at once: those of a woman, or of a morning that are sent again.
BURST_SECONDS = 10.0


class TooManyImages(Exception):
    """The address has sent more images than it may; later it may go on. The text is the ErrorComment."""


class ArrivalRate:
    """Lets each address send `per_second` images a second on average, and BURST_SECONDS' worth of them at once."""

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = 1 / per_second
        self._clock = clock
        self._lock = threading.Lock()
        #: Until when what an address has sent would last at the rate that it may keep up.
        self._lasts_until: dict[str, float] = {}

    def count(self, address: str) -> None:
        """Count an image of this address; raise TooManyImages if it is one too many, which does not count."""
        with self._lock:
            now = self._clock()
            self._lasts_until = {each: until for each, until in self._lasts_until.items() if until > now}
            until = self._lasts_until.get(address, now) + self._interval
            if until > now + BURST_SECONDS + self._interval / 2:
                raise TooManyImages("Too many images from this address, try again")
            self._lasts_until[address] = until
