"""The contract with Manage: actions, replies and refusals.

The schema files are shared with Manage; docs/gateway-actions.md explains them. A frame passes through four steps:
`parse` (strict_json.py), `GatewayAction.from_payload` (gateway_action.py), `repaired` (repair.py) and `validate`
(validation.py). Pure: no module here uses Django, sockets or the database.
"""

from core.contract.gateway_action import (
    BEGUN,
    FINAL,
    HAS_ARRIVED,
    MAX_FRAME_BYTES,
    STEP_STATUSES,
    TEMPORARY_ERRORS,
    WAITING,
    ActionRefused,
    ActionType,
    ErrorCode,
    GatewayAction,
    Handler,
    ItemStatus,
    Reply,
    ReplyWarning,
    echo,
    error_reply,
    fingerprint,
    status_word,
    to_text,
    with_action_id,
)
from core.contract.repair import repaired
from core.contract.schema import SCHEMA_NAMES, SCHEMA_VERSION, load_schema, schema_text
from core.contract.strict_json import MAX_DEPTH, parse
from core.contract.validation import validate

__all__ = [
    "BEGUN",
    "FINAL",
    "HAS_ARRIVED",
    "MAX_DEPTH",
    "MAX_FRAME_BYTES",
    "SCHEMA_NAMES",
    "SCHEMA_VERSION",
    "STEP_STATUSES",
    "TEMPORARY_ERRORS",
    "WAITING",
    "ActionRefused",
    "ActionType",
    "ErrorCode",
    "GatewayAction",
    "Handler",
    "ItemStatus",
    "Reply",
    "ReplyWarning",
    "echo",
    "error_reply",
    "fingerprint",
    "load_schema",
    "parse",
    "repaired",
    "schema_text",
    "status_word",
    "to_text",
    "validate",
    "with_action_id",
]
