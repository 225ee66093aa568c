"""Report an item's status to Manage (`worklist.item_status`)."""

from collections.abc import Mapping
from typing import Any

from core.contract import GatewayAction, Reply, with_action_id
from worklist.models import Delivery
from worklist.performed_step.item_status_update import deciding_report
from worklist.services.update_worklist_item_status import item_named_in


def worklist_item_status(action: GatewayAction) -> Reply:
    """Report an item's status, when it was first and last shown to a modality, and the step that decides the status.

    For a superseded item, report on the current one. Reply `ok`; raise ActionRefused with `not_found`. Nothing is
    changed or stored.
    """
    asked_for = item_named_in(action)
    item = asked_for.current()
    first, last = Delivery.objects.first_and_last(item) or (None, None)
    reply: Reply = {
        "status": "ok",
        "accession_number": asked_for.accession_number,
        "worklist_status": item.status,
        "first_shown": _shown(first),
        "last_shown": _shown(last),
        "performed": deciding_report(item),
    }
    if item != asked_for:
        reply["superseded_by"] = item.accession_number
    if item.is_test:
        reply["is_test"] = True
    return with_action_id(reply, action.action_id)


def _shown(delivery: Mapping[str, Any] | None) -> dict[str, str] | None:
    return {"at": delivery["at"].isoformat(timespec="seconds"), "to": delivery["to"]} if delivery else None
