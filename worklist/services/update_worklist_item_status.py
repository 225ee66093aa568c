"""Change the status of a worklist item on Manage's behalf (`worklist.update_status`)."""

from core.contract import ActionRefused, ErrorCode, GatewayAction, ItemStatus, Reply, status_word
from worklist.models import WorklistItem
from worklist.performed_step.item_state import WAITING
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import lock_current_items

#: Status → the statuses that Manage may change it to. An item may always be given the status that it has.
TRANSITIONS: dict[str, frozenset[str]] = {
    **dict.fromkeys(WAITING, frozenset(ItemStatus)),
    ItemStatus.IN_PROGRESS: frozenset({ItemStatus.COMPLETED, ItemStatus.DISCONTINUED}),
    ItemStatus.COMPLETED: frozenset(),
    ItemStatus.DISCONTINUED: frozenset(),
}


class UpdateWorklistItemStatus:
    """Change the status of an item along TRANSITIONS; for a superseded one, that of the item that stands for it."""

    def __call__(self, action: GatewayAction) -> Reply:
        """Reply `updated`; raise ActionRefused with `not_found` or `invalid_transition`."""
        status = status_word(action.worklist_item["status"])
        named = WorklistItem.objects.filter(accession_number=action.accession_number).first()
        if named is None:
            raise not_found(action)
        item = lock_current_items([named.pk])[named.pk]
        if item.status != status and status not in TRANSITIONS[item.status]:
            raise ActionRefused(ErrorCode.INVALID_TRANSITION, f"An item cannot go from {item.status} to {status}")
        recompute_status(item, f"relay:{action.source_system}", from_manage=status)
        reply: Reply = {"status": "updated", "accession_number": named.accession_number}
        return reply if action.action_id is None else {**reply, "action_id": action.action_id}


def not_found(action: GatewayAction) -> ActionRefused:
    """Return the refusal of an action about an item that does not exist."""
    return ActionRefused(ErrorCode.NOT_FOUND, f"No worklist item has accession number {action.accession_number}")
