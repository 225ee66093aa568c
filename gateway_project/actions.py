"""Map action types to their handlers, as urls.py maps addresses to views.

ACTIONS change something: each is recorded and executed once. PROBES only ask: each is answered anew and not recorded.
"""

from core.contract import Handler, echo
from core.health import health
from worklist.services import ChangesSince, CreateWorklistItem, UpdateWorklistItemStatus, WorklistItemStatus

ACTIONS: dict[str, Handler] = {
    "worklist.create_item": CreateWorklistItem(),
    "worklist.create_test_item": CreateWorklistItem(),
    "worklist.update_status": UpdateWorklistItemStatus(),
}

PROBES: dict[str, Handler] = {
    "echo": echo,
    "health": health,
    "worklist.item_status": WorklistItemStatus(),  # a probe, as a recorded reply would be out of date
    "worklist.changes_since": ChangesSince(),
}
