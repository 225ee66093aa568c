"""Repair the values of `worklist.create_item` that DICOM does not allow, where that cannot change who is meant.

Manage's own limits are wider than DICOM's, and a woman whose item is refused is on no list. A value that the schema
still refuses cannot be guessed, and the action is refused.
"""

import copy
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core import value_representations as vr
from core.contract.gateway_action import ActionType, GatewayAction, ReplyWarning

SHORTENED = "shortened"
CLEANED = "control characters replaced by spaces"
JOINED = "surplus components joined"
GROUPS_LEFT_OUT = "surplus groups left out"
LEFT_OUT = "left out"

WORKLIST_ITEM = "parameters.worklist_item."
CREATING = frozenset({ActionType.CREATE_ITEM, ActionType.CREATE_TEST_ITEM})

ZERO_WIDTH_JOINER = "\u200d"
#: What belongs to the character before it, apart from combining marks: Hangul vowels and finals, and colours of emoji.
CONTINUING = ((0x1160, 0x11FF), (0x1F3FB, 0x1F3FF))

#: Returns the value as DICOM allows it, and what was done to it.
Rule = Callable[[Any], tuple[Any, list[str]]]


def repaired(action: GatewayAction) -> GatewayAction:
    """Return the action with legal values and a warning for each repair; one without a fault is returned unchanged."""
    if action.action_type not in CREATING:
        return action
    item = copy.deepcopy(dict(action.worklist_item))
    warnings: list[ReplyWarning] = []
    for path, rule in RULES.items():
        *groups, key = path.split(".")
        holder: Any = item
        for group in groups:
            holder = holder.get(group) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and holder.get(key) is not None:
            is_blank = isinstance(holder[key], str) and not holder[key].strip()
            holder[key], repairs = ("", []) if is_blank else rule(holder[key])
            warnings += [ReplyWarning(f"{WORKLIST_ITEM}{path}", repair) for repair in repairs]
    if item == action.worklist_item:
        return action
    payload = {**action.payload, "parameters": {**action.parameters, "worklist_item": item}}
    return replace(action, payload=payload, warnings=tuple(warnings))


def shortened(text: str, length: int) -> str:
    """Cut a text to a number of characters, before the letter that does not fit as a whole."""
    if len(text) <= length:
        return text
    text = composed(text)
    while 0 < length < len(text) and _is_one_letter(text[length - 1], text[length]):
        length -= 1
    return text[:length].rstrip()


def composed(text: str) -> str:
    """Write letters with their accents as one character where Unicode has one (NFC), which loses nothing."""
    normal = unicodedata.normalize("NFC", text)
    return normal if len(normal) < len(text) else text


def _is_one_letter(before: str, after: str) -> bool:
    return (
        unicodedata.category(after).startswith("M")
        or ZERO_WIDTH_JOINER in (before, after)
        or any(first <= ord(after) <= last for first, last in CONTINUING)
    )


def _cleaned(text: str) -> tuple[str, list[str]]:
    """Replace each backslash and control character by a space, and then make each run of spaces one."""
    spaced = vr.CONTROL_CHARACTERS.sub(" ", text.replace("\\", " "))
    return (text.strip(), []) if spaced == text else (re.sub(" +", " ", spaced).strip(), [CLEANED])


def _clean_and_shorten(representation: str) -> Rule:
    """Clean and shorten a text."""
    length = vr.MAX_LENGTHS[representation]

    def repair(value: Any) -> tuple[Any, list[str]]:
        if not isinstance(value, str):
            return None, [LEFT_OUT]
        cleaned, repairs = _cleaned(value)
        short = shortened(cleaned, length) or cleaned[:length]
        return short, repairs + [SHORTENED] * (short not in (cleaned, composed(cleaned)))

    return repair


def _repair_name(value: Any) -> tuple[Any, list[str]]:
    """Repair a person name, group by group (PS3.5 section 6.2.1). One with nothing to read stays illegal."""
    if not isinstance(value, str):
        return value, []
    cleaned, repairs = _cleaned(value)
    groups = cleaned.split("=")
    if any(groups[vr.PN_GROUPS :]):
        repairs.append(GROUPS_LEFT_OUT)
    kept = [_group(group) for group in groups[: vr.PN_GROUPS]]
    repairs += dict.fromkeys(repair for _, done in kept for repair in done)
    return "=".join(group for group, _ in kept), repairs


