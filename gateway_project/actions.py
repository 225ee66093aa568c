"""Map action types to their handlers, as urls.py maps addresses to views.

ACTIONS change something: each is recorded and executed once. PROBES only ask: each is answered anew and not recorded.
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
    ActionType.ITEM_STATUS: WorklistItemStatus(),  # a probe, as a recorded reply would be out of date
    ActionType.CHANGES_SINCE: ChangesSince(),
}
