"""Owns the texts on a control channel, as the service writes and reads them. Pure.

Hybrid Connections protocol: control channel messages.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

#: What RFC 7230 reserves for the connection itself: never passed on, in either direction.
RESERVED = frozenset(
    {"close", "connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade", "keep-alive"}
)
#: Never in a message to a listener: they open the hybrid connection.
PRIVATE = frozenset({"servicebusauthorization", "authorization"})
HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Renewal:
    """A new token for the channel that it came on."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class Answer:
    """A listener's response to one HTTP request. `status` is 0 where the listener gave none that can be sent."""

    request_id: str
    status: int
    reason: str = ""
    headers: Headers = field(default_factory=list, repr=False)
    has_body: bool = False
    body: bytes = field(default=b"", repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Reader:
    """Reads what a listener sends, and puts a response's text and the binary message after it together.

    It never raises: a listener may send anything.
    """

    def __init__(self) -> None:
        self._without_body: Answer | None = None

    def read(self, frame: str | bytes) -> Renewal | Answer | None:
        """What is complete with this frame, if anything is."""
        waiting, self._without_body = self._without_body, None
        if isinstance(frame, bytes):
            return replace(waiting, body=frame) if waiting else None
        message = read_text(frame)
        if isinstance(message, Answer) and message.has_body:
            self._without_body = message
            return None
        return message


def read_text(text: str) -> Renewal | Answer | None:
    """What one text says; None for what the service does not know."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    match message:
        case {"renewToken": dict(renewal)}:
            return Renewal(str(renewal.get("token") or ""))
        case {"response": dict(response)}:
            return _answer(response)
    return None


def _answer(response: Mapping[str, Any]) -> Answer:
    headers = response.get("responseHeaders")
    return Answer(
        request_id=str(response.get("requestId")),
        status=_status(response.get("statusCode")),
        reason=str(response.get("statusDescription") or ""),
        headers=_response_headers(headers if isinstance(headers, dict) else {}),
        has_body=response.get("body") is True,
        raw=response,
    )


def _status(value: Any) -> int:
    """A status code that a response may have, as number or text; 0 for anything else."""
    text = str(value)
    return int(text) if re.fullmatch(r"[2-9][0-9]{2}", text) else 0


def _response_headers(headers: Mapping[str, Any]) -> Headers:
    """Those that may be sent, one line each: a value may be a list, as that of Set-Cookie is in Node."""
    flat = [(name, one) for name, value in headers.items() for one in (value if isinstance(value, list) else [value])]
    return [
        (name, NOT_IN_A_VALUE.sub("", str(value)).strip())
        for name, value in flat
        if HEADER_NAME.fullmatch(name) and name.lower() not in RESERVED
    ]


def accept_message(address: str, identifier: str, headers: Iterable[tuple[str, str]]) -> str:
    """The call to a listener for a sender's WebSocket, with all of the sender's headers but its token."""
    public = [(name, value) for name, value in headers if name.lower() not in PRIVATE]
    return json.dumps({"accept": {"address": address, "id": identifier, "connectHeaders": merged(public)}})


def request_headers(headers: Iterable[tuple[str, str]], namespace: str, *, private: Iterable[str]) -> dict[str, str]:
    """An HTTP request's headers as the listener is told them: none of the connection's own, none of `private`."""
    hidden = RESERVED | set(private)
    kept = [(name, value) for name, value in headers if name.lower() not in hidden]
    return merged([*kept, ("Via", f"1.1 {namespace}")])


def merged(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers as an object: one that is given more than once is one list, under the name that came first (RFC 7230)."""
    values: dict[str, tuple[str, list[str]]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), (name, []))[1].append(value)
    return {name: ("; " if key == "cookie" else ", ").join(all_) for key, (name, all_) in values.items()}
