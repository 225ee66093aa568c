"""Parse and build the messages of a control channel (Hybrid Connections protocol: control channel messages).

This module is sans-I/O, as h11 is for HTTP: it never touches a socket. Whoever owns the socket passes each received
frame to `ControlProtocol.receive`, and gets back the events that the frame completes. To send, it passes on the text
that `renew_token` or `response_messages` returns.

Almost every message is one text frame, a JSON object, and the key that it has makes the event:

    {"accept": …}                          Accept: a sender waits at a rendezvous address
    {"request": {"method": …, …}}          Request: an HTTP request without a body
    {"request": {"address": …}}            RendezvousRequest: an HTTP request to be fetched from that address
    anything else                          Unrecognised

Objects have no order, null means absent, and keys that the protocol does not define, such as `remoteEndpoint`, may
stand anywhere.

There is a single state, since a request can announce a body (`"body": true`), which follows as a binary frame. Until it
comes, the protocol holds the request back, and `awaited_id` is its id. The owner of the socket decides how long to wait
and calls `give_up_body` when it waits no longer. Text frames in between are events as usual, so an accept never waits
for a body; another request that announces a body means that the first body will not come.
"""

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

#: The largest body that may travel on the control channel. Bytes.
MAX_BODY_BYTES = 64 * 1024
#: A token is renewed after a fraction of its life, drawn at random from this range.
RENEWAL_FRACTIONS = (0.75, 0.85)
LOGGABLE_ID = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
#: How many kinds of unrecognised messages are reported, so that a broken service cannot fill the log.
MAX_UNRECOGNISED = 100


@dataclass(frozen=True)
class Accept:
    """A sender waits at `address`. Connect to exactly that URL, and keep it secret: its query is as good as a token.

    `id` is the service's id of the rendezvous if that is safe to log, and a random one otherwise.
    """

    address: str = field(repr=False)
    id: str
    connect_headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def header(self, name: str) -> str:
        """Return one of the sender's headers, ignoring the case of its name; empty when the sender did not send it."""
        wanted = name.lower()
        return next((text for key, text in self.connect_headers.items() if key.lower() == wanted), "")


@dataclass(frozen=True)
class Request:
    """An HTTP request, to be answered by its id, on the channel or at `address`.

    `body` is None until the announced body has come, or when it never does. `correlation_id` is the id if that is safe
    to log, and a random one otherwise.
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
    """An HTTP request that does not fit on the channel: fetch it from `address`, and answer it there."""

    address: str = field(repr=False)
    correlation_id: str


@dataclass(frozen=True)
class Unrecognised:
    """A message that the protocol does not define. `key` is safe to log: its top-level key, or what it is instead."""

    key: str


Event = Accept | Request | RendezvousRequest | Unrecognised


@dataclass(frozen=True)
class Response:
    """The response to an HTTP request."""

    status: int
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    description: str = ""


class ControlProtocol:
    """The receiving side of one control channel, or of the rendezvous of one request."""

    def __init__(self) -> None:
        self._awaiting_body: Request | None = None
        self._unrecognised: set[str] = set()

    def receive(self, frame: str | bytes) -> list[Event]:
        """Return the events that this frame completes.

        Never raises: the service may send what we do not know. Returns each kind of unrecognised message once.
        """
        if isinstance(frame, bytes) and self._awaiting_body:
            request, self._awaiting_body = self._awaiting_body, None
            return [replace(request, body=frame)]
        events = [Unrecognised("binary")] if isinstance(frame, bytes) else _parse(frame)
        return [event for parsed in events for event in self._completed_by(parsed)]

    def _completed_by(self, event: Event) -> list[Event]:
        """Return the event, unless its body is still to come or it is an unrecognised message of a known kind."""
        match event:
            case Unrecognised(key):
                if key in self._unrecognised or len(self._unrecognised) >= MAX_UNRECOGNISED:
                    return []
                self._unrecognised.add(key)
            case Request(body=None):
                given_up = self.give_up_body()
                self._awaiting_body = event
                return given_up
        return [event]

    def give_up_body(self) -> list[Event]:
        """Stop waiting for a body; return the request without it, if there is one, so that it can be answered."""
        request, self._awaiting_body = self._awaiting_body, None
        return [request] if request else []

    @property
    def awaited_id(self) -> str:
        """The id of the request whose body should come next; empty when no body is expected."""
        return self._awaiting_body.id if self._awaiting_body else ""


def _parse(frame: str) -> Sequence[Event]:
    """Return the events of a text frame; a Request whose body is to follow has None."""
    try:
        message = json.loads(frame)
    except (ValueError, RecursionError):
        return [Unrecognised("no JSON")]
    present = _without_nulls(message)
    if not present:
        return [Unrecognised("no object")]
    known = [_parse_content(kind, present[kind]) for kind in ("accept", "request") if kind in present]
    return known or [Unrecognised(next(iter(present))[:40])]


def _parse_content(kind: str, content: Any) -> Event:
    content = _without_nulls(content)
    match kind, content:
        case "accept", {"address": str(address)}:
            return Accept(address, _loggable(content.get("id")), _headers(content.get("connectHeaders")))
        case "request", {"id": str(identifier), "method": str(method)}:
            address, target = (str(content.get(key, "")) for key in ("address", "requestTarget"))
            headers = _headers(content.get("requestHeaders"))
            body = None if content.get("body") is True else b""
            return Request(identifier, _loggable(identifier), address, method, target, headers, body)
        case "request", {"address": str(address)}:
            return RendezvousRequest(address, _loggable(content.get("id")))
    return Unrecognised(kind)


def _without_nulls(value: Any) -> dict[str, Any]:
    """Return an object without the keys that are null; empty when the value is no object."""
    return {key: each for key, each in value.items() if each is not None} if isinstance(value, dict) else {}


def _loggable(value: Any) -> str:
    return value if isinstance(value, str) and LOGGABLE_ID.fullmatch(value) else secrets.token_hex(8)


def _headers(value: Any) -> dict[str, str]:
    return {name: str(text) for name, text in _without_nulls(value).items()}


def renew_token(token: str) -> str:
    """Return the message that replaces the channel's token before it expires. The service does not answer it."""
    return json.dumps({"renewToken": {"token": token}})


def response_messages(request_id: str, response: Response) -> tuple[str | bytes, ...]:
    """Return the messages that answer a request: a text, then a binary one when there is a body.

    Send them with no other message in between.
    """
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
    """Return the seconds until a token valid for `life` more seconds is renewed; never less than one."""
    return max(1.0, life * fraction)
