"""The schema files of the contract, and the formats that they name: DICOM's value representations and a few more."""

import json
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from core import value_representations as vr
from core.contract.gateway_action import ItemStatus, status_word

SCHEMA_VERSION = 1
SCHEMA_NAMES = ("gateway_action", "gateway_reply")
SCHEMAS = Path(__file__).parent / "schemas"


def schema_text(name: str) -> str:
    """Read the file of one of SCHEMA_NAMES, exactly as Manage receives it."""
    return (SCHEMAS / f"{name}_v{SCHEMA_VERSION}.schema.json").read_text(encoding="utf-8")


@cache
def load_schema(name: str) -> dict[str, Any]:
    """Load the schema of one of SCHEMA_NAMES."""
    schema: dict[str, Any] = json.loads(schema_text(name))
    return schema


def _birth_date(text: str) -> bool:
    if vr.parse_da(text) > date.today():  # noqa: DTZ011 - the process runs in the clinic's time zone
        raise ValueError("is in the future")
    return True


#: Format → its check: a text is invalid if that returns something false or raises ValueError.
FORMATS: Mapping[str, Callable[[str], Any]] = {
    "birth-date": _birth_date,
    "dicom-ae": vr.is_ae,
    "dicom-cs": vr.is_cs,
    "dicom-da": vr.parse_da,
    "dicom-ds": vr.is_ds,
    "dicom-lt": vr.is_long_text,
    "dicom-pn": vr.is_pn,
    "dicom-text": vr.is_text,
    "dicom-tm": lambda text: vr.parse_tm(text) is not None,
    "dicom-ui": vr.is_ui,
    "no-control-characters": lambda text: not vr.CONTROL_CHARACTERS.search(text),
    "worklist-status": lambda text: status_word(text) in set(ItemStatus),
}
