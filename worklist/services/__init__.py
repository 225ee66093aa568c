"""What may be done to the worklist, by Manage, by a modality and by a person."""

from worklist.services.changes import ChangesSince
from worklist.services.items import (
    CONTENT,
    IDENTIFIERS,
    TRANSITIONS,
    CreateWorklistItem,
    UpdateWorklistItemStatus,
    WorklistItemStatus,
)
from worklist.services.steps import ChangeProcedureStep, StartProcedureStep

__all__ = [
    "CONTENT",
    "IDENTIFIERS",
    "TRANSITIONS",
    "ChangeProcedureStep",
    "ChangesSince",
    "CreateWorklistItem",
    "StartProcedureStep",
    "UpdateWorklistItemStatus",
    "WorklistItemStatus",
]