def _group(group: str) -> tuple[str, list[str]]:
    """Join surplus components to the last, and shorten from the last on, the family name only at the end."""
    repairs = []
    components = [component.strip() for component in group.split("^")]
    surplus = list(filter(None, components[vr.PN_COMPONENTS :]))
    components = components[: vr.PN_COMPONENTS]
    if surplus:
        components[-1] = " ".join(filter(None, [components[-1], *surplus]))
        repairs.append(JOINED)
    if len(_joined(components)) > vr.PN_GROUP_LENGTH:
        components = [composed(_trimmed(component)) for component in components]
    if len(whole := _joined(components)) <= vr.PN_GROUP_LENGTH:
        return whole, repairs
    for index in reversed(range(len(components))):
        room = len(components[index]) - max(len(_joined(components)) - vr.PN_GROUP_LENGTH, 0)
        components[index] = shortened(components[index], max(room, 0))
    return _joined(components) or whole[: vr.PN_GROUP_LENGTH], [*repairs, SHORTENED]


def _joined(components: list[str]) -> str:
    return "^".join(components).rstrip("^")


def _trimmed(text: str) -> str:
    """Cut off what leaves no mark on paper."""
    printable = [index for index, each in enumerate(text) if unicodedata.category(each) not in vr.UNPRINTABLE]
    return text[printable[0] : printable[-1] + 1] if printable else ""


def _drop_invalid_name(value: Any) -> tuple[Any, list[str]]:
    name, repairs = _repair_name(value)
    return (name, repairs) if isinstance(name, str) and vr.is_pn(name) else (None, [LEFT_OUT])


def _drop_unless(is_legal: Callable[[Any], bool]) -> Rule:
    """Leave a value out unless it is legal."""
    return lambda value: (value, []) if is_legal(value) else (None, [LEFT_OUT])


def _drop_unless_valid(representation: str) -> Rule:
    """Leave a text out unless its VR allows it; the spaces around it do not count."""

    def repair(value: Any) -> tuple[Any, list[str]]:
        text = value.strip() if isinstance(value, str) else ""
        is_legal = len(text) <= vr.MAX_LENGTHS[representation] and vr.IS_VALUE[representation](text)
        return (text, []) if is_legal else (None, [LEFT_OUT])

    return repair


def _is_weight(value: Any) -> bool:
    if isinstance(value, str):
        return vr.is_ds(value)
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1000


#: Path in `parameters.worklist_item` → how its value is repaired. The schema refuses every other illegal value.
RULES: dict[str, Rule] = {
    "study_instance_uid": _drop_unless_valid("UI"),
    "requested_procedure_id": _drop_unless_valid("SH"),
    "scheduled_procedure_step_id": _drop_unless_valid("SH"),
    "participant.name": _repair_name,
    "participant.sex": _drop_unless(lambda value: isinstance(value, str)),
    "participant.address": _clean_and_shorten("LO"),
    "participant.weight": _drop_unless(_is_weight),
    "participant.comments": _drop_unless_valid("LT"),
    "scheduled.station_ae_title": _drop_unless_valid("AE"),
    "scheduled.station_name": _clean_and_shorten("SH"),
    "scheduled.location": _clean_and_shorten("SH"),
    "scheduled.performing_physician_name": _drop_invalid_name,
    "procedure.study_description": _clean_and_shorten("LO"),
    "procedure.code": _drop_unless_valid("SH"),
    "procedure.coding_scheme": _drop_unless_valid("SH"),
    "procedure.code_meaning": _clean_and_shorten("LO"),
    "procedure.protocol_code": _drop_unless(lambda value: isinstance(value, dict)),
    "procedure.protocol_code.code": _drop_unless_valid("SH"),
    "procedure.protocol_code.coding_scheme": _drop_unless_valid("SH"),
    "procedure.protocol_code.code_meaning": _clean_and_shorten("LO"),
}
