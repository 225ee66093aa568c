"""Decide the status of a worklist item from everything known about it. Pure.

Three sources report on an item: Manage, through `worklist.update_status`; the modalities, through MPPS (PS3.4
Annex F); and the images of it that have come. Their reports may arrive late, twice or in any order, so an item has no
state machine of its own. Each report is a fact that stays true, STRONGEST_FIRST ranks the facts, and the status of an
item is the status in its strongest fact. The result depends only on which facts are known, never on their order or
number.

From the strongest to the weakest: another item has superseded it; Manage has closed it; what the modalities report,
where a step in progress outranks one that has ended; no further image is expected; Manage has reported IN PROGRESS; an
image has come; the patient is READY or has ARRIVED. Images stand in for MPPS where a machine has none. So they never
decide against a performed step, and they never reopen an item that Manage or a step has closed. Only one of Manage's
reports counts at a time: see `manage_status`.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from core.contract import WAITING, ItemStatus


class Source(Enum):
    """Who reported a fact."""

    MANAGE = "Manage, by worklist.update_status"
    STEP = "a modality, by a performed step that is linked to the item"
    IMAGE = "the images of the item that have been received"
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
    Fact(Source.IMAGE, ItemStatus.COMPLETED),
    Fact(Source.MANAGE, ItemStatus.IN_PROGRESS),
    Fact(Source.IMAGE, ItemStatus.IN_PROGRESS),
    Fact(Source.MANAGE, ItemStatus.READY),
    Fact(Source.MANAGE, ItemStatus.ARRIVED),
)


def status_from(facts: Iterable[Fact]) -> str:
    """Return the status in the strongest fact; SCHEDULED without one."""
    known = frozenset(facts)
    return next((fact.status for fact in STRONGEST_FIRST if fact in known), ItemStatus.SCHEDULED)


def manage_status(known: str, reported: str) -> str:
    """Choose between Manage's earlier report and its new one, which may be empty.

    Before the examination the newer counts; after that the stronger, because Manage cannot undo a beginning or an end.
    """
    if {known, reported} <= WAITING:
        return reported
    return status_from(Fact(Source.MANAGE, status) for status in (known, reported))
