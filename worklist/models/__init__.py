"""The tables of the worklist: items, queries and deliveries, performed steps, and the outbox to Manage."""

from worklist.models.items import WorklistItem
from worklist.models.outbox import ItemChange, OutboxReader
from worklist.models.performed_steps import MppsException, PerformedProcedureStep, StepLink
from worklist.models.queries import Delivery, ItemAlarm, QueryTally, WorklistQuery

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
