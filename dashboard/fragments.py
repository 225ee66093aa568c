"""Render a snapshot as fragments of HTML, and find what differs between two states of the page.

A page maps fragment id to HTML. The fragments of rooms come and go, and keep the order of the page; the others are
always there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from django.template.loader import render_to_string

from core.concerns import Severity
from dashboard.rooms import Stage
from dashboard.snapshot import Snapshot
from dashboard.viewer_permissions import ViewerPermissions

Page = Mapping[str, str]
ROOM = "room-"


@dataclass(frozen=True)
class Notice:
    """One line about a concern. It names an accession number, and has a link, only for viewers who may see them."""

    severity: Severity
    words: str
    what_to_do: str
    link: str


def notices(snapshot: Snapshot, viewer: ViewerPermissions) -> list[Notice]:
    """Return the lines of all open concerns as this viewer may see them."""
    return [
        Notice(
            concern.severity,
            line.words if viewer.sees_accession_numbers else line.words_without_number or line.words,
            concern.what_to_do,
            line.link if viewer.can_follow(line.permission) else "",
        )
        for concern in snapshot.concerns
        for line in concern.lines()
    ]


def render_page(snapshot: Snapshot, viewer: ViewerPermissions) -> Page:
    """Render every fragment with what this viewer may see and follow."""
    counts = {stage: sum(room.counts[stage] for room in snapshot.rooms) for stage in Stage}
    context = {
        "snapshot": snapshot,
        "now": snapshot.taken_at,
        "counts": counts,
        "notices": notices(snapshot, viewer),
        "viewer": viewer,
    }
    names = ("day", "summary", "attention", "relay", "worklist", "images", "modalities")
    fragments = {name: _fragment(name, **context) for name in names}
    for room in snapshot.rooms:
        # HTML and CSS accept a hash, whatever the room's name contains.
        room_id = f"{ROOM}{sha256(room.name.encode(errors='surrogateescape')).hexdigest()[:12]}"
        fragments[room_id] = _fragment("room", id=room_id, room=room, viewer=viewer)
    if not snapshot.rooms:
        fragments[f"{ROOM}none"] = _fragment("no_room")
    return fragments


@dataclass(frozen=True)
class Changes:
    """How to update a page: the fragments to replace, and the ids of all rooms in order if those have changed."""

    fragments: Page
    rooms: tuple[str, ...] | None = None

    def __bool__(self) -> bool:
        return bool(self.fragments) or self.rooms is not None


def changes_between(old: Page, new: Page) -> Changes:
    """Return how to turn the old page into the new one."""
    rooms = rooms_of(new)
    return Changes(
        {name: html for name, html in new.items() if old.get(name) != html}, rooms if rooms != rooms_of(old) else None
    )


def rooms_of(page: Page) -> tuple[str, ...]:
    """Return the ids of the fragments that are rooms, in order."""
    return tuple(name for name in page if name.startswith(ROOM))


def _fragment(template: str, **context: Any) -> str:
    return render_to_string(f"dashboard/fragments/{template}.html", context).strip()
