"""Owns the contract with Manage: what a GatewayAction is, and what its replies and refusals look like.

The rules are in schemas/gateway_action_v1.schema.json, the file that is shared with Manage; the words of
docs/gateway-actions.md explain them. Pure: neither sockets nor the database.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeGuard, cast

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from core import value_representations as vr

SCHEMA_VERSION = 1
MAX_FRAME_BYTES = 1024 * 1024
MAX_DEPTH = 64
SCHEMA_NAMES = ("gateway_action", "gateway_reply")
SCHEMAS = Path(__file__).parent / "schemas"

#: What a refusal may quote of a date or a time: no name and no NHS number that was put in the wrong place.
QUOTABLE = re.compile(r"[0-9]{0,8}|[0-9]{1,4}([-./:][0-9]{1,2}){1,2}")

Reply = dict[str, Any]


class ActionType(StrEnum):
    """What an action can ask for."""

    CREATE_ITEM = "worklist.create_item"
    CREATE_TEST_ITEM = "worklist.create_test_item"
    UPDATE_STATUS = "worklist.update_status"
    ITEM_STATUS = "worklist.item_status"
    CHANGES_SINCE = "worklist.changes_since"
    ECHO = "echo"
    HEALTH = "health"


class ItemStatus(StrEnum):
    """The status of a worklist item, and of a performed procedure step (all but SCHEDULED)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


WORKLIST_STATUSES = tuple(status.value for status in ItemStatus)


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


#: Failures that say nothing about the action itself: the same action_id again tries again.
PASSING_ERRORS = frozenset({ErrorCode.TEMPORARILY_UNAVAILABLE, ErrorCode.INTERNAL_ERROR})


class ActionRefused(Exception):
    """The action is not done. `code` and `message` become the reply; the message may name fields, never a person."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


@dataclass(frozen=True)
class GatewayAction:
    """One action as it came, with what this end reads in it."""

    payload: Mapping[str, Any] = field(repr=False)
    action_type: str
    action_id: str | None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """`parameters`; empty where the payload has none."""
        return _object(self.payload.get("parameters"))

    @property
    def worklist_item(self) -> Mapping[str, Any]:
        """`parameters.worklist_item`; empty where the payload has none."""
        return _object(self.parameters.get("worklist_item"))

    @property
    def accession_number(self) -> str:
        """The accession number the action is about, without insignificant spaces; empty where there is no legal one."""
        value = self.worklist_item.get("accession_number")
        return value.strip() if isinstance(value, str) and vr.is_text(value) and len(value) <= 16 else ""

    @property
    def source_system(self) -> str:
        """Who made the action, as far as it can be shown; `unknown` otherwise."""
        value = self.payload.get("source_system")
        return value[:64] if isinstance(value, str) and vr.is_text(value) else "unknown"


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


Handler = Callable[[GatewayAction], Reply]


def echo(action: GatewayAction) -> Reply:
    """The proof that a path carries traffic: the action as received."""
    return {"status": "echo", "payload": dict(action.payload)}


def error_reply(refusal: ActionRefused, action_id: str | None = None) -> Reply:
    """The reply that tells a support engineer why an action was not done."""
    reply: Reply = {"status": "error", "code": refusal.code.value, "message": refusal.message}
    return reply if action_id is None else {**reply, "action_id": action_id}


def to_text(reply: Mapping[str, Any]) -> str:
    """A reply or payload as one line of JSON."""
    return json.dumps(reply, ensure_ascii=False, separators=(",", ":"))


def fingerprint(payload: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the payload's meaning: the order of keys and white space do not count."""
    canonical = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


# From a frame to an object ------------------------------------------------------------------------------------------


