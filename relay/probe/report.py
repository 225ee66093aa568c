"""Run the steps of a probe in order, and print their outcomes."""

import asyncio
import logging
import textwrap
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

logger = logging.getLogger(__name__)

HELD, FAILED, LEFT_OUT = "✓", "✗", "–"
WIDTH = 96
S = TypeVar("S")


@dataclass(frozen=True)
class Problem:
    """What is wrong, and what to do about it."""

    cause: str
    remedy: str


class StepFailed(Exception):
    """A step does not hold. With `goes_on`, the steps that need it can be tried all the same."""

    def __init__(self, *problems: Problem, goes_on: bool = False) -> None:
        super().__init__("; ".join(problem.cause for problem in problems))
        self.problems = problems
        self.goes_on = goes_on


class NotNeeded(Exception):
    """There is nothing to be tried here; the text says why. The steps that need it are tried."""


@dataclass(frozen=True)
class Step(Generic[S]):
    """One question. `take` says what was seen, or raises StepFailed or NotNeeded; `needs` are steps before it."""

    name: str
    take: Callable[[S], Awaitable[str]]
    needs: tuple[str, ...] = ()
    seconds: float = 20.0


@dataclass(frozen=True)
class Outcome:
    """What became of a step: its mark, its time in milliseconds where it was tried, what was seen or went wrong."""

    name: str
    mark: str
    seen: str = ""
    problems: Sequence[Problem] = field(default=())
    ms: int | None = None


async def take(steps: Sequence[Step[S]], subject: S) -> AsyncIterator[Outcome]:
    """Each step's outcome in turn; a step of which another that it needs has failed is left out."""
    broken: dict[str, str] = {}
    for step in steps:
        if cause := next((broken[name] for name in step.needs if name in broken), ""):
            broken[step.name] = cause
            yield Outcome(step.name, LEFT_OUT, f"not tried: {cause} has failed")
            continue
        outcome, goes_on = await _take_one(step, subject)
        if not goes_on:
            broken[step.name] = step.name
        yield outcome


async def _take_one(step: Step[S], subject: S) -> tuple[Outcome, bool]:
    """One step's outcome, and whether those that need it can be tried."""
    started = time.perf_counter()

    def outcome(mark: str, seen: str = "", problems: Sequence[Problem] = ()) -> Outcome:
        return Outcome(step.name, mark, seen, problems, round((time.perf_counter() - started) * 1000))

    try:
        async with asyncio.timeout(step.seconds):
            return outcome(HELD, await step.take(subject)), True
    except NotNeeded as reason:
        return outcome(LEFT_OUT, str(reason)), True
    except StepFailed as failure:
        return outcome(FAILED, problems=failure.problems), failure.goes_on
    except TimeoutError:
        late = Problem(
            f"no answer in {step.seconds:g} s", "Does a firewall or proxy on the way swallow the connection?"
        )
        return outcome(FAILED, problems=[late]), False
    except Exception as error:  # the outermost edge of a step: the others still have something to say
        logger.exception("a step of the probe failed", extra={"step": step.name})
        fault = Problem(f"a fault of the probe's own ({type(error).__name__})", "Send the traceback to its developers.")
        return outcome(FAILED, problems=[fault]), False


def lines(outcome: Outcome) -> list[str]:
    """The outcome as it is printed: what to do stands below what is wrong."""
    ms = "" if outcome.ms is None else f"{outcome.ms} ms"
    head = f"{outcome.mark} {outcome.name:<10} {ms:>8}  "
    texts = _wrapped(outcome.seen)
    for problem in outcome.problems:
        texts += [*_wrapped(problem.cause), *_wrapped(f"→ {problem.remedy}")]
    return [(head if place == 0 else " " * len(head)) + text for place, text in enumerate(texts)]


def _wrapped(text: str) -> list[str]:
    """So that a path, a name or a setting stays in one piece to be copied."""
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def verdict(outcomes: Sequence[Outcome]) -> tuple[bool, str]:
    """Whether everything holds that must, and the last line."""
    failed = [outcome.name for outcome in outcomes if outcome.mark == FAILED]
    if not failed:
        return True, "Everything that the gateway needs on its way to the relay holds."
    more = f" ({', '.join(failed[1:])}, too)" if failed[1:] else ""
    return False, f"The gateway does not reach its relay like this. Mend first: {failed[0]}{more}; then run this again."
