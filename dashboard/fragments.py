"""Owns the page's pieces: a snapshot as HTML, and what differs between two states of the page. Pure, but for templates.

A page is piece id → HTML. The pieces of rooms come and go, and stand in the order of the page; the others are always
there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.template.loader import render_to_string

from dashboard.rooms import Room, Stage
from dashboard.snapshot import Snapshot
from dashboard.viewer_permissions import Right, Standing

Page = Mapping[str, str]
ROOM = "room-"


def page_of(snapshot: Snapshot, standing: Standing) -> Page:
    """Every piece, with what somebody of this standing may see and follow."""
    common = {"now": snapshot.taken_at}
    attention = [each.seen_by(standing) for each in snapshot.attention]
    pieces = {
        "day": _piece("day", **common),
        "summary": _piece("summary", snapshot=snapshot, counts=_counts(snapshot.rooms), **common),
        "attention": _piece("attention", attention=attention, **common),
        "relay": _piece("relay", relay=snapshot.relay, **common),
        "worklist": _piece("worklist", worklist=snapshot.worklist, **common),
        "machines": _piece("machines", machines=snapshot.machines, **common),
    }
    who = {"standing": standing, "links": standing.follows(Right.ITEMS)}
    rooms = {_id_of(room): _piece("room", id=_id_of(room), room=room, **who) for room in snapshot.rooms}
    return {**pieces, **(rooms or {f"{ROOM}none": _piece("no_room")})}


@dataclass(frozen=True)
class Changes:
    """What to do with a page that is there: pieces to put in, and the ids of all rooms where those are others now."""

    pieces: Page
    rooms: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.pieces) or self.rooms is not None


def changes_between(old: Page, new: Page) -> Changes:
    """What makes the new page of the old one."""
    rooms = rooms_of(new)
    return Changes(
        {name: html for name, html in new.items() if old.get(name) != html}, rooms if rooms != rooms_of(old) else None
    )


def rooms_of(page: Page) -> tuple[str, ...]:
    """The pieces that are rooms, in their order."""
    return tuple(name for name in page if name.startswith(ROOM))


def _id_of(room: Room) -> str:
    """An id without anything in it that HTML or CSS would not take."""
    return f"{ROOM}{sha256(room.name.encode(errors='surrogateescape')).hexdigest()[:12]}"


def _counts(rooms: tuple[Room, ...]) -> dict[Stage, int]:
    return {stage: sum(room.counts[stage] for room in rooms) for stage in Stage}


def _piece(template: str, **context: Any) -> str:
    return render_to_string(f"dashboard/fragments/{template}.html", context).strip()
