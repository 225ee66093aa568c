"""Owns what Manage may do to the worklist: one class for each thing that an action can ask for."""

import secrets
import uuid
from collections.abc import Callable, Mapping
from datetime import date, time
from typing import Any

from core import value_representations as vr
from core.audit import Auditor
from core.contract import ActionRefused, ErrorCode, GatewayAction, ItemStatus, Reply
from core.correlation import correlation_id
from worklist.models import Delivery, WorklistItem
from worklist.performed_step.item_status_update import performed, recompute_status
from worklist.performed_step.linking import link_waiting_steps, serialise_on_accession_number

#: PS3.5 annex B.2: a UUID as an integer under this root is a UID that nobody else has.
UUID_ROOT = "2.25."
#: Letters and digits that cannot be taken for each other when read aloud.
ID_ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"

#: Where an item may go. Its present status is no change, and always allowed.
TRANSITIONS: dict[str, frozenset[str]] = {
    ItemStatus.SCHEDULED: frozenset({ItemStatus.IN_PROGRESS, ItemStatus.COMPLETED, ItemStatus.DISCONTINUED}),
    ItemStatus.IN_PROGRESS: frozenset({ItemStatus.COMPLETED, ItemStatus.DISCONTINUED}),
    ItemStatus.COMPLETED: frozenset(),
    ItemStatus.DISCONTINUED: frozenset(),
}


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _sex(value: Any) -> str:
    return value if value in ("F", "M", "O") else ""


def _weight(value: Any) -> str:
    """A DS of at most 16 characters: a number may come with more digits than that, a text not."""
    return _text(value if isinstance(value, str | None) else f"{value:.8g}")


def _date(value: Any) -> date:
    return vr.parse_da(value)


def _time(value: Any) -> time:
    return vr.parse_tm(value)


#: What an item is made of: where it stands in `parameters.worklist_item` → the field, and how it is read.
CONTENT: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "participant.nhs_number": ("patient_id", _text),
    "participant.name": ("patient_name", _text),
    "participant.birth_date": ("patient_birth_date", _date),
    "participant.sex": ("patient_sex", _sex),
    "participant.address": ("patient_address", _text),
    "participant.weight": ("patient_weight", _weight),
    "participant.comments": ("patient_comments", _text),
    "scheduled.date": ("scheduled_date", _date),
    "scheduled.time": ("scheduled_time", _time),
    "scheduled.station_ae_title": ("station_ae_title", _text),
    "scheduled.station_name": ("station_name", _text),
    "scheduled.location": ("location", _text),
    "scheduled.performing_physician_name": ("performing_physician_name", _text),
    "procedure.modality": ("modality", _text),
    "procedure.study_description": ("study_description", _text),
    "procedure.code": ("procedure_code", _text),
    "procedure.coding_scheme": ("procedure_coding_scheme", _text),
    "procedure.code_meaning": ("procedure_code_meaning", _text),
    "procedure.protocol_code.code": ("protocol_code", _text),
    "procedure.protocol_code.coding_scheme": ("protocol_coding_scheme", _text),
    "procedure.protocol_code.code_meaning": ("protocol_code_meaning", _text),
}
#: Made here when the action does not bring them, and never changed.
IDENTIFIERS: dict[str, Callable[[], str]] = {
    "study_instance_uid": lambda: f"{UUID_ROOT}{uuid.uuid4().int}",
    "requested_procedure_id": lambda: _short_id("RP"),
    "scheduled_procedure_step_id": lambda: _short_id("SP"),
}


class CreateWorklistItem:
    """`worklist.create_item`: a new item, or the one that is there already with the same content."""

    def __call__(self, action: GatewayAction) -> Reply:
        """`created` or `exists`; ActionRefused with `accession_conflict` where the number belongs to something else."""
        content = {field: read(_at(action.worklist_item, path)) for path, (field, read) in CONTENT.items()}
        given = {name: _text(action.worklist_item.get(name)) for name in IDENTIFIERS}
        item = WorklistItem(
            accession_number=action.accession_number,
            correlation_id=correlation_id(),
            **content,
            **{name: given[name] or make() for name, make in IDENTIFIERS.items()},
        )
        serialise_on_accession_number(item.accession_number)
        if Auditor(_actor(action)).create_unless_known(item):
            link_waiting_steps(item)
            return {"status": "created", "action_id": action.action_id}
        _refuse_difference(WorklistItem.objects.get(accession_number=item.accession_number), content, given)
        return {"status": "exists", "action_id": action.action_id}


def _refuse_difference(known: WorklistItem, content: Mapping[str, Any], given: Mapping[str, str]) -> None:
    differing = [path for path, (field, _) in CONTENT.items() if getattr(known, field) != content[field]]
    differing += [name for name, value in given.items() if value and getattr(known, name) != value]
    if differing:
        raise ActionRefused(
            ErrorCode.ACCESSION_CONFLICT,
            f"There is an item with this accession number already, with another {', '.join(differing)}; "
            "nothing was changed",
        )


class UpdateWorklistItemStatus:
    """`worklist.update_status`: what Manage says of an item, along TRANSITIONS."""

    def __call__(self, action: GatewayAction) -> Reply:
        """`updated`; ActionRefused with `not_found` or `invalid_transition`."""
        target = action.worklist_item["status"].upper()
        item = (
            WorklistItem.objects.select_for_update(no_key=True).filter(accession_number=action.accession_number).first()
        )
        if item is None:
            raise _not_found(action)
        if item.status != target and target not in TRANSITIONS[item.status]:
            raise ActionRefused(ErrorCode.INVALID_TRANSITION, f"An item cannot go from {item.status} to {target}")
        recompute_status(item, _actor(action), from_manage=target)
        return {"status": "updated", "accession_number": item.accession_number, "action_id": action.action_id}


class WorklistItemStatus:
    """`worklist.item_status`: how an item stands, when it was shown to a modality, and what was performed of it."""

    def __call__(self, action: GatewayAction) -> Reply:
        """`ok`; ActionRefused with `not_found`. It changes nothing and is answered afresh each time."""
        item = WorklistItem.objects.filter(accession_number=action.accession_number).first()
        if item is None:
            raise _not_found(action)
        first, last = Delivery.objects.span_of(item) or (None, None)
        reply: Reply = {
            "status": "ok",
            "accession_number": item.accession_number,
            "worklist_status": item.status,
            "first_shown": _moment(first),
            "last_shown": _moment(last),
            "performed": performed(item),
        }
        return reply if action.action_id is None else {**reply, "action_id": action.action_id}


def _actor(action: GatewayAction) -> str:
    return f"relay:{action.source_system}"


def _not_found(action: GatewayAction) -> ActionRefused:
    return ActionRefused(ErrorCode.NOT_FOUND, f"No worklist item has accession number {action.accession_number}")


def _moment(shown: Mapping[str, Any] | None) -> dict[str, str] | None:
    return {"at": shown["at"].isoformat(timespec="seconds"), "to": shown["to"]} if shown else None


def _at(item: Mapping[str, Any], path: str) -> Any:
    value: Any = item
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _short_id(prefix: str) -> str:
    """16 characters, of which 14 are random: 69 bits, so two alike are not to be expected in the gateway's life."""
    return prefix + "".join(secrets.choice(ID_ALPHABET) for _ in range(14))
