"""How long to wait before the next try."""

import pytest

from relay.hybrid_connection.failures import Pace
from relay.hybrid_connection.reconnection import ReconnectionPolicy

LONGEST = ReconnectionPolicy(jitter=lambda _shortest, longest: longest)


class TestDelay:
    def test_it_doubles_up_to_the_cap_and_never_gives_up(self) -> None:
        delays = [LONGEST.delay(failures, Pace.BACK_OFF) for failures in (1, 2, 3, 4, 5, 6, 7, 10_000)]
        assert delays == [1, 2, 4, 8, 16, 30, 30, 30]

    def test_the_jitter_is_full(self) -> None:
        delays = [ReconnectionPolicy().delay(7, Pace.BACK_OFF) for _ in range(500)]
        assert min(delays) < 5
        assert 25 < max(delays) <= 30

    def test_a_refused_renewal_is_followed_at_once_but_only_the_first_time(self) -> None:
        assert [LONGEST.delay(failures, Pace.AT_ONCE) for failures in (1, 2, 3)] == [0, 2, 4]

    @pytest.mark.parametrize("failures", [1, 5, 1000])
    def test_a_wrong_configuration_is_retried_slowly_for_ever(self, failures: int) -> None:
        assert 30 <= ReconnectionPolicy().delay(failures, Pace.SLOW) <= 60


class TestForgiven:
    def test_a_channel_that_died_young_forgives_nothing(self) -> None:
        assert ReconnectionPolicy().failures_after(3, lived=59.9) == 3

    def test_one_that_has_lived_forgives_all(self) -> None:
        assert ReconnectionPolicy().failures_after(3, lived=60) == 0
