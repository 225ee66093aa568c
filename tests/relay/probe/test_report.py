"""The steps follow each other, and what cannot be tried is told apart from what does not hold."""

import asyncio

from relay.probe.report import (
    FAILED,
    HELD,
    LEFT_OUT,
    NotNeeded,
    Outcome,
    Problem,
    Step,
    StepFailed,
    lines,
    take,
    verdict,
)


async def good(subject: str) -> str:
    """Sees its subject."""
    return f"saw {subject}"


async def bad(subject: str) -> str:
    """Does not hold."""
    raise StepFailed(Problem("it is broken", "Mend it."))


async def bad_and_going_on(subject: str) -> str:
    """Does not hold, but others may."""
    raise StepFailed(Problem("it is odd", "Look at it."), goes_on=True)


async def unneeded(subject: str) -> str:
    """Is not there."""
    raise NotNeeded("there is none")


async def hanging(subject: str) -> str:
    """Never ends."""
    await asyncio.Event().wait()
    return ""


async def faulty(subject: str) -> str:
    """Has a bug."""
    raise KeyError("the password")


async def outcomes_of(*steps: Step[str]) -> list[Outcome]:
    """The outcomes of steps."""
    return [outcome async for outcome in take(steps, "x")]


def marks(outcomes: list[Outcome]) -> str:
    """Their marks."""
    return "".join(outcome.mark for outcome in outcomes)


class TestTake:
    async def test_a_step_says_what_it_saw_and_how_long_it_took(self) -> None:
        (outcome,) = await outcomes_of(Step("one", good))
        assert (outcome.mark, outcome.seen) == (HELD, "saw x")
        assert outcome.ms is not None

    async def test_what_needs_a_failed_step_is_not_tried_however_far_behind_and_the_others_are(self) -> None:
        steps = Step("one", bad), Step("two", good, ("one",)), Step("three", good, ("two",)), Step("four", good)
        outcomes = await outcomes_of(*steps)
        assert marks(outcomes) == f"{FAILED}{LEFT_OUT}{LEFT_OUT}{HELD}"
        assert outcomes[2].seen == "not tried: one has failed"

    async def test_a_failure_that_stands_in_nobodys_way_does_not_keep_others_from_being_tried(self) -> None:
        assert marks(await outcomes_of(Step("one", bad_and_going_on), Step("two", good, ("one",)))) == FAILED + HELD

    async def test_what_is_not_needed_is_no_failure(self) -> None:
        outcomes = await outcomes_of(Step("one", unneeded), Step("two", good, ("one",)))
        assert marks(outcomes) == LEFT_OUT + HELD
        assert verdict(outcomes)[0]

    async def test_a_step_that_hangs_is_given_up(self) -> None:
        (outcome,) = await outcomes_of(Step("one", hanging, seconds=0.01))
        assert (outcome.mark, outcome.problems[0].cause) == (FAILED, "no answer in 0.01 s")

    async def test_a_fault_of_the_probe_itself_is_told_without_its_words_and_the_others_go_on(self) -> None:
        outcomes = await outcomes_of(Step("one", faulty), Step("two", good))
        assert marks(outcomes) == FAILED + HELD
        assert outcomes[0].problems[0].cause == "a fault of the probe's own (KeyError)"


class TestLines:
    def test_what_to_do_stands_below_what_is_wrong(self) -> None:
        first, second = lines(Outcome("TLS", FAILED, problems=[Problem("it is broken", "Mend it.")], ms=12))
        assert first == "✗ TLS           12 ms  it is broken"
        assert second.strip() == "→ Mend it."
        assert second.index("→") == first.index("it")

    def test_a_long_text_is_wrapped_and_a_path_stays_whole(self) -> None:
        path = "/very/long" * 20
        printed = lines(Outcome("TLS", HELD, f"{'word ' * 30}{path} {'word ' * 30}"))
        assert len(printed) == 5
        assert printed[2].strip() == path


class TestVerdict:
    async def test_it_names_what_to_mend_first(self) -> None:
        outcomes = await outcomes_of(Step("one", good), Step("two", bad), Step("three", bad))
        holds, sentence = verdict(outcomes)
        assert not holds
        assert "Mend first: two (three, too)" in sentence
