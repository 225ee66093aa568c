"""Answer HTTP requests that come through the relay: POST an action, or GET health.

An action is executed as over a WebSocket and gets the same reply. Each error code has an HTTP status.
"""

import json
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from core.contract import ErrorCode
from relay.hybrid_connection.control_protocol import Request, Response
from relay.hybrid_connection.http_request import json_response

#: Frame, connection, correlation id → reply.
Dispatch = Callable[[str | bytes, str, str], str]

HEALTH = '{"action_type":"health"}'

#: HTTP status of each error code. Every other reply has 200.
STATUSES: dict[str, int] = {
    ErrorCode.INVALID_JSON: 400,
    ErrorCode.INVALID_ACTION: 400,
    ErrorCode.UNSUPPORTED_ACTION: 400,
    ErrorCode.UNSUPPORTED_SCHEMA_VERSION: 400,
    ErrorCode.NOT_FOUND: 404,
    ErrorCode.ACTION_ID_REUSED: 409,
    ErrorCode.ACCESSION_CONFLICT: 409,
    ErrorCode.INVALID_TRANSITION: 409,
    ErrorCode.TOO_LARGE: 413,
    ErrorCode.INTERNAL_ERROR: 500,
    ErrorCode.TEMPORARILY_UNAVAILABLE: 503,
}


def respond(request: Request, hybrid_connection: str, dispatch: Dispatch, connection: str) -> Response:
    """Respond to a request; `hybrid_connection` is the path that its target must begin with."""
    match request.method.upper(), _below(hybrid_connection, request.target):
        case "POST", "":
            reply = dispatch(request.body or b"", connection, request.correlation_id)
        case "GET", "health":
            reply = dispatch(HEALTH, connection, request.correlation_id)
        case _:
            return json_response(404, "Not Found: POST an action here, or GET health")
    code = json.loads(reply).get("code", "")
    return json_response(STATUSES.get(code, 200), code or "OK", reply)


def _below(hybrid_connection: str, target: str) -> str | None:
    """Return the rest of the target's path below the hybrid connection; None if the target is not below it."""
    path, base = unquote(urlsplit(target).path).strip("/"), hybrid_connection.strip("/")
    is_below = f"{path}/".lower().startswith(f"{base}/".lower())
    return path[len(base) :].strip("/") if is_below else None
