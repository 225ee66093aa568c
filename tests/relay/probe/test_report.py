"""Steps run in order; a failed step blocks only those that need it; the report shows causes and remedies."""

import asyncio

from relay.probe.report import (
    FAILED,
    PASSED,
    SKIPPED,
    NotNeeded,
    Outcome,
    Problem,
    Step,
    StepFailed,
    format_outcome,
    run_steps,
    summarise,
)


async def passing(context: str) -> str:
    return f"found {context}"


async def failing(context: str) -> str:
    raise StepFailed(Problem("it is broken", "Repair it."))


async def failing_without_blocking(context: str) -> str:
    raise StepFailed(Problem("it is odd", "Look at it."), blocks=False)


async def not_needed(context: str) -> str:
    raise NotNeeded("not configured")


async def hanging(context: str) -> str:
    await asyncio.Event().wait()
    return ""


async def buggy(context: str) -> str:
    raise KeyError("the password")


async def outcomes_of(*steps: Step[str]) -> list[Outcome]:
    return [outcome async for outcome in run_steps(steps, "x")]


def marks(outcomes: list[Outcome]) -> str:
    return "".join(outcome.mark for outcome in outcomes)


class TestRunSteps:
    async def test_an_outcome_has_the_finding_and_the_duration(self) -> None:
        (outcome,) = await outcomes_of(Step("one", passing))
        assert (outcome.mark, outcome.finding) == (PASSED, "found x")
        assert outcome.milliseconds is not None

    async def test_a_failed_step_blocks_those_that_need_it_directly_or_indirectly_and_no_others(self) -> None:
        steps = (
            Step("one", failing),
            Step("two", passing, ("one",)),
            Step("three", passing, ("two",)),
            Step("four", passing),
        )
        outcomes = await outcomes_of(*steps)
        assert marks(outcomes) == f"{FAILED}{SKIPPED}{SKIPPED}{PASSED}"
        assert outcomes[2].finding == "not tried: one failed"

    async def test_a_failure_that_does_not_block_lets_the_other_steps_run(self) -> None:
        assert (
            marks(await outcomes_of(Step("one", failing_without_blocking), Step("two", passing, ("one",))))
            == FAILED + PASSED
        )

    async def test_a_step_that_is_not_needed_has_not_failed(self) -> None:
        outcomes = await outcomes_of(Step("one", not_needed), Step("two", passing, ("one",)))
        assert marks(outcomes) == SKIPPED + PASSED
        assert summarise(outcomes)[0]

    async def test_a_step_that_hangs_fails_after_its_time_limit(self) -> None:
        (outcome,) = await outcomes_of(Step("one", hanging, seconds=0.01))
        assert (outcome.mark, outcome.problems[0].cause) == (FAILED, "no answer within 0.01 s")

    async def test_an_internal_error_is_reported_without_its_message_and_the_other_steps_run(self) -> None:
        outcomes = await outcomes_of(Step("one", buggy), Step("two", passing))
        assert marks(outcomes) == FAILED + PASSED
        assert outcomes[0].problems[0].cause == "internal error of the probe (KeyError)"


class TestFormatOutcome:
    def test_the_remedy_is_below_the_cause(self) -> None:
        first, second = format_outcome(
            Outcome("TLS", FAILED, problems=[Problem("it is broken", "Repair it.")], milliseconds=12)
        )
        assert first == "✗ TLS           12 ms  it is broken"
        assert second.strip() == "→ Repair it."
        assert second.index("→") == first.index("it")

    def test_a_long_text_is_wrapped_but_a_path_stays_whole(self) -> None:
        path = "/very/long" * 20
        printed = format_outcome(Outcome("TLS", PASSED, f"{'word ' * 30}{path} {'word ' * 30}"))
        assert len(printed) == 5
        assert printed[2].strip() == path


class TestSummarise:
    async def test_it_names_what_to_correct_first(self) -> None:
        outcomes = await outcomes_of(Step("one", passing), Step("two", failing), Step("three", failing))
        passed, sentence = summarise(outcomes)
        assert not passed
        assert "Correct this first: two (also failed: three)" in sentence
