"""Decide the status of a worklist item from everything known about it. Pure.

Two sources report on an item: Manage, through `worklist.update_status`, and the modalities, through MPPS (PS3.4
Annex F). Their reports may arrive late, twice or in any order, so an item has no state machine of its own. Each report
is a fact that stays true, STRONGEST_FIRST ranks the facts, and the status of an item is the status in its strongest
fact. The result depends only on which facts are known, never on their order or number.

That another item has superseded it is the strongest, and that Manage has closed it comes next. Then come the
modalities: as long as one of them is still working, the item is in progress, whatever another has finished. That Manage
has seen the examination begin comes next, and the weakest is that she has arrived, or is prepared. Of Manage's own
reports only one is a fact, see `manage_status`.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from core.contract import ItemStatus


class Source(Enum):
    """Who reported a fact."""

    MANAGE = "Manage, by worklist.update_status"
    STEP = "a modality, by a performed step that is linked to the item"
    SUCCESSOR = "a newer item of the same appointment, which has superseded it"


class Fact(NamedTuple):
    """A status that a source has reported."""

    source: Source
    status: str


#: Facts outside this table, such as SCHEDULED from Manage, decide nothing.
STRONGEST_FIRST = (
    Fact(Source.SUCCESSOR, ItemStatus.DISCONTINUED),
    Fact(Source.MANAGE, ItemStatus.COMPLETED),
    Fact(Source.MANAGE, ItemStatus.DISCONTINUED),
    Fact(Source.STEP, ItemStatus.IN_PROGRESS),
    Fact(Source.STEP, ItemStatus.COMPLETED),
    Fact(Source.STEP, ItemStatus.DISCONTINUED),
    Fact(Source.MANAGE, ItemStatus.IN_PROGRESS),
    Fact(Source.MANAGE, ItemStatus.READY),
    Fact(Source.MANAGE, ItemStatus.ARRIVED),
)
#: The states before the examination. Manage changes these freely, as when it undoes a mistake.
HAS_ARRIVED = frozenset({ItemStatus.ARRIVED, ItemStatus.READY})
WAITING = HAS_ARRIVED | {ItemStatus.SCHEDULED}
BEGUN = frozenset({ItemStatus.IN_PROGRESS, ItemStatus.COMPLETED})


def status_from(facts: Iterable[Fact]) -> str:
    """Return the status in the strongest fact; SCHEDULED without one."""
    known = frozenset(facts)
    return next((fact.status for fact in STRONGEST_FIRST if fact in known), ItemStatus.SCHEDULED)


def manage_status(known: str, reported: str) -> str:
    """Return the report that counts of Manage's earlier one and a new one, which may be empty.

    Of two states before the examination it is the new one. Otherwise it is the stronger one: Manage takes back neither
    the end nor the beginning of an examination.
    """
    if {known, reported} <= WAITING:
        return reported
    return status_from(Fact(Source.MANAGE, status) for status in (known, reported))
