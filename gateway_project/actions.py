"""Which GatewayAction calls what. Read it as you would urls.py: the only file that knows both edges.

ACTIONS change something, are recorded and executed once; PROBES are answered afresh and leave no trace.
"""

from core.contract import ActionType, Handler, echo
from core.health import health
from worklist.services import ChangesSince, CreateWorklistItem, UpdateWorklistItemStatus, WorklistItemStatus

ACTIONS: dict[str, Handler] = {
    ActionType.CREATE_ITEM: CreateWorklistItem(),
    ActionType.CREATE_TEST_ITEM: CreateWorklistItem(),
    ActionType.UPDATE_STATUS: UpdateWorklistItemStatus(),
}

PROBES: dict[str, Handler] = {
    ActionType.ECHO: echo,
    ActionType.HEALTH: health,
    ActionType.ITEM_STATUS: WorklistItemStatus(),  # a reply of an hour ago would be no answer
    ActionType.CHANGES_SINCE: ChangesSince(),
}
