"""Owns what the frames on a control channel mean, and what is sent on it (Hybrid Connections protocol: control channel
messages). Sans-I/O.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: The largest body that may travel on the control channel. Bytes.
MAX_BODY_BYTES = 64 * 1024
#: A token is renewed after a part of its life that is drawn from these.
RENEWAL_FRACTIONS = (0.75, 0.85)
LOGGABLE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
#: So many different messages that are not understood are told; a service gone mad does not fill the log.
MAX_UNRECOGNISED = 100


@dataclass(frozen=True)
class Accept:
    """A sender waits at `address`, which is to be connected to exactly as it stands. Its query is as good as a token.

    `id` is the service's id of the rendezvous where that can stand in a log, and one made here otherwise.
    """

    address: str = field(repr=False)
    id: str
    connect_headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def header(self, name: str) -> str:
        """One of the sender's headers, whatever the case of its name; empty where there is none."""
        wanted = name.lower()
        return next((text for key, text in self.connect_headers.items() if key.lower() == wanted), "")


@dataclass(frozen=True)
class Request:
    """An HTTP request, to be answered by its id: on the channel or at `address`.

    `body` is None where one was announced and never came; `correlation_id` is the id where that can stand in a log,
    and one made here otherwise.
    """

    id: str = field(repr=False)
    correlation_id: str
    address: str = field(repr=False)
    method: str
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=b"", repr=False)


@dataclass(frozen=True)
class RendezvousRequest:
    """An HTTP request that is too large for the channel: it is to be fetched from `address`, and answered there."""

    address: str = field(repr=False)
    correlation_id: str


@dataclass(frozen=True)
class Unrecognised:
    """Anything else. `key` is what may be logged of it: its top-level key, or what kind of thing it is."""

    key: str


Event = Accept | Request | RendezvousRequest | Unrecognised


@dataclass(frozen=True)
class Response:
    """The answer to an HTTP request."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    description: str = ""


class ControlProtocol:
    """The frames of one channel, or of one request's own socket, in their order: it knows whose body comes next."""

    def __init__(self) -> None:
        self._without_body: Request | None = None
        self._unrecognised: set[str] = set()

    def receive(self, frame: str | bytes) -> list[Event]:
        """What one frame asks for. It never raises: the service may send what we do not know.

        Each kind of message that is not understood is returned once, so that it is told once.
        """
        if isinstance(frame, bytes) and self._without_body:
            request, self._without_body = self._without_body, None
            return [replace(request, body=frame)]
        if isinstance(frame, bytes):
            return self._told(Unrecognised("binary"))
        event, has_body = _read(frame)
        if isinstance(event, Unrecognised):
            return self._told(event)
        if not (isinstance(event, Request) and has_body):
            return [event]
        given_up = self.give_up_body()
        self._without_body = event
        return given_up

    def give_up_body(self) -> list[Event]:
        """The request whose body has not come and will not be waited for any more, so that it can be answered."""
        bodiless, self._without_body = self._without_body, None
        return [replace(bodiless, body=None)] if bodiless else []

    @property
    def awaited_id(self) -> str:
        """The id of the request whose body comes next; empty where none does."""
        return self._without_body.id if self._without_body else ""

    def _told(self, event: Unrecognised) -> list[Event]:
        if event.key in self._unrecognised or len(self._unrecognised) >= MAX_UNRECOGNISED:
            return []
        self._unrecognised.add(event.key)
        return [event]


def _read(frame: str) -> tuple[Event, bool]:
    """The event of one frame, and whether a body follows it."""
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return Unrecognised("no JSON"), False
    if not isinstance(message, dict) or not message:
        return Unrecognised("no object"), False
    kind, body = next(iter(message.items()))
    return _event(kind, body if isinstance(body, dict) else {})


def _event(kind: str, body: dict[str, Any]) -> tuple[Event, bool]:
    match kind, body:
        case "accept", {"address": str(address)}:
            return Accept(address, _loggable(body.get("id")), _headers(body.get("connectHeaders"))), False
        case "request", {"id": str(identifier), "method": str(method)}:
            address, target = (str(body.get(key) or "") for key in ("address", "requestTarget"))
            headers = _headers(body.get("requestHeaders"))
            request = Request(identifier, _loggable(identifier), address, method, target, headers)
            return request, body.get("body") is True
        case "request", {"address": str(address)}:
            return RendezvousRequest(address, _loggable(body.get("id"))), False
        case _:
            return Unrecognised(kind[:40]), False


def _loggable(value: Any) -> str:
    return value if isinstance(value, str) and LOGGABLE_ID.fullmatch(value) else secrets.token_hex(8)


def _headers(value: Any) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()} if isinstance(value, dict) else {}


def renew_token(token: str) -> str:
    """The message that gives the channel a new token before the old one ends; there is no answer to it."""
    return json.dumps({"renewToken": {"token": token}})


def response_messages(request_id: str, response: Response) -> tuple[str | bytes, ...]:
    """The messages that answer a request: a text and, where there is a body, a binary one right after it."""
    head = {
        "requestId": request_id,
        "statusCode": response.status,
        "statusDescription": response.description,
        "responseHeaders": dict(response.headers),
        "body": bool(response.body),
    }
    text = json.dumps({"response": head})
    return (text, response.body) if response.body else (text,)


def renewal_delay(life: float, fraction: float) -> float:
    """Seconds until a token that is good for `life` seconds more is renewed; never less than one."""
    return max(1.0, life * fraction)
