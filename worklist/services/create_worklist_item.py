"""Create a worklist item (`worklist.create_item`), or a test item (`worklist.create_test_item`)."""

import secrets
import uuid
from collections import defaultdict
from collections.abc import Iterable

from core.audit import Auditor
from core.contract import ActionRefused, ActionType, ErrorCode, GatewayAction, Reply, ReplyWarning
from core.contract.repair import WORKLIST_ITEM
from core.correlation import correlation_id
from worklist.item_fields import CONTENT, IDENTIFIERS, ITEM_FIELDS
from worklist.models import ItemAlarm, WorklistItem
from worklist.performed_step.linking import link_waiting_steps, serialise_on_accession_number
from worklist.performed_step.superseding import (
    NO_EARLIER_ITEMS,
    SENT_AGAIN,
    EarlierItems,
    lock_earlier_items,
    supersede,
)
from worklist.query.information_model import rows

#: Letters and digits that do not look alike in print.
ID_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def create_worklist_item(action: GatewayAction) -> Reply:
    """Create an item, or recognise the one that exists with the same content.

    A new item supersedes the earlier ones of its appointment. Reply `created` or `exists`; raise ActionRefused with
    `accession_conflict` if the number is taken.
    """
    content = {field.name: field.read(action.worklist_item) for field in CONTENT}
    identifiers = {field.name: field.read(action.worklist_item) for field in IDENTIFIERS}
    given = {**content, **{name: value for name, value in identifiers.items() if value}}
    item = WorklistItem(
        accession_number=action.accession_number,
        correlation_id=correlation_id(),
        is_test=action.action_type == ActionType.CREATE_TEST_ITEM,
        appointment_id=action.appointment_id,
        **{**new_identifiers(), **given},
    )
    actor = f"relay:{action.source_system}"
    serialise_on_accession_number(item.accession_number, appointment_id=item.appointment_id)
    if Auditor(actor).create_unless_known(item):
        raise_repair_alarms(item, action.warnings)
        was_performed = link_waiting_steps(item)
        earlier = lock_earlier_items(item)
        if was_performed or earlier != NO_EARLIER_ITEMS:
            supersede(earlier, item, actor)
        return _reply("created", action, earlier)
    known = WorklistItem.objects.get(accession_number=item.accession_number)
    differing = [
        field.path
        for field in (*CONTENT, *IDENTIFIERS)
        if field.name in given and getattr(known, field.name) != given[field.name]
    ]
    if known.is_test != item.is_test:
        differing.append("action_type")  # a patient's item that answered for a test item would be on no list
    if differing:
        raise ActionRefused(
            ErrorCode.ACCESSION_CONFLICT,
            f"An item with this accession number exists with a different {', '.join(differing)}; nothing was changed",
        )
    return _reply("exists", action)


def _reply(status: str, action: GatewayAction, earlier: EarlierItems = NO_EARLIER_ITEMS) -> Reply:
    reply: Reply = {"status": status, "action_id": action.action_id}
    if earlier.superseded:
        reply["supersedes"] = [item.accession_number for item in earlier.superseded]
    if warnings := [*action.warnings, *([SENT_AGAIN] if earlier.has_begun else [])]:
        reply["warnings"] = [warning._asdict() for warning in warnings]
    return reply


def raise_repair_alarms(item: WorklistItem, warnings: Iterable[ReplyWarning]) -> None:
    """Raise one alarm for each value of the item that was repaired."""
    repairs: dict[str, list[str]] = defaultdict(list)
    for warning in warnings:
        path = warning.path.removeprefix(WORKLIST_ITEM)
        field = next((field.name for field in ITEM_FIELDS if field.path == path), "")
        # A group of values has no DICOM keyword: the alarm gives the group's own name.
        keyword = next((row.keyword for _, row in rows() if field and row.field == field), path.rpartition(".")[2])
        repairs[keyword].append(warning.repair)
    for keyword, done in repairs.items():
        ItemAlarm.objects.raise_for(item, ItemAlarm.Kind.REPAIRED, keyword, ", ".join(done))


def new_identifiers() -> dict[str, str]:
    """Make the identifiers that an action may leave out.

    A UUID as an integer under the root 2.25 is a unique UID (PS3.5 annex B.2). The short ids have 14 random characters:
    69 bits, so a collision is not to be expected.
    """
    procedure_id, step_id = ("".join(secrets.choice(ID_ALPHABET) for _ in range(14)) for _ in range(2))
    return {
        "study_instance_uid": f"2.25.{uuid.uuid4().int}",
        "requested_procedure_id": f"RP{procedure_id}",
        "scheduled_procedure_step_id": f"SP{step_id}",
    }
