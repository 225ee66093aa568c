"""Time functions, and keep what was measured as tables of figures, one figure a round.

Rounds are interleaved: in each of them every column is measured once, so that all meet the same moments of a machine
that is never quite quiet. That is why ratios are taken within a round, and told with their spread over the rounds.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

T = TypeVar("T")

OURS = "ours"


@dataclass(frozen=True)
class Scale:
    """How much is measured."""

    rounds: int
    seconds: float  # for one figure
    items: int  # rows of the small tables
    many_items: int  # rows of the large table of worklist items
    many_rows: int  # rows of each of the large tables behind the pages
    stations: int
    room: int  # items on one station's list for today
    actions: int
    associations: int  # idle ones
    is_short: bool = False


FULL = Scale(
    rounds=5,
    seconds=0.4,
    items=1_000,
    many_items=1_000_000,
    many_rows=100_000,
    stations=16,
    room=60,
    actions=10_000,
    associations=500,
)
#: For a test: everything runs once, and nothing that it takes is a finding.
SHORT = Scale(
    rounds=1,
    seconds=0,
    items=100,
    many_items=1_000,
    many_rows=200,
    stations=4,
    room=20,
    actions=20,
    associations=5,
    is_short=True,
)


@dataclass
class Row:
    """What was measured in one unit: column → a figure for each round, None where a column failed.

    Our ratio to the best of each group of `peers` is told. `aim` is what was hoped for, in words.
    """

    name: str
    unit: str
    figures: dict[str, list[float | None]] = field(default_factory=dict)
    peers: tuple[tuple[str, ...], ...] = ()
    aim: str = ""
    more_is_better: bool = False

    def add(self, column: str, figure: float | None) -> None:
        """Add a column's figure of a round."""
        self.figures.setdefault(column, []).append(None if figure is None else float(f"{figure:.4g}"))

    def median(self, column: str) -> float | None:
        """Return the median over the rounds; None if there is no figure."""
        known = [figure for figure in self.figures.get(column, ()) if figure is not None]
        return statistics.median(known) if known else None

    def ratios(self, column: str, peers: Sequence[str]) -> list[float]:
        """Return, for each round, the column's figure divided by that of the best of these peers."""
        best = max if self.more_is_better else min
        ratios = []
        for number, ours in enumerate(self.figures.get(column, ())):
            rounds = [self.figures[peer][number] for peer in peers if peer in self.figures]
            known = [figure for figure in rounds if figure]
            if ours is not None and known:
                ratios.append(ours / best(known))
        return ratios


@dataclass
class Table:
    """Rows that are compared in the same columns: the subject's figures to those of the rows' peers.

    `ratios` are the headings of each group of peers.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    ratios: tuple[str, ...] = ()
    subject: str = OURS

    def as_json(self) -> dict[str, Any]:
        """Return the table as JSON has it."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Table":
        """Return the table that as_json wrote."""
        rows = [Row(**{**row, "peers": tuple(tuple(group) for group in row["peers"])}) for row in values["rows"]]
        return cls(values["title"], tuple(values["columns"]), rows, tuple(values["ratios"]), values["subject"])


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that a function takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def repeated(work: Callable[[], T], seconds: float) -> list[T]:
    """Return what a function returns each time; it is called for so many seconds, and at least once."""
    deadline = time.perf_counter() + seconds
    results = [work()]
    while time.perf_counter() < deadline:
        results.append(work())
    return results


def number(figure: float | None) -> str:
    """Return a figure with three digits that count."""
    if figure is None:
        return "–"
    for least, digits in ((100, 0), (10, 1), (0.1, 2)):
        if abs(figure) >= least:
            return f"{figure:,.{digits}f}"
    return f"{figure:.3f}".rstrip("0").rstrip(".")


def progress(text: str) -> None:
    """Tell who waits what is measured now."""
    print(text, flush=True)  # noqa: T201
