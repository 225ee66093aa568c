"""Emulate Manage breast screening: build actions, send each as one text frame, and read the reply.

It polls for changes, because the gateway cannot call Manage.
"""

import json
import secrets
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

#: Manage gives up after this many seconds, for the rendezvous and for the reply.
PATIENCE = 30.0
#: The statuses that confirm an action in every version of Manage that we have read, the latest from spring 2026.
CONFIRMED_STRICTLY = frozenset({"created", "processed"})
#: Gateways have answered `exists` and `updated` since May 2026, so newer ones probably know them. Nobody has seen one.
CONFIRMED = CONFIRMED_STRICTLY | {"exists", "updated"}
#: A name outside ASCII and ISO_IR 100: it must reach the modality unchanged.
NAME = "O'BRIEN-ŁUKASZ^ZOË"


class Poll(NamedTuple):
    """The changes of a poll, and the cursor for the next one."""

    changes: list[dict[str, Any]]
    cursor: str


class PollRefused(Exception):
    """The gateway refused `changes_since`; the text is its code and message."""


def create_item_action(
    action_type: str = "worklist.create_item",
    accession_number: str = "",
    name: str = NAME,
    nhs_number: str = "9990000018",
    station_ae_title: str = "",
) -> dict[str, Any]:
    """Build an action as Manage does, for an appointment now; the accession number is new unless given."""
    now = datetime.now().astimezone()
    scheduled = {"date": f"{now:%Y%m%d}", "time": f"{now:%H%M}00"}
    if station_ae_title:
        scheduled["station_ae_title"] = station_ae_title
    item = {
        "accession_number": accession_number or new_accession_number(),
        "participant": {"nhs_number": nhs_number, "name": name, "birth_date": "19700321", "sex": "F"},
        "scheduled": scheduled,
        "procedure": {"modality": "MG", "study_description": "Screening Mammography"},
    }
    reference = {"appointment_id": str(uuid.uuid4()), "participant_id": nhs_number}
    return _action(action_type, {"worklist_item": item}, source_reference=reference)


def new_accession_number() -> str:
    """Return a new accession number in Manage's format: at most 16 characters, with the date."""
    return f"ACC{datetime.now().astimezone():%Y%m%d}{secrets.randbelow(16**5):05X}"


def press_again(action: dict[str, Any]) -> dict[str, Any]:
    """Build what Manage sends if somebody presses *Send to modality* again, for instance after a time-out.

    It has a new action_id and a new accession number; the appointment and everything else stay. Manage never
    resends automatically.
    """
    item = {**action["parameters"]["worklist_item"], "accession_number": new_accession_number()}
    parameters = {**action["parameters"], "worklist_item": item}
    return {**action, **_action(action["action_type"], parameters)}


def update_status_action(accession_number: str, status: str) -> dict[str, Any]:
    """Build an action that changes an item's status."""
    item = {"accession_number": accession_number, "status": status}
    return _action("worklist.update_status", {"worklist_item": item})


def item_status_action(accession_number: str) -> dict[str, Any]:
    """Build an action that asks for an item's status, deliveries and performed steps."""
    return _action("worklist.item_status", {"worklist_item": {"accession_number": accession_number}})


def changes_since_action(cursor: str = "") -> dict[str, Any]:
    """Build an action that asks for the changes after a cursor; without a cursor, for all."""
    return _action("worklist.changes_since", {"cursor": cursor} if cursor else {})


def echo_action() -> dict[str, Any]:
    """Build Manage's echo, which has no action_id."""
    return {"action_type": "echo", "timestamp": datetime.now(UTC).isoformat()}


def _action(action_type: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "action_id": str(uuid.uuid4()),
        "action_type": action_type,
        "timestamp": datetime.now(UTC).isoformat(),
        "source_system": "manage-breast-screening",
        **more,
        "parameters": parameters,
    }


async def send_action(action: dict[str, Any], patience: float = PATIENCE) -> str:
    """Send an action and return the reply's text; raises HybridConnectionError without a reply."""
    from relay.configuration import configured_address, configured_tokens  # noqa: PLC0415 - every process imports
    from relay.hybrid_connection.sender import send  # noqa: PLC0415 - this module, few of them send

    return await send(configured_address(), configured_tokens(), json.dumps(action), patience)


def poll(ask: Callable[[dict[str, Any]], str], cursor: str = "") -> Poll:
    """Read all changes after the cursor, page by page; raises PollRefused."""
    changes: list[dict[str, Any]] = []
    more = True
    while more:
        reply = json.loads(ask(changes_since_action(cursor)))
        if reply["status"] != "ok":
            raise PollRefused(f"{reply.get('code')}: {reply.get('message')}")
        changes += reply["changes"]
        cursor, more = reply["cursor"], reply["more"]
    return Poll(changes, cursor)


def is_confirmed(reply: str, *, strict: bool = False) -> bool:
    """Check whether Manage regards the action as done; `strict`: as every known version of Manage does."""
    return json.loads(reply).get("status") in (CONFIRMED_STRICTLY if strict else CONFIRMED)
