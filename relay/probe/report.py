"""Run the steps of a probe in order, and format their outcomes for printing.

A step that fails blocks the steps that need it, and those that need them; they are skipped, and the outcome names the
step that failed. All other steps run, so that one probe finds as many faults as possible.
"""

import asyncio
import logging
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

PASSED, FAILED, SKIPPED = "✓", "✗", "–"
WIDTH = 96
C = TypeVar("C")


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do about it."""

    cause: str
    remedy: str


class StepFailed(Exception):
    """A step failed. With `blocks=False`, the steps that need it are run all the same."""

    def __init__(self, *problems: Problem, blocks: bool = True) -> None:
        super().__init__("; ".join(problem.cause for problem in problems))
        self.problems = problems
        self.blocks = blocks


class NotNeeded(Exception):
    """A step does not apply here; the message says why. The steps that need it are run."""


@dataclass(frozen=True)
class Step(Generic[C]):
    """One step of a probe.

    `run` gets the context that all steps share. It returns what it found, or raises StepFailed or NotNeeded. `needs`
    names earlier steps. `seconds` is the time limit.
    """

    name: str
    run: Callable[[C], Awaitable[str]]
    needs: tuple[str, ...] = ()
    seconds: float = 20.0


@dataclass(frozen=True)
class Outcome:
    """The outcome of a step. `milliseconds` is None if the step was not run."""

    name: str
    mark: str
    finding: str = ""
    problems: Sequence[Problem] = field(default=())
    milliseconds: int | None = None


async def run_steps(steps: Sequence[Step[C]], context: C) -> AsyncIterator[Outcome]:
    """Run the steps in order, and yield the outcome of each as soon as it is known."""
    blocked_by: dict[str, str] = {}  # the step that failed, for itself and for each step that needs it
    for step in steps:
        if failed := next((blocked_by[name] for name in step.needs if name in blocked_by), ""):
            blocked_by[step.name] = failed
            yield Outcome(step.name, SKIPPED, f"not tried: {failed} failed")
            continue
        started = time.perf_counter()
        mark, finding, problems, blocks = await _run_step(step, context)
        if blocks:
            blocked_by[step.name] = step.name
        yield Outcome(step.name, mark, finding, problems, round((time.perf_counter() - started) * 1000))


async def _run_step(step: Step[C], context: C) -> tuple[str, str, Sequence[Problem], bool]:
    """Return the step's mark, finding and problems, and whether it blocks the steps that need it."""
    try:
        async with asyncio.timeout(step.seconds):
            return PASSED, await step.run(context), (), False
    except NotNeeded as reason:
        return SKIPPED, str(reason), (), False
    except StepFailed as failure:
        return FAILED, "", failure.problems, failure.blocks
    except TimeoutError:
        remedy = "Check whether a firewall or proxy on the way drops the connection."
        problem = Problem(f"no answer within {step.seconds:g} s", remedy)
    except Exception as error:  # the outermost edge of a step: the others can still find something
        logger.exception("a step of the probe failed", extra={"step": step.name})
        problem = Problem(
            f"internal error of the probe ({type(error).__name__})", "Send the traceback to its developers."
        )
    return FAILED, "", (problem,), True


def format_outcome(outcome: Outcome) -> list[str]:
    """Return the lines to print, each remedy below its cause."""
    duration = "" if outcome.milliseconds is None else f"{outcome.milliseconds} ms"
    head = f"{outcome.mark} {outcome.name:<10} {duration:>8}  "
    paragraphs = [outcome.finding]
    for problem in outcome.problems:
        paragraphs += [problem.cause, f"→ {problem.remedy}"]
    texts = [
        line
        for paragraph in paragraphs
        # Keep paths, names and settings whole, so that they can be copied.
        for line in textwrap.wrap(paragraph, WIDTH, break_long_words=False, break_on_hyphens=False)
    ]
    return [(head if number == 0 else " " * len(head)) + text for number, text in enumerate(texts)]


def summarise(outcomes: Sequence[Outcome]) -> tuple[bool, str]:
    """Return whether no step failed, and the last line to print."""
    failed = [outcome.name for outcome in outcomes if outcome.mark == FAILED]
    if not failed:
        return True, "The gateway can reach its relay: every necessary step passed."
    others = f" (also failed: {', '.join(failed[1:])})" if failed[1:] else ""
    return False, f"The probe found a fault. Correct this first: {failed[0]}{others}. Then run the probe again."
