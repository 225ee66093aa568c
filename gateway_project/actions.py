"""Which GatewayAction calls what. Read it as you would urls.py: the only file that knows both edges.

ACTIONS change something, are recorded and executed once; PROBES are answered afresh and leave no trace.
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
    "worklist.item_status": WorklistItemStatus(),  # a reply of an hour ago would be no answer
    "worklist.changes_since": ChangesSince(),
}
