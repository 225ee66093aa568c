"""Collect what needs a person's attention, in one table that every page and report renders.

A concern is one kind of thing that can go wrong, such as "a machine may show the wrong woman". Each app registers a
function in its `AppConfig.ready` that finds its concerns in the database. The live page, the admin index, `status`,
`/metrics` and the `health` reply all render `open_concerns()`: the same facts, in the same words, over the same time.

The gateway is healthy while no concern of severity PROBLEM is open. This one rule decides whether the page is red,
whether `status` exits with 1, and what the `health` reply says.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import QuerySet

from core.large_tables import AtLeast

#: How many occurrences a concern lists.
LISTED = 5
#: How many rows are counted; a longer list is shown as `100+`.
COUNTED = 100


class Severity(StrEnum):
    """How bad something is. Pages show it by colour, shape and word."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"

    @property
    def word(self) -> str:
        """The name of the severity on pages."""
        return "OK" if self is Severity.OK else self.value.capitalize()


@dataclass(frozen=True)
class Occurrence:
    """One case of a concern. `words` may hold an accession number, never a name.

    `words_without_number` is for readers who may not see worklist items. `at` is when it happened, where that helps.
    Following `link` needs `permission`; without one, it needs the concern's.
    """

    words: str
    link: str = ""
    words_without_number: str = ""
    at: datetime | None = None
    permission: str = ""


@dataclass(frozen=True)
class Concern:
    """One kind of thing that needs attention: what, how bad, how many, the latest, and where to deal with it.

    `key` is the label in `/metrics` and in the health reply. `latest` has at most LISTED occurrences. Following `link`
    needs `permission`. Where `one_by_one` is set, short reports name each occurrence; otherwise the title says enough.
    """

    key: str
    severity: Severity
    title: str
    what_to_do: str
    permission: str
    count: int
    latest: tuple[Occurrence, ...]
    link: str
    one_by_one: bool = field(default=False, kw_only=True)

    @property
    def title_has_count(self) -> bool:
        """Tell whether the title begins with the count, so that a page need not add it."""
        return self.title.startswith(f"{self.count} ")

    def lines(self) -> list[Occurrence]:
        """Return what a short report says about the concern, with the permission that each link needs."""
        if not self.one_by_one:
            return [Occurrence(self.title, self.link, permission=self.permission)]
        lines = [replace(each, permission=each.permission or self.permission) for each in self.latest]
        if self.count > len(lines):
            lines.append(
                Occurrence(f"{self.title}: {self.count - len(lines)} more", self.link, permission=self.permission)
            )
        return lines


def grouped(rows: QuerySet[Any], by: str) -> list[tuple[str, list[Any], int]]:
    """Read the first COUNTED rows; return value of `by`, its rows and their count, the most frequent value first.

    Where there are more rows than were read, the counts are AtLeast.
    """
    found = list(rows[: COUNTED + 1])
    groups: dict[str, list[Any]] = defaultdict(list)
    for row in found[:COUNTED]:
        groups[getattr(row, by)].append(row)
    count: Callable[[int], int] = AtLeast if len(found) > COUNTED else int
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [(value, members, count(len(members))) for value, members in ordered]


#: Finds the concerns of one subject at a moment.
Find = Callable[[datetime], Iterable[Concern]]

_registered: list[Find] = []


def register(find: Find) -> Find:
    """Add a function that returns the concerns of one subject at a moment; it may leave out what has no cases."""
    _registered.append(find)
    return find


def open_concerns(now: datetime, known: Mapping[Find, Iterable[Concern]] | None = None) -> list[Concern]:
    """Return all concerns with at least one case, the problems first. Raise as the database does.

    `known` has what some of the registered functions would find, if the caller has read that already.
    """
    known = known or {}
    by_subject = (known[find] if find in known else find(now) for find in _registered)
    found = [concern for concerns in by_subject for concern in concerns if concern.count]
    return sorted(found, key=lambda concern: concern.severity is not Severity.PROBLEM)


def worst(concerns: Iterable[Concern]) -> Severity:
    """Return the severity of the worst concern; OK without any."""
    severities = {concern.severity for concern in concerns}
    return next((each for each in (Severity.PROBLEM, Severity.WARNING) if each in severities), Severity.OK)


def is_healthy(concerns: Iterable[Concern]) -> bool:
    """Tell whether no problem is among them: the gateway's one rule of health."""
    return worst(concerns) is not Severity.PROBLEM
