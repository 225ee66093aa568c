"""Read and write the messages of a control channel (Hybrid Connections protocol: control channel messages). Pure."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from nonprod.relay_emulator.http_messages import Headers

#: RFC 7230 reserves these for the connection itself: they are not passed on in either direction.
RESERVED = frozenset(
    {"close", "connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade", "keep-alive"}
)
#: These may carry a token and are never passed on to a listener.
PRIVATE = frozenset({"servicebusauthorization", "authorization"})
HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9a-zA-Z]+")
NOT_IN_HEADER_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
STATUS = re.compile(r"[2-9][0-9]{2}")


@dataclass(frozen=True)
class RenewToken:
    """A new token for the channel it arrived on."""

    token: str = field(repr=False)


@dataclass(frozen=True)
class ListenerResponse:
    """A listener's response to one HTTP request. `status` is 0 if the listener gave none that can be sent."""

    request_id: str
    status: int
    reason: str = ""
    headers: Headers = field(default_factory=list, repr=False)
    has_body: bool = False
    body: bytes = field(default=b"", repr=False)
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class MessageReader:
    """Reads a listener's frames, and joins a response's text with the binary frame that follows it.

    A listener may send anything: the reader never raises, and ignores what the service does not know.
    """

    def __init__(self) -> None:
        self._without_body: ListenerResponse | None = None

    def read(self, frame: str | bytes) -> RenewToken | ListenerResponse | None:
        """Return the message that this frame completes, if any."""
        waiting, self._without_body = self._without_body, None
        if isinstance(frame, bytes):
            return replace(waiting, body=frame) if waiting else None
        message = read_text(frame)
        if isinstance(message, ListenerResponse) and message.has_body:
            self._without_body = message
            return None
        return message


def read_text(text: str) -> RenewToken | ListenerResponse | None:
    """Read one text frame; None if the service does not know the message."""
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match message:
        case {"renewToken": dict(renewal)}:
            return RenewToken(str(renewal.get("token") or ""))
        case {"response": dict(response)}:
            return _read_response(response)
    return None


def _read_response(response: Mapping[str, Any]) -> ListenerResponse:
    given = response.get("responseHeaders")
    headers = [
        (name, NOT_IN_HEADER_VALUE.sub("", str(value)).strip())
        for name, values in (given if isinstance(given, dict) else {}).items()
        # Node's client sends a list for a header that may be repeated, such as Set-Cookie.
        for value in (values if isinstance(values, list) else [values])
        if HEADER_NAME.fullmatch(name) and name.lower() not in RESERVED
    ]
    status = str(response.get("statusCode"))  # clients send a number or a text
    return ListenerResponse(
        request_id=str(response.get("requestId")),
        status=int(status) if STATUS.fullmatch(status) else 0,
        reason=str(response.get("statusDescription") or ""),
        headers=headers,
        has_body=response.get("body") is True,
        raw=response,
    )


def accept_message(address: str, identifier: str, headers: Iterable[tuple[str, str]]) -> str:
    """Write the message that calls a listener to a sender's WebSocket, with the sender's headers except its token."""
    public = [(name, value) for name, value in headers if name.lower() not in PRIVATE]
    return json.dumps({"accept": {"address": address, "id": identifier, "connectHeaders": merge_headers(public)}})


def with_extra_keys(text: str) -> str:
    """Write a message to a listener as some services do: in another order, with nulls and `remoteEndpoint`."""
    ((kind, content),) = json.loads(text).items()
    endpoint = {"address": "192.0.2.1", "port": 50123}
    nulls = dict.fromkeys(("method", "id", "requestHeaders", "connectHeaders", "body"))
    reordered = {key: value for key, value in reversed(content.items()) if value is not False}
    absent = "request" if kind == "accept" else "accept"
    return json.dumps(
        {absent: None, "remoteEndpoint": endpoint, kind: {"remoteEndpoint": endpoint, **nulls, **reordered}}
    )


def request_headers(headers: Iterable[tuple[str, str]], namespace: str, *, private: Iterable[str]) -> dict[str, str]:
    """Return the headers of an HTTP request for the listener, without reserved and `private` ones, and with Via."""
    hidden = RESERVED | set(private)
    kept = [(name, value) for name, value in headers if name.lower() not in hidden]
    return merge_headers([*kept, ("Via", f"1.1 {namespace}")])


def merge_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join the values of repeated headers into one list under the first spelling of the name (RFC 7230, 3.2.2)."""
    values: dict[str, tuple[str, list[str]]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), (name, []))[1].append(value)
    return {name: ("; " if key == "cookie" else ", ").join(all_) for key, (name, all_) in values.items()}
