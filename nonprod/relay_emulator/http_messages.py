"""HTTP requests, responses and refusals, as the emulated service reads and writes them. Pure.

A refusal has a status and a sentence. The service appends a tracking id, which Azure's support asks for (Hybrid
Connections protocol: what the service answers to the handshake).
"""

import re
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus

#: Not allowed in a status line: these would end the line or are outside Latin-1.
NOT_IN_STATUS_LINE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class HttpRequest:
    """A request with its whole body. `target` may contain a token."""

    method: str
    target: str = field(repr=False)
    headers: Headers = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class HttpResponse:
    """A response without the headers of the connection: Date, Content-Length, Connection."""

    status: int
    reason: str
    headers: Headers = field(default_factory=list, repr=False)
    body: bytes = field(default=b"", repr=False)


class Refused(Exception):
    """The service answers the handshake or request with this status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def tracking_id() -> str:
    """Return a new id for one connection or error, in the service's format."""
    return f"{uuid.uuid4()}_G1"


def with_tracking(text: str, tracker: str, now: float) -> str:
    """Append tracking id, namespace (`tracker`) and time; `now` is in Unix seconds."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}. TrackingId:{tracking_id()}, SystemTracker:{tracker}, Timestamp:{stamp}"


def reason_phrase(text: str, status: int) -> str:
    """Return `text` made safe for a status line; without text, the status's standard phrase."""
    line = NOT_IN_STATUS_LINE.sub("?", text.strip())
    return line or (HTTPStatus(status).phrase if status in set(HTTPStatus) else "Refused")


def text_response(status: int, text: str) -> HttpResponse:
    """Return a response with the same text as reason and body."""
    headers = [("Content-Type", "text/plain; charset=utf-8")]
    return HttpResponse(status, reason_phrase(text, status), headers, text.encode())
