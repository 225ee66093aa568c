"""Report every change of an item's status since Manage last asked (`worklist.changes_since`).

A cursor names one change by its number and moment. If it was made by another gateway, or before the database was
restored from a backup, no change fits it and the action is refused: Manage must not miss changes without noticing.
"""

import base64
from typing import Any

from core.contract import ActionRefused, ErrorCode, GatewayAction, Reply, with_action_id
from worklist.models import ItemChange, OutboxReader

#: The most changes in one reply.
PAGE = 500
#: The cursor before the first change.
BEGINNING = base64.urlsafe_b64encode(b"0").decode()


def changes_since(action: GatewayAction) -> Reply:
    """Report the changes after a cursor, the oldest first, and note how far they have been read.

    Reply `ok`; raise ActionRefused with `invalid_action` for a cursor that this gateway has not made.
    """
    cursor = action.parameters.get("cursor") or BEGINNING
    number = _number_in(cursor)
    found = list(ItemChange.objects.after(number).select_related("item")[: PAGE + 1])
    OutboxReader.objects.note(number)
    page = found[:PAGE]
    reply: Reply = {
        "status": "ok",
        "changes": [as_reported(change) for change in page],
        "cursor": _cursor_at(page[-1]) if page else cursor,
        "more": len(found) > len(page),
    }
    return with_action_id(reply, action.action_id)


def as_reported(change: ItemChange) -> dict[str, Any]:
    """Return a change as the reply reports it."""
    reported: dict[str, Any] = {
        "accession_number": change.item.accession_number,
        "worklist_status": change.status,
        "at": change.at.isoformat(),
        "performed": change.performed,
        **({"superseded_by": change.superseded_by} if change.superseded_by else {}),
    }
    return {**reported, "is_test": True} if change.item.is_test else reported


def _cursor_at(change: ItemChange) -> str:
    return base64.urlsafe_b64encode(f"{change.number}@{change.at.isoformat()}".encode()).decode()


def _number_in(cursor: str) -> int:
    if cursor == BEGINNING:
        return 0
    try:
        number = int(base64.urlsafe_b64decode(cursor.encode()).partition(b"@")[0])
    except ValueError:
        number = 0
    change = ItemChange.objects.filter(number=number).first()
    if change is None or _cursor_at(change) != cursor:
        raise ActionRefused(
            ErrorCode.INVALID_ACTION,
            "parameters.cursor: the cursor is not from this gateway: start again without one",
        )
    return number
