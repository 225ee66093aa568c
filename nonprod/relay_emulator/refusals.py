"""Owns how the emulated service says no (Hybrid Connections protocol: what the service answers to the handshake). Pure.

A refusal has a status and a sentence; the service puts a tracking id behind it, which Azure's support asks for.
"""

import re
import uuid
from datetime import UTC, datetime
from http import HTTPStatus

#: What may not stand in a status line: it would end the line, or is in no one-byte alphabet.
NOT_IN_A_LINE = re.compile(r"[^\t\x20-\x7e\xa0-\xff]")


class Refused(Exception):
    """The handshake or request is answered with this status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def tracking_id() -> str:
    """An id for one connection or error, as the service makes them."""
    return f"{uuid.uuid4()}_G1"


def with_tracking(text: str, tracker: str, now: float) -> str:
    """The sentence as the service writes it: who refused it, where and when; `now` in Unix seconds."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}. TrackingId:{tracking_id()}, SystemTracker:{tracker}, Timestamp:{stamp}"


def reason_phrase(text: str, status: int) -> str:
    """`text` as the reason in a status line, or the status's own phrase when there is none."""
    line = NOT_IN_A_LINE.sub("?", text.strip())
    return line or (HTTPStatus(status).phrase if status in set(HTTPStatus) else "Refused")
