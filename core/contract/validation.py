"""Validate an action against the JSON Schema.

Nearly all actions are valid, and a compiled predicate says so. Only for one that is not, jsonschema finds out what is
wrong with it (complaints.py).
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from core.contract.gateway_action import ActionRefused, ErrorCode
from core.contract.predicate import Predicate, compiled
from core.contract.schema import FORMATS, SCHEMA_VERSION, load_schema


@cache
def is_valid() -> Predicate:
    """Compile the predicate of an action, which checks the DICOM formats too."""
    return compiled(load_schema("gateway_action"), FORMATS)


def validate(payload: Mapping[str, Any]) -> None:
    """Validate a payload against the schema.

    Raise ActionRefused with `unsupported_schema_version`, or with `invalid_action` and a message that lists each
    invalid path with the rule it breaks.
    """
    version = payload.get("schema_version")
    # To JSON Schema 2.0 is an integer too; True is not.
    if isinstance(version, bool) or not isinstance(version, int | float):
        version = None
    if version is not None and version == int(version) and version > SCHEMA_VERSION:
        raise ActionRefused(
            ErrorCode.UNSUPPORTED_SCHEMA_VERSION,
            f"schema_version {version:g} is not supported: this gateway supports versions up to {SCHEMA_VERSION}",
        )
    if not is_valid()(payload):
        from core.contract.complaints import complaints_about  # noqa: PLC0415 - jsonschema is large

        raise ActionRefused(ErrorCode.INVALID_ACTION, complaints_about(payload))
