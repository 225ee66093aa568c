"""Owns what the texts on a control channel mean (Hybrid Connections protocol: control channel messages). Sans-I/O."""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Accept:
    """A sender waits at `address`, which is to be connected to exactly as it stands. Its query is as good as a token.

    `id` is the service's id of the rendezvous where that can stand in a log, and one made here otherwise.
    """

    address: str = field(repr=False)
    id: str
    connect_headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Request:
    """An HTTP request to be answered on this channel, by its id."""

    id: str


@dataclass(frozen=True)
class Unrecognised:
    """Anything else. `key` is what may be logged of it: its top-level key, or what kind of thing it is."""

    key: str


Event = Accept | Request | Unrecognised
LOGGABLE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


def read(text: str | bytes) -> Event:
    """What one frame on the control channel asks for. It never raises: the service may send what we do not know."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return Unrecognised("no JSON")
    if not isinstance(message, dict) or not message:
        return Unrecognised("no object")
    kind, body = next(iter(message.items()))
    if kind == "accept" and isinstance(body, dict) and isinstance(body.get("address"), str):
        return Accept(body["address"], _loggable(body.get("id")), _headers(body.get("connectHeaders")))
    if kind == "request" and isinstance(body, dict) and isinstance(body.get("id"), str):
        return Request(body["id"])
    return Unrecognised(str(kind)[:40])


def _loggable(value: Any) -> str:
    return value if isinstance(value, str) and LOGGABLE_ID.fullmatch(value) else secrets.token_hex(8)


def _headers(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}


def renew_token(token: str) -> str:
    """The message that gives the channel a new token before the old one ends; there is no answer to it."""
    return json.dumps({"renewToken": {"token": token}})


def refuse_request(request: Request) -> str:
    """The response to an HTTP request where none are served: a request that is never answered blocks a listener."""
    return json.dumps(
        {"response": {"requestId": request.id, "statusCode": 404, "statusDescription": "Not Found", "body": False}}
    )


def renewal_delay(now: float, expires_at: float, fraction: float = 0.8) -> float:
    """Seconds to wait from `now` until a token that ends at `expires_at` should be renewed; never less than one."""
    return max(1.0, (expires_at - now) * fraction)
