"""GatewayAction, its types, statuses and error codes, and the replies to it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from core import value_representations as vr

MAX_FRAME_BYTES = 1024 * 1024

Reply = dict[str, Any]


class ActionType(StrEnum):
    """The `action_type` of an action."""

    CREATE_ITEM = "worklist.create_item"
    CREATE_TEST_ITEM = "worklist.create_test_item"
    UPDATE_STATUS = "worklist.update_status"
    ITEM_STATUS = "worklist.item_status"
    CHANGES_SINCE = "worklist.changes_since"
    ECHO = "echo"
    HEALTH = "health"


class ItemStatus(StrEnum):
    """The status of a worklist item; a performed procedure step has one of STEP_STATUSES."""

    SCHEDULED = "SCHEDULED"
    ARRIVED = "ARRIVED"
    READY = "READY"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


HAS_ARRIVED = frozenset({ItemStatus.ARRIVED, ItemStatus.READY})
#: Before the examination. Manage changes these freely, as when it undoes a mistake.
WAITING = HAS_ARRIVED | {ItemStatus.SCHEDULED}
BEGUN = frozenset({ItemStatus.IN_PROGRESS, ItemStatus.COMPLETED})
FINAL = frozenset({ItemStatus.COMPLETED, ItemStatus.DISCONTINUED})
#: The terms of Performed Procedure Step Status (PS3.3 C.4.14).
STEP_STATUSES = frozenset(ItemStatus) - WAITING


def status_word(text: str) -> str:
    """Write a status as ItemStatus does; Manage may send it in any case, and with an underscore for the space."""
    return text.upper().replace("_", " ")


class ErrorCode(StrEnum):
    """The `code` of a reply whose status is `error`."""

    INVALID_JSON = "invalid_json"
    INVALID_ACTION = "invalid_action"
    UNSUPPORTED_ACTION = "unsupported_action"
    UNSUPPORTED_SCHEMA_VERSION = "unsupported_schema_version"
    ACTION_ID_REUSED = "action_id_reused"
    ACCESSION_CONFLICT = "accession_conflict"
    NOT_FOUND = "not_found"
    INVALID_TRANSITION = "invalid_transition"
    TOO_LARGE = "too_large"
    TEMPORARILY_UNAVAILABLE = "temporarily_unavailable"
    INTERNAL_ERROR = "internal_error"


#: Failures of the gateway, not of the action: sending the same action_id again tries it again.
TEMPORARY_ERRORS = frozenset({ErrorCode.TEMPORARILY_UNAVAILABLE, ErrorCode.INTERNAL_ERROR})


class ActionRefused(Exception):
    """The gateway does not execute the action.

    `code` and `message` become the reply. The message may name fields, but must not contain patient data.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


class ReplyWarning(NamedTuple):
    """What the gateway did otherwise than an action says. `path` and `repair` never hold a value of the action."""

    path: str
    repair: str


@dataclass(frozen=True)
class GatewayAction:
    """One action as received, or as it was repaired. The properties read it leniently: it may not be valid."""

    payload: Mapping[str, Any] = field(repr=False)
    action_type: str
    action_id: str | None
    warnings: tuple[ReplyWarning, ...] = ()

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> "GatewayAction":
        """Read an action's type and id: `""` for a type that is not text, None for an unusable action_id."""
        action_type, action_id = payload.get("action_type"), payload.get("action_id")
        usable = (
            isinstance(action_id, str) and 1 <= len(action_id) <= 100 and not vr.CONTROL_CHARACTERS.search(action_id)
        )
        return cls(payload, action_type if isinstance(action_type, str) else "", action_id if usable else None)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """`parameters`; empty if it is missing or not an object."""
        return _object(self.payload.get("parameters"))

    @property
    def worklist_item(self) -> Mapping[str, Any]:
        """`parameters.worklist_item`; empty if it is missing or not an object."""
        return _object(self.parameters.get("worklist_item"))

    @property
    def accession_number(self) -> str:
        """The item's accession number, without the spaces around it; empty if it is missing or invalid."""
        value = self.worklist_item.get("accession_number")
        return value.strip() if isinstance(value, str) and vr.is_text(value) and len(value) <= 16 else ""

    @property
    def appointment_id(self) -> str:
        """`source_reference.appointment_id` without the spaces around it; empty if it is no text, or cannot be kept."""
        value = _object(self.payload.get("source_reference")).get("appointment_id")
        if not isinstance(value, str) or len(value) > 200 or vr.CONTROL_CHARACTERS.search(value):
            return ""
        return value.strip()

    @property
    def source_system(self) -> str:
        """The first 64 characters of `source_system`; `unknown` if it is missing or not printable."""
        value = self.payload.get("source_system")
        return value[:64] if isinstance(value, str) and vr.is_text(value) else "unknown"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


Handler = Callable[[GatewayAction], Reply]


def echo(action: GatewayAction) -> Reply:
    """Return the action as received, which proves that the whole path carries traffic."""
    return {"status": "echo", "payload": dict(action.payload)}


def error_reply(refusal: ActionRefused, action_id: str | None = None) -> Reply:
    """Build the reply that tells a support engineer why an action was not executed."""
    return with_action_id({"status": "error", "code": refusal.code.value, "message": refusal.message}, action_id)


def with_action_id(reply: Reply, action_id: str | None) -> Reply:
    """Return the reply with the `action_id` that it answers, if the action has one."""
    return reply if action_id is None else {**reply, "action_id": action_id}


def to_text(reply: Mapping[str, Any]) -> str:
    """Write a reply or payload as one line of JSON."""
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":"))


def fingerprint(payload: Mapping[str, Any]) -> str:
    """Hash a payload's meaning (SHA-256, hex): key order, white space and escapes make no difference."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
