"""Owns how the proof of delivery is written: in batches, by a thread of its own, never in the way of an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID


@dataclass
class QueryRecord:
    """What is to be kept of one query: the row, the items that it showed, and those that could not be shown.

    `left_out` is item → keyword of the attribute.
    """

    asked_at: datetime
    calling_ae_title: str
    called_ae_title: str
    address: str
    correlation_id: str
    keys: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = "interrupted"
    status: str = ""
    comment: str = ""
    duration_ms: int = 0
    shown: list[UUID] = field(default_factory=list)
    left_out: dict[UUID, str] = field(default_factory=dict)


class DeliveryLog:
    """Takes records at once and writes them a little later; one that is lost is tolerable, a slow answer is not."""

    def record(self, query: QueryRecord) -> None:
        """Take one."""
