"""An item's state is a fold over what is known of it, whichever of it came first."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worklist.performed_step.item_state import (
    COMPLETED,
    DISCONTINUED,
    IN_PROGRESS,
    SCHEDULED,
    STRONGEST_FIRST,
    Fact,
    Source,
    state_of,
)

FACTS = st.builds(Fact, st.sampled_from(Source), st.sampled_from([SCHEDULED, IN_PROGRESS, COMPLETED, DISCONTINUED]))


def steps(*states: str) -> list[Fact]:
    """Steps that stand so."""
    return [Fact(Source.STEP, state) for state in states]


class TestTheState:
    @given(facts=st.lists(FACTS), chance=st.randoms(use_true_random=False))
    def test_does_not_depend_on_the_order(self, facts: list[Fact], chance: Random) -> None:
        shuffled = list(facts)
        chance.shuffle(shuffled)
        assert state_of(shuffled) == state_of(facts)

    @given(facts=st.lists(FACTS))
    def test_does_not_depend_on_how_often_something_is_said(self, facts: list[Fact]) -> None:
        assert state_of(facts * 2) == state_of(facts)

    @given(facts=st.lists(FACTS), more=st.lists(FACTS))
    def test_of_all_is_the_state_of_one_half_or_the_other(self, facts: list[Fact], more: list[Fact]) -> None:
        assert state_of(facts + more) in (state_of(facts), state_of(more))

    @given(facts=st.lists(FACTS), new=FACTS)
    def test_is_moved_by_a_new_fact_to_that_fact_or_not_at_all(self, facts: list[Fact], new: Fact) -> None:
        assert state_of([*facts, new]) in (state_of(facts), new.status)

    @pytest.mark.parametrize("length", range(4))
    def test_is_the_same_in_every_order_of_up_to_three_steps(self, length: int) -> None:
        for states in itertools.product((IN_PROGRESS, COMPLETED, DISCONTINUED), repeat=length):
            assert len({state_of(steps(*order)) for order in itertools.permutations(states)}) == 1


class TestWhatIsStronger:
    @pytest.mark.parametrize(
        ("states", "state"),
        [
            ((), SCHEDULED),
            ((IN_PROGRESS,), IN_PROGRESS),
            ((COMPLETED, IN_PROGRESS), IN_PROGRESS),
            ((DISCONTINUED, IN_PROGRESS), IN_PROGRESS),
            ((DISCONTINUED, COMPLETED), COMPLETED),
            ((COMPLETED, COMPLETED), COMPLETED),
            ((DISCONTINUED, DISCONTINUED), DISCONTINUED),
        ],
    )
    def test_of_several_steps(self, states: tuple[str, ...], state: str) -> None:
        assert state_of(steps(*states)) == state

    @pytest.mark.parametrize("states", [(), (IN_PROGRESS,), (COMPLETED,), (DISCONTINUED,), (COMPLETED, IN_PROGRESS)])
    @pytest.mark.parametrize("word", [COMPLETED, DISCONTINUED])
    def test_the_clouds_last_word_is_above_every_step(self, word: str, states: tuple[str, ...]) -> None:
        assert state_of([*steps(*states), Fact(Source.CLOUD, word)]) == word

    @pytest.mark.parametrize("state", [COMPLETED, DISCONTINUED, IN_PROGRESS])
    def test_the_clouds_in_progress_is_below_every_step(self, state: str) -> None:
        assert state_of([*steps(state), Fact(Source.CLOUD, IN_PROGRESS)]) == state

    def test_the_clouds_scheduled_decides_nothing(self) -> None:
        assert state_of([Fact(Source.CLOUD, SCHEDULED), *steps(IN_PROGRESS)]) == IN_PROGRESS

    def test_every_fact_but_scheduled_has_its_place_once(self) -> None:
        every = {Fact(source, state) for source in Source for state in (IN_PROGRESS, COMPLETED, DISCONTINUED)}
        assert set(STRONGEST_FIRST) == every
        assert len(STRONGEST_FIRST) == len(every)
