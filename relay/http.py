"""Owns what is served over HTTP through the relay: an action by POST, the gateway's health by GET, nothing else.

An action is executed as over a WebSocket, with the same reply; the status says what an HTTP client wants to know of it.
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

#: A failure's code → HTTP status. Everything that is no failure is 200.
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
    """The response to a request; `hybrid_connection` is the path that its target begins with."""
    match request.method.upper(), _below(hybrid_connection, request.target):
        case "POST", "":
            return _answered(dispatch(request.body or b"", connection, request.correlation_id))
        case "GET", "health":
            return _answered(dispatch(HEALTH, connection, request.correlation_id))
        case _:
            return json_response(404, "Not Found: POST an action here, or GET health")


def _below(hybrid_connection: str, target: str) -> str | None:
    """What follows the hybrid connection's own path in a request's target; None where that is not there."""
    path, base = unquote(urlsplit(target).path).strip("/"), hybrid_connection.strip("/")
    is_below = f"{path}/".lower().startswith(f"{base}/".lower())
    return path[len(base) :].strip("/") if is_below else None


def _answered(reply: str) -> Response:
    code = json.loads(reply).get("code", "")
    return json_response(STATUSES.get(code, 200), code or "OK", reply)
