"""What may be done to the worklist, by Manage, by a modality and by a person."""

from worklist.performed_step.create_and_set import CreatePerformedProcedureStep, SetPerformedProcedureStep
from worklist.services.changes_since import ChangesSince
from worklist.services.create_worklist_item import (
    CONTENT,
    IDENTIFIERS,
    TRANSITIONS,
    CreateWorklistItem,
    UpdateWorklistItemStatus,
    WorklistItemStatus,
)

__all__ = [
    "CONTENT",
    "IDENTIFIERS",
    "TRANSITIONS",
    "ChangesSince",
    "CreatePerformedProcedureStep",
    "CreateWorklistItem",
    "SetPerformedProcedureStep",
    "UpdateWorklistItemStatus",
    "WorklistItemStatus",
]
