"""How long to wait before the next attempt to connect."""

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

    def test_only_the_first_retry_is_at_once(self) -> None:
        assert [LONGEST.delay(failures, Pace.AT_ONCE) for failures in (1, 2, 3)] == [0, 2, 4]

    @pytest.mark.parametrize("failures", [1, 5, 1000])
    def test_a_wrong_configuration_is_retried_slowly_and_for_ever(self, failures: int) -> None:
        assert 30 <= ReconnectionPolicy().delay(failures, Pace.SLOW) <= 60


class TestFailuresAfter:
    def test_a_channel_that_ended_soon_does_not_reset_the_count(self) -> None:
        assert ReconnectionPolicy().failures_after(3, lived=59.9) == 3

    def test_a_channel_that_lived_for_a_minute_resets_the_count(self) -> None:
        assert ReconnectionPolicy().failures_after(3, lived=60) == 0
