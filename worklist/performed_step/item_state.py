"""Owns how a worklist item stands: a fold over everything that is known of it, whichever of it came first. Pure.

PS3.4 Annex F says how a performed step stands, the contract with Manage what the cloud may say of an item.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

SCHEDULED, IN_PROGRESS, COMPLETED, DISCONTINUED = "SCHEDULED", "IN PROGRESS", "COMPLETED", "DISCONTINUED"


class Source(Enum):
    """Who says something about an item."""

    CLOUD = "Manage, by worklist.update_status"
    STEP = "a modality, by a performed step that is linked to the item"


class Fact(NamedTuple):
    """Something that is known of an item, and that stays known."""

    source: Source
    status: str


#: The strongest fact first. What is not in this table, such as an item that is only scheduled, decides nothing.
STRONGEST_FIRST = (
    Fact(Source.CLOUD, COMPLETED),
    Fact(Source.CLOUD, DISCONTINUED),
    Fact(Source.STEP, IN_PROGRESS),
    Fact(Source.STEP, COMPLETED),
    Fact(Source.STEP, DISCONTINUED),
    Fact(Source.CLOUD, IN_PROGRESS),
)


def state_of(facts: Iterable[Fact]) -> str:
    """The state: that of the strongest fact, and SCHEDULED without any. Order and number of the facts do not count."""
    known = frozenset(facts)
    return next((fact.status for fact in STRONGEST_FIRST if fact in known), SCHEDULED)
