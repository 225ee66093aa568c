"""Collect what needs a person's attention, in one table that every page and report renders.

Each app registers what it knows of in its `AppConfig.ready`. The live page, the admin index, `status`, `/metrics` and
the `health` reply show the same concerns in the same words.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How bad something is; pages show it by colour, shape and word. The gateway is healthy without any PROBLEM."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Occurrence:
    """One case of a concern. `words` may hold an accession number, never a name; `link` leads to it in the admin.

    `words_without_number` is shown to those who may not see worklist items.
    """

    words: str
    link: str = ""
    words_without_number: str = ""


@dataclass(frozen=True)
class Concern:
    """One kind of thing that needs attention: what, how bad, how many, the latest, and where to deal with it.

    `key` is the label in `/metrics` and in the health reply; `permission` is what its links require.
    """

    key: str
    severity: Severity
    title: str
    what_to_do: str
    permission: str
    count: int
    latest: tuple[Occurrence, ...]
    link: str


Find = Callable[[datetime], Iterable[Concern]]

_registered: list[Find] = []


def register(find: Find) -> Find:
    """Add a function that returns the concerns of one subject at a moment; it may leave out what has no cases."""
    _registered.append(find)
    return find


def open_concerns(now: datetime) -> list[Concern]:
    """All concerns with at least one case, the worst first."""
    found = [concern for find in _registered for concern in find(now) if concern.count]
    return sorted(found, key=lambda concern: concern.severity is not Severity.PROBLEM)
