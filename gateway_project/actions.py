"""Map action types to their handlers, as urls.py maps addresses to views.

ACTIONS change something: each is recorded and executed once. PROBES only ask: each is answered afresh, not recorded.

To add an action type:

1. Name it in `ActionType`, core/contract/gateway_action.py.
2. In core/contract/schemas, describe the action (in the list under `action_type`, a branch of `allOf`, its `$defs` and
   an example) and its reply (a branch of `oneOf` and an example).
3. Write its handler, a function in a module of worklist/services, and add its line below. If it may be refused for a
   new reason, that is an `ErrorCode`, with an HTTP status in relay/http.py.
4. Let the emulator send it: a function in nonprod/manage_emulator.py, and a `case` in send_gateway_action.py.
5. Describe it in docs/gateway-actions.md and CHANGELOG.md; a probe is also named in docs/glossary.md and
   docs/architecture.md, and in docs/gateway-actions.md under *Once, and only once*. Run `make architecture`.
"""

from core.contract import ActionType, Handler, echo
from core.health import health
from worklist.services.changes_since import changes_since
from worklist.services.create_worklist_item import create_worklist_item
from worklist.services.item_status import worklist_item_status
from worklist.services.update_worklist_item_status import update_worklist_item_status

ACTIONS: dict[str, Handler] = {
    ActionType.CREATE_ITEM: create_worklist_item,
    ActionType.CREATE_TEST_ITEM: create_worklist_item,
    ActionType.UPDATE_STATUS: update_worklist_item_status,
}

PROBES: dict[str, Handler] = {
    ActionType.ECHO: echo,
    ActionType.HEALTH: health,
    ActionType.ITEM_STATUS: worklist_item_status,  # a probe, as a recorded reply would be out of date
    ActionType.CHANGES_SINCE: changes_since,
}
