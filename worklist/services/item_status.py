"""Tell Manage how a worklist item stands (`worklist.item_status`)."""

from collections.abc import Mapping
from typing import Any

from core.contract import GatewayAction, Reply
from worklist.models import Delivery, WorklistItem
from worklist.performed_step.item_status_update import performed
from worklist.services.update_worklist_item_status import not_found


class WorklistItemStatus:
    """Report an item's status, when it was first and last shown to a modality, and the step that decides the status.

    A superseded item is answered for by the one that stands for it now.
    """

    def __call__(self, action: GatewayAction) -> Reply:
        """Reply `ok`; raise ActionRefused with `not_found`. Nothing is changed, and no reply is given twice."""
        item = WorklistItem.objects.filter(accession_number=action.accession_number).first()
        if item is None:
            raise not_found(action)
        asked_for, item = item, item.current()
        first, last = Delivery.objects.first_and_last(item) or (None, None)
        reply: Reply = {
            "status": "ok",
            "accession_number": asked_for.accession_number,
            "worklist_status": item.status,
            "first_shown": _shown(first),
            "last_shown": _shown(last),
            "performed": performed(item),
        }
        if item != asked_for:
            reply["superseded_by"] = item.accession_number
        if item.is_test:
            reply["is_test"] = True
        return reply if action.action_id is None else {**reply, "action_id": action.action_id}


def _shown(delivery: Mapping[str, Any] | None) -> dict[str, str] | None:
    return {"at": delivery["at"].isoformat(timespec="seconds"), "to": delivery["to"]} if delivery else None