def parse(frame: str | bytes) -> dict[str, Any]:
    """The JSON object in a frame; ActionRefused with `too_large` or `invalid_json` where there is none.

    Stricter than json.loads where two readers could understand different things, or a database could not keep it:
    duplicate keys, NaN, numbers beyond a double, half a surrogate pair.
    """
    raw = frame if isinstance(frame, bytes) else frame.encode(errors="surrogatepass")
    if len(raw) > MAX_FRAME_BYTES:
        raise ActionRefused(ErrorCode.TOO_LARGE, f"The frame has {len(raw)} bytes; the limit is {MAX_FRAME_BYTES}")
    try:
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_object_without_duplicates,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        _refuse_depth(value)
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise _invalid_json("is not UTF-8") from None
    except UnicodeEncodeError:
        raise _invalid_json("has half a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise _invalid_json(f"is not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise _invalid_json(f"is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # ours, below, and Python's on an integer of thousands of digits
        raise _invalid_json(error.args[0] if isinstance(error, _Unacceptable) else "has an endless number") from None
    if not isinstance(value, dict):
        raise _invalid_json("is JSON, but no object")
    return value


class _Unacceptable(ValueError):
    """JSON that this contract does not take; the text has no value of the frame in it."""


def _invalid_json(what: str) -> ActionRefused:
    return ActionRefused(ErrorCode.INVALID_JSON, f"The frame {what}")


def _object_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Unacceptable("has a key twice in one object")
    return found


def _refuse_constant(name: str) -> float:
    raise _Unacceptable(f"has {name}, which is not JSON")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Unacceptable("has a number that is too large")
    return number


def _refuse_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise _Unacceptable(f"is nested deeper than {MAX_DEPTH} levels")
        level = [
            child
            for parent in level
            if isinstance(parent, dict | list)
            for child in (parent.values() if isinstance(parent, dict) else parent)
        ]


# From an object to an action ----------------------------------------------------------------------------------------


def known_action_id(payload: Mapping[str, Any]) -> str | None:
    """The action_id, when there is one by which an action can be known again."""
    value = payload.get("action_id")
    usable = isinstance(value, str) and 1 <= len(value) <= 100 and not vr.CONTROL_CHARACTERS.search(value)
    return value if usable else None


def validate(payload: Mapping[str, Any]) -> None:
    """Hold a payload against the schema; ActionRefused with `invalid_action` names each path and the rule it breaks."""
    version = payload.get("schema_version")
    if _is_whole(version) and version > SCHEMA_VERSION:
        raise ActionRefused(
            ErrorCode.UNSUPPORTED_SCHEMA_VERSION,
            f"schema_version {version:g} is not supported: this gateway knows versions up to {SCHEMA_VERSION}",
        )
    complaints: dict[str, str] = {}
    for error in sorted(action_validator().iter_errors(payload), key=_severity):
        for path, rule in _complaints(error):
            complaints.setdefault(path, f"{path}: {rule}")
    if complaints:
        raise ActionRefused(ErrorCode.INVALID_ACTION, "; ".join(complaints[path] for path in sorted(complaints)))


def schema_text(name: str) -> str:
    """The schema file of one of SCHEMA_NAMES, as it is shared."""
    return (SCHEMAS / f"{name}_v{SCHEMA_VERSION}.schema.json").read_text(encoding="utf-8")


@cache
def load_schema(name: str) -> dict[str, Any]:
    """The schema of one of SCHEMA_NAMES."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


@cache
def action_validator() -> Draft202012Validator:
    """The validator of an action, with the DICOM formats checked."""
    return Draft202012Validator(load_schema("gateway_action"), format_checker=FORMATS)


FORMATS = FormatChecker(formats=())


def _format(name: str, holds: Callable[[str], Any]) -> None:
    """Register a format: `holds` is false, or raises ValueError, for a text that is not of it."""
    FORMATS.checks(name, raises=ValueError)(lambda value: not isinstance(value, str) or bool(holds(value)))


def _birth_date(text: str) -> bool:
    if vr.parse_da(text) > date.today():  # noqa: DTZ011 - the process runs in the clinic's time zone
        raise ValueError("is in the future")
    return True


_format("birth-date", _birth_date)
_format("dicom-ae", vr.is_ae)
_format("dicom-cs", vr.is_cs)
_format("dicom-da", vr.parse_da)
_format("dicom-ds", vr.is_ds)
_format("dicom-lt", vr.is_long_text)
_format("dicom-pn", vr.is_pn)
_format("dicom-text", vr.is_text)
_format("dicom-tm", lambda text: vr.parse_tm(text) is not None)
_format("dicom-ui", vr.is_ui)
_format("no-control-characters", lambda text: not vr.CONTROL_CHARACTERS.search(text))
_format("worklist-status", lambda text: text.upper() in WORKLIST_STATUSES)


def _is_whole(value: Any) -> TypeGuard[int | float]:
    """An integer as JSON Schema has it: 2.0 is one."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)


#: Of several rules that one value breaks the first of these is told.
SEVERITY = ("required", "type", "minLength", "maxLength", "format", "pattern")


def _severity(error: ValidationError) -> int:
    return SEVERITY.index(str(error.validator)) if error.validator in SEVERITY else len(SEVERITY)


def _complaints(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Path and broken rule for one error of the validator. Of values only dates and times are quoted, if at all."""
    path = error.json_path.removeprefix("$.")
    if error.validator == "required":
        required, instance = cast("list[str]", error.validator_value), cast("dict[str, Any]", error.instance)
        for name in required:
            if name not in instance:
                yield (name if path == "$" else f"{path}.{name}"), "is required"
    elif error.validator == "anyOf" and not _title(error):
        yield from _complaints_of_branches(path, error)
    else:
        yield path, _rule(error)


def _complaints_of_branches(path: str, error: ValidationError) -> Iterator[tuple[str, str]]:
    """Of an optional value: what is wrong in the branch that takes its type."""
    meant = [inner for inner in error.context or () if inner.validator not in ("type", "enum")]
    for inner in sorted(meant, key=_severity):
        yield from _complaints(inner)
    if not meant:
        yield path, "is not of type string"


def _rule(error: ValidationError) -> str:
    rule: Any = error.validator_value
    value: Any = error.instance
    if isinstance(error.cause, ValueError):
        shown = value if QUOTABLE.fullmatch(value) else "…"
        return f"'{shown}' {error.cause}"
    if error.validator == "type":
        wanted = rule if isinstance(rule, list) else [rule]
        return f"is not of type {' or '.join(wanted)}"
    if error.validator == "maxLength":
        return f"has {len(value)} characters, at most {rule} are allowed"
    if error.validator == "minLength":
        return "is empty"
    return f"is not {_title(error) or f'valid ({error.validator})'}"


def _title(error: ValidationError) -> str:
    return str(error.schema.get("title", "")) if isinstance(error.schema, dict) else ""
