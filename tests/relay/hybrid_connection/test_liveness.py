"""Whether a channel counts as alive."""

from functools import reduce

import pytest

from relay.hybrid_connection.liveness import Echo, Evidence, LivenessPolicy

POLICY = LivenessPolicy()
HERE, ELSEWHERE, MISSED, FORBIDDEN = Echo


def after(*echoes: Echo) -> Evidence:
    """The evidence after these."""
    return reduce(Evidence.after, echoes, Evidence())


class TestDoubt:
    @pytest.mark.parametrize("echoes", [(), (HERE,), (MISSED,), (MISSED, HERE, MISSED), (FORBIDDEN,)])
    def test_a_channel_is_believed_as_long_as_not_two_echoes_are_missed(self, echoes: tuple[Echo, ...]) -> None:
        assert after(*echoes).doubt(POLICY) == ""

    @pytest.mark.parametrize("echoes", [(MISSED, MISSED), (HERE, MISSED, ELSEWHERE, MISSED)])
    def test_two_missed_echoes_with_no_proof_between_them_mean_dead(self, echoes: tuple[Echo, ...]) -> None:
        assert "did not come back" in after(*echoes).doubt(POLICY)

    @pytest.mark.parametrize(("listeners", "enough"), [(1, 1), (2, 10), (3, 18), (25, 170)])
    def test_echoes_that_come_in_elsewhere_mean_dead_when_luck_is_under_one_in_a_thousand(
        self, listeners: int, enough: int
    ) -> None:
        policy = LivenessPolicy(listeners=listeners)
        assert (1 - 1 / listeners) ** enough < 0.001
        assert listeners == 1 or (1 - 1 / listeners) ** (enough - 1) >= 0.001
        assert after(*[ELSEWHERE] * (enough - 1)).doubt(policy) == ""
        assert "another listener" in after(*[ELSEWHERE] * enough).doubt(policy)

    def test_one_that_comes_in_here_takes_all_doubt_away(self) -> None:
        assert after(*[ELSEWHERE] * 9, HERE, ELSEWHERE) == Evidence(elsewheres=1)


class TestNextEcho:
    def test_a_proven_channel_is_asked_again_after_the_interval(self) -> None:
        assert after(HERE).next_echo_in(POLICY) == 60

    @pytest.mark.parametrize("echo", [MISSED, ELSEWHERE])
    def test_one_that_was_not_proven_soon(self, echo: Echo) -> None:
        assert after(HERE, echo).next_echo_in(POLICY) == 5

    def test_a_zombie_is_found_within_150_seconds_by_the_defaults(self) -> None:
        first, second = POLICY.interval + POLICY.deadline, POLICY.soon + POLICY.deadline
        assert first + second <= 150

    @pytest.mark.parametrize("listeners", range(1, 26))
    def test_so_is_one_whose_echoes_other_listeners_answer_however_many_there_may_be(self, listeners: int) -> None:
        policy = LivenessPolicy(listeners=listeners)
        round_trip = 0.1
        assert policy.interval + policy.elsewheres * (policy.soon_elsewhere + round_trip) <= 150

    def test_the_more_it_takes_the_sooner_after_one_that_came_in_elsewhere(self) -> None:
        assert after(ELSEWHERE).next_echo_in(LivenessPolicy(listeners=25)) == 60 / 170
