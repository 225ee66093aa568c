"""The tables of the worklist: what is shown, to whom, what has been shown, and what the modalities made of it."""

from worklist.models.changes import ItemChange
from worklist.models.deliveries import Delivery, ItemAlarm, WorklistQuery
from worklist.models.items import WorklistItem
from worklist.models.steps import MppsException, PerformedProcedureStep, StepLink
from worklist.models.tallies import OutboxReader, QueryTally

__all__ = [
    "Delivery",
    "ItemAlarm",
    "ItemChange",
    "MppsException",
    "OutboxReader",
    "PerformedProcedureStep",
    "QueryTally",
    "StepLink",
    "WorklistItem",
    "WorklistQuery",
]
