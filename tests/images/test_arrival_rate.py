"""How many images one address may send in a second."""

import pytest

from images.arrival_rate import BURST_SECONDS, ArrivalRate, TooManyImages


class Clock:
    """A clock that the test sets."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(arrivals: ArrivalRate, address: str = "192.0.2.1") -> int:
    """Send images until one is refused; return how many were not."""
    for count in range(1000):
        try:
            arrivals.count(address)
        except TooManyImages:
            return count
    pytest.fail("none was refused")


def test_a_burst_is_taken_and_then_as_many_as_the_rate_allows() -> None:
    clock = Clock()
    arrivals = ArrivalRate(5, clock)
    assert taken(arrivals) == 5 * BURST_SECONDS
    clock.now += 2
    assert taken(arrivals) == 10
    clock.now += 3600
    assert taken(arrivals) == 5 * BURST_SECONDS


def test_each_address_has_its_own_rate() -> None:
    arrivals = ArrivalRate(5, Clock())
    assert taken(arrivals) == taken(arrivals, "192.0.2.2") == 5 * BURST_SECONDS
