"""Use cases, one a file: the actions of Manage's, and what staff do in the admin."""

from worklist.services.changes_since import ChangesSince
from worklist.services.create_worklist_item import CreateWorklistItem
from worklist.services.item_status import WorklistItemStatus
from worklist.services.update_worklist_item_status import UpdateWorklistItemStatus

__all__ = ["ChangesSince", "CreateWorklistItem", "UpdateWorklistItemStatus", "WorklistItemStatus"]
