"""The status of an item depends on which facts are known, not on their order or number."""

import itertools
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract import WAITING, ItemStatus
from worklist.performed_step.item_state import STRONGEST_FIRST, Fact, Source, manage_status, status_from

SCHEDULED, ARRIVED, READY, IN_PROGRESS, COMPLETED, DISCONTINUED = ItemStatus
FACTS = st.builds(Fact, st.sampled_from(Source), st.sampled_from(ItemStatus))


def steps(*statuses: str) -> list[Fact]:
    """Return the facts of steps with these statuses."""
    return [Fact(Source.STEP, status) for status in statuses]


class TestStatus:
    @given(facts=st.lists(FACTS), random=st.randoms(use_true_random=False))
    def test_does_not_depend_on_the_order(self, facts: list[Fact], random: Random) -> None:
        shuffled = list(facts)
        random.shuffle(shuffled)
        assert status_from(shuffled) == status_from(facts)

    @given(facts=st.lists(FACTS))
    def test_does_not_depend_on_how_often_a_fact_is_reported(self, facts: list[Fact]) -> None:
        assert status_from(facts * 2) == status_from(facts)

    @given(facts=st.lists(FACTS), more=st.lists(FACTS))
    def test_from_two_sets_of_facts_is_the_status_from_one_of_them(self, facts: list[Fact], more: list[Fact]) -> None:
        assert status_from(facts + more) in (status_from(facts), status_from(more))

    @given(facts=st.lists(FACTS), new=FACTS)
    def test_stays_or_becomes_the_status_of_a_new_fact(self, facts: list[Fact], new: Fact) -> None:
        assert status_from([*facts, new]) in (status_from(facts), new.status)

    @pytest.mark.parametrize("length", range(4))
    def test_is_the_same_in_every_order_of_up_to_three_steps(self, length: int) -> None:
        for statuses in itertools.product((IN_PROGRESS, COMPLETED, DISCONTINUED), repeat=length):
            assert len({status_from(steps(*order)) for order in itertools.permutations(statuses)}) == 1


class TestPrecedence:
    @pytest.mark.parametrize(
        ("statuses", "expected"),
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
    def test_among_several_steps(self, statuses: tuple[str, ...], expected: str) -> None:
        assert status_from(steps(*statuses)) == expected

    @pytest.mark.parametrize("statuses", [(), (IN_PROGRESS,), (COMPLETED,), (DISCONTINUED,), (COMPLETED, IN_PROGRESS)])
    @pytest.mark.parametrize("final", [COMPLETED, DISCONTINUED])
    def test_of_a_final_status_from_manage_is_above_every_step(self, final: str, statuses: tuple[str, ...]) -> None:
        assert status_from([*steps(*statuses), Fact(Source.MANAGE, final)]) == final

    @pytest.mark.parametrize("status", [COMPLETED, DISCONTINUED, IN_PROGRESS])
    def test_of_in_progress_from_manage_is_below_every_step(self, status: str) -> None:
        assert status_from([*steps(status), Fact(Source.MANAGE, IN_PROGRESS)]) == status

    @pytest.mark.parametrize("status", [COMPLETED, DISCONTINUED, IN_PROGRESS])
    @pytest.mark.parametrize("waiting", [ARRIVED, READY])
    def test_of_an_arrival_is_below_every_step(self, waiting: str, status: str) -> None:
        assert status_from([*steps(status), Fact(Source.MANAGE, waiting)]) == status
        assert status_from([Fact(Source.MANAGE, IN_PROGRESS), Fact(Source.MANAGE, waiting)]) == IN_PROGRESS

    @pytest.mark.parametrize("reported", [IN_PROGRESS, COMPLETED, DISCONTINUED])
    @pytest.mark.parametrize("of_images", [IN_PROGRESS, COMPLETED])
    def test_of_images_is_below_every_step(self, of_images: str, reported: str) -> None:
        assert status_from([Fact(Source.IMAGE, of_images), *steps(reported)]) == reported

    @pytest.mark.parametrize("final", [COMPLETED, DISCONTINUED])
    def test_of_images_is_below_a_final_status_from_manage(self, final: str) -> None:
        assert status_from([Fact(Source.IMAGE, IN_PROGRESS), Fact(Source.MANAGE, final)]) == final
        assert status_from([Fact(Source.IMAGE, COMPLETED), Fact(Source.MANAGE, final)]) == final

    @pytest.mark.parametrize("waiting", [SCHEDULED, ARRIVED, READY])
    def test_of_images_is_above_an_arrival(self, waiting: str) -> None:
        assert status_from([Fact(Source.IMAGE, IN_PROGRESS), Fact(Source.MANAGE, waiting)]) == IN_PROGRESS

    def test_of_complete_images_is_above_every_beginning_but_that_of_a_step(self) -> None:
        begun = [Fact(Source.IMAGE, IN_PROGRESS), Fact(Source.MANAGE, IN_PROGRESS)]
        assert status_from([Fact(Source.IMAGE, COMPLETED), *begun]) == COMPLETED

    def test_ignores_scheduled_from_manage(self) -> None:
        assert status_from([Fact(Source.MANAGE, SCHEDULED), *steps(IN_PROGRESS)]) == IN_PROGRESS

    def test_ranks_every_fact_but_scheduled_once(self) -> None:
        reporting = (Source.MANAGE, Source.STEP)
        every = {Fact(source, status) for source in reporting for status in (IN_PROGRESS, COMPLETED, DISCONTINUED)}
        every |= {Fact(Source.SUCCESSOR, DISCONTINUED)}
        every |= {Fact(Source.IMAGE, status) for status in (IN_PROGRESS, COMPLETED)}
        every |= {Fact(Source.MANAGE, status) for status in (ARRIVED, READY)}
        assert set(STRONGEST_FIRST) == every
        assert len(STRONGEST_FIRST) == len(every)


class TestWhatManageReports:
    @pytest.mark.parametrize(("known", "reported"), list(itertools.product(sorted(WAITING), repeat=2)))
    def test_before_the_examination_is_its_last_word(self, known: str, reported: str) -> None:
        assert manage_status(known, reported) == reported

    @pytest.mark.parametrize("known", [IN_PROGRESS, COMPLETED, DISCONTINUED])
    @pytest.mark.parametrize("reported", [*sorted(WAITING), ""])
    def test_never_takes_an_item_back(self, known: str, reported: str) -> None:
        assert manage_status(known, reported) == known

    @pytest.mark.parametrize("known", list(ItemStatus))
    def test_stays_if_nothing_new_is_reported(self, known: str) -> None:
        assert manage_status(known, "") == known
