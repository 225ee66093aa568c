"""When a control channel counts as dead, and when the next echo is sent."""

from functools import reduce

import pytest

from relay.hybrid_connection.liveness import EchoOutcome, EchoTally, LivenessPolicy, PingTally

POLICY = LivenessPolicy()
HERE, ELSEWHERE, MISSED, FORBIDDEN = EchoOutcome


def tally(*outcomes: EchoOutcome) -> EchoTally:
    """Return the tally after these echoes."""
    return reduce(EchoTally.after, outcomes, EchoTally())


class TestReasonDead:
    @pytest.mark.parametrize("outcomes", [(), (HERE,), (MISSED,), (MISSED, HERE, MISSED), (FORBIDDEN,)])
    def test_a_channel_is_alive_until_two_echoes_are_missed(self, outcomes: tuple[EchoOutcome, ...]) -> None:
        assert tally(*outcomes).reason_dead(POLICY) == ""

    @pytest.mark.parametrize("outcomes", [(MISSED, MISSED), (HERE, MISSED, ELSEWHERE, MISSED)])
    def test_two_missed_echoes_without_a_proof_in_between_mean_dead(self, outcomes: tuple[EchoOutcome, ...]) -> None:
        assert "did not come back" in tally(*outcomes).reason_dead(POLICY)

    @pytest.mark.parametrize(("listeners", "enough"), [(1, 1), (2, 10), (3, 18), (25, 170)])
    def test_echoes_answered_elsewhere_mean_dead_when_that_is_luck_less_than_once_in_a_thousand(
        self, listeners: int, enough: int
    ) -> None:
        policy = LivenessPolicy(listeners=listeners)
        assert (1 - 1 / listeners) ** enough < 0.001
        assert listeners == 1 or (1 - 1 / listeners) ** (enough - 1) >= 0.001
        assert tally(*[ELSEWHERE] * (enough - 1)).reason_dead(policy) == ""
        assert "another listener" in tally(*[ELSEWHERE] * enough).reason_dead(policy)

    def test_an_echo_that_arrives_here_resets_the_tally(self) -> None:
        assert tally(*[ELSEWHERE] * 9, HERE, ELSEWHERE) == EchoTally(elsewhere=1)


class TestPings:
    @staticmethod
    def after(*channels: tuple[int, float, bool]) -> bool:
        """Return whether pings are forbidden after channels: pings sent, seconds since the last, whether dropped."""
        tally = PingTally()
        for pings, since_last, dropped in channels:
            tally = tally.after(pings, since_last, POLICY, dropped=dropped)
        return tally.forbids_pings(POLICY)

    def test_two_channels_dropped_at_their_first_ping_forbid_more(self) -> None:
        assert not self.after((1, 0.1, True))
        assert self.after((1, 0.1, True), (1, 0.1, True))

    @pytest.mark.parametrize("between", [(0, 20, True), (0, 300, False), (1, 0.1, False)])
    def test_a_channel_that_tells_nothing_of_pings_changes_nothing(self, between: tuple[int, float, bool]) -> None:
        assert self.after((1, 0.1, True), between, (1, 0.1, True))

    @pytest.mark.parametrize("between", [(2, 0.1, True), (1, 6, True), (15, 3, False)])
    def test_a_channel_that_outlived_a_ping_resets_the_count(self, between: tuple[int, float, bool]) -> None:
        assert not self.after((1, 0.1, True), between, (1, 0.1, True))


class TestNextEchoIn:
    def test_the_next_echo_after_a_proof_is_an_interval_later(self) -> None:
        assert tally(HERE).next_echo_in(POLICY) == 60

    @pytest.mark.parametrize("outcome", [MISSED, ELSEWHERE])
    def test_the_next_echo_after_one_that_proved_nothing_comes_soon(self, outcome: EchoOutcome) -> None:
        assert tally(HERE, outcome).next_echo_in(POLICY) == 5

    def test_a_dead_channel_is_detected_within_150_seconds_by_the_defaults(self) -> None:
        first, second = POLICY.interval + POLICY.deadline, POLICY.retry + POLICY.deadline
        assert first + second <= 150

    @pytest.mark.parametrize("listeners", range(1, 26))
    def test_a_dead_channel_whose_echoes_other_listeners_answer_is_detected_as_soon(self, listeners: int) -> None:
        policy = LivenessPolicy(listeners=listeners)
        round_trip = 0.1
        assert policy.interval + policy.max_elsewhere * (policy.retry_elsewhere + round_trip) <= 150

    def test_the_more_echoes_are_needed_the_sooner_the_next_one_follows(self) -> None:
        assert tally(ELSEWHERE).next_echo_in(LivenessPolicy(listeners=25)) == 60 / 170
