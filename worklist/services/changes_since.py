"""Owns what Manage can ask about all items at once: every change of state since it last asked.

A reader is at a change: its cursor names that one by number and moment, so that a cursor of another gateway, or of what
was lost with a database that was put back, is known for what it is. Nothing may be skipped without a word.
"""

import base64
from typing import Any

from core.contract import ActionRefused, ErrorCode, GatewayAction, Reply
from worklist.models import ItemChange, OutboxReader

#: Changes in one reply.
PAGE = 500
#: Where a reader is who has seen none.
BEGINNING = base64.urlsafe_b64encode(b"0").decode()


class ChangesSince:
    """`worklist.changes_since`: the changes behind a cursor, the oldest first. How far they are read is kept."""

    def __call__(self, action: GatewayAction) -> Reply:
        """`ok`; ActionRefused with `invalid_action` for a cursor that is none of this gateway's."""
        cursor = action.parameters.get("cursor") or BEGINNING
        number = _number(cursor)
        found = list(ItemChange.objects.after(number).select_related("item")[: PAGE + 1])
        OutboxReader.objects.note(number)
        page = found[:PAGE]
        reply: Reply = {
            "status": "ok",
            "changes": [_told(change) for change in page],
            "cursor": _cursor(page[-1]) if page else cursor,
            "more": len(found) > len(page),
        }
        return reply if action.action_id is None else {**reply, "action_id": action.action_id}


def _told(change: ItemChange) -> dict[str, Any]:
    return {
        "accession_number": change.item.accession_number,
        "worklist_status": change.status,
        "at": change.at.isoformat(),
        "performed": change.performed,
    }


def _cursor(change: ItemChange) -> str:
    return base64.urlsafe_b64encode(f"{change.number}@{change.at.isoformat()}".encode()).decode()


def _number(cursor: str) -> int:
    """Where a reader is; ActionRefused where it can be nowhere."""
    if cursor == BEGINNING:
        return 0
    try:
        number = int(base64.urlsafe_b64decode(cursor.encode()).partition(b"@")[0])
    except ValueError:
        number = 0
    change = ItemChange.objects.filter(number=number).first()
    if change is None or _cursor(change) != cursor:
        problem = "is not one that this gateway has given: begin again without a cursor"
        raise ActionRefused(ErrorCode.INVALID_ACTION, f"parameters.cursor: {problem}")
    return number
