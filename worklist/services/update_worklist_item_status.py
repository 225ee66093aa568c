"""Change the status of a worklist item on Manage's behalf (`worklist.update_status`)."""

from core.contract import (
    WAITING,
    ActionRefused,
    ErrorCode,
    GatewayAction,
    ItemStatus,
    Reply,
    status_word,
    with_action_id,
)
from worklist.models import WorklistItem
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import lock_current_items

#: Status → the statuses that Manage may change it to. An item may always be given the status that it has.
TRANSITIONS: dict[str, frozenset[str]] = {
    **dict.fromkeys(WAITING, frozenset(ItemStatus)),
    ItemStatus.IN_PROGRESS: frozenset({ItemStatus.COMPLETED, ItemStatus.DISCONTINUED}),
    ItemStatus.COMPLETED: frozenset(),
    ItemStatus.DISCONTINUED: frozenset(),
}


def update_worklist_item_status(action: GatewayAction) -> Reply:
    """Change the status of an item along TRANSITIONS; for a superseded item, of the current one.

    Reply `updated`; raise ActionRefused with `not_found` or `invalid_transition`.
    """
    status = status_word(action.worklist_item["status"])
    named = item_named_in(action)
    item = lock_current_items([named.pk])[named.pk]
    if item.status != status and status not in TRANSITIONS[item.status]:
        raise ActionRefused(ErrorCode.INVALID_TRANSITION, f"An item cannot go from {item.status} to {status}")
    recompute_status(item, f"relay:{action.source_system}", from_manage=status)
    reply: Reply = {"status": "updated", "accession_number": named.accession_number}
    return with_action_id(reply, action.action_id)


def item_named_in(action: GatewayAction) -> WorklistItem:
    """Return the item with the action's accession number; raise ActionRefused with `not_found` if there is none."""
    item = WorklistItem.objects.filter(accession_number=action.accession_number).first()
    if item is None:
        raise ActionRefused(ErrorCode.NOT_FOUND, f"No worklist item has accession number {action.accession_number}")
    return item
