"""Read the database once for all viewers of this process, and send each viewer what has changed.

The database is read when it has changed, at most once a second and at least every five seconds, because the page also
changes as time passes. A viewer gets the difference between the latest page and the page it has: a slow viewer gets
fewer messages, and none are queued. More viewers cost more messages, but no more queries and no more rendering.

Permissions are checked after the snapshot is taken, in the same read: nothing newer than a viewer's last valid check is
ever sent to it.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections, reset_queries
from django.utils import timezone

from dashboard.change_notifications import watch_database
from dashboard.fragments import Page, changes_between, render_page
from dashboard.snapshot import Snapshot, take_snapshot
from dashboard.viewer_permissions import ViewerPermissions, permissions_of_sessions

logger = logging.getLogger(__name__)

#: The shortest and the longest time between two reads of the database.
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 5.0
#: A query that takes longer than this counts as a database that does not answer.
TIMEOUT_SECONDS = 5.0
#: How many new connections may wait for their session to be checked; more are asked to try again later.
MAX_SESSION_CHECKS = 100

#: The page of a viewer that has received nothing yet.
NOTHING: Page = {}
UNREACHABLE = (DatabaseError, InterfaceError, TimeoutError)
T = TypeVar("T")


@dataclass(frozen=True)
class Update:
    """What all viewers are to see. `unreachable_since` is set while the database does not answer.

    `snapshot` is None if the database has never answered. Pages and messages are made once and shared: `pages` by
    permissions, `messages` by the identity of the page that a viewer has and the page that it is to have.
    """

    at: str
    snapshot: Snapshot | None = None
    unreachable_since: str = ""
    pages: dict[ViewerPermissions, Page] = field(default_factory=dict)
    messages: dict[tuple[int, int], tuple[Page, Page, str]] = field(default_factory=dict)

    def page_for(self, permissions: ViewerPermissions) -> Page:
        """Return the variant of the page for these permissions."""
        if self.snapshot is None:
            return NOTHING
        if permissions not in self.pages:
            self.pages[permissions] = render_page(self.snapshot, permissions)
        return self.pages[permissions]

    def message_for(self, seen: Page, new: Page) -> str:
        """Return the message that turns the page `seen` into `new`."""
        key = (id(seen), id(new))
        if key not in self.messages:
            changes = changes_between(seen, new)
            message = json.dumps(
                {
                    "whole": seen is NOTHING,
                    "at": self.at,
                    "unreachable_since": self.unreachable_since,
                    "fragments": dict(changes.fragments),
                    "rooms": changes.rooms,
                }
            )
            # Keep both pages with the message: while they live, no other page can have their ids.
            self.messages[key] = (seen, new, message)
        return self.messages[key][2]


@dataclass(eq=False)
class Viewer:
    """One open page. `permissions` is None when its session no longer counts."""

    session_key: str
    permissions: ViewerPermissions | None
    seen: Page = field(default_factory=lambda: NOTHING)
    has_news: asyncio.Event = field(default_factory=asyncio.Event)


class Broadcaster:
    """Read the database while there are viewers. Belongs to one event loop."""

    def __init__(self) -> None:
        self._update: Update | None = None
        self._viewers: set[Viewer] = set()
        self._work: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._database = _DatabaseThread("live-page")
        # A thread of its own: a flood of connections without a valid session must not delay the viewers.
        self._session_checks = _DatabaseThread("live-page-sessions")
        self._checks_running = 0

    def join(self, viewer: Viewer) -> None:
        """Add a viewer. The first one starts the work."""
        self._viewers.add(viewer)
        if self._work is None:
            self._changed = asyncio.Event()
            self._work = asyncio.create_task(self._work_until_cancelled())
        elif self._update:
            viewer.has_news.set()

    def leave(self, viewer: Viewer) -> None:
        """Remove a viewer. The last one ends the work."""
        self._viewers.discard(viewer)
        if self._work and not self._viewers:
            self._work.cancel()
            self._work = self._update = None
            self._database.close_connection()

    async def permissions_of(self, session_key: str) -> ViewerPermissions | None:
        """Return the permissions of a session that has no viewer yet, or None if the session does not count.

        Raise one of UNREACHABLE if the database does not answer or too many sessions are being checked.
        """
        if self._checks_running >= MAX_SESSION_CHECKS:
            raise TimeoutError
        self._checks_running += 1
        try:
            return (await self._session_checks.run(lambda: permissions_of_sessions([session_key]))).get(session_key)
        finally:
            self._checks_running -= 1
            if not self._checks_running:
                self._session_checks.close_connection()

    async def next_message(self, viewer: Viewer) -> str:
        """Wait until there is something new for this viewer and return it; "" when its session no longer counts."""
        await viewer.has_news.wait()
        viewer.has_news.clear()
        if viewer.permissions is None:
            return ""
        update = self._update
        assert update  # noqa: S101 - `has_news` is set only after an update
        page, seen = update.page_for(viewer.permissions), viewer.seen
        viewer.seen = page
        return update.message_for(seen, page)

    async def _work_until_cancelled(self) -> None:
        """Keep reading the database; after an unexpected error, log it and begin again."""
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(watch_database(self._changed.set))
                    tasks.create_task(self._read_repeatedly())
            except ExceptionGroup as group:
                for error in group.exceptions:
                    logger.error("the live page has stopped and starts again", exc_info=error)
            await asyncio.sleep(LONGEST_SECONDS)

    async def _read_repeatedly(self) -> None:
        while True:
            self._changed.clear()
            await self._read()
            for viewer in self._viewers:
                viewer.has_news.set()
            await asyncio.sleep(SHORTEST_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), LONGEST_SECONDS - SHORTEST_SECONDS)

    async def _read(self) -> None:
        viewers = list(self._viewers)  # a viewer that joins meanwhile has just been checked
        keys = {viewer.session_key for viewer in viewers}
        try:
            self._update, permissions = await self._database.run(lambda: _read_all(keys))
        except UNREACHABLE as error:
            logger.warning("the database does not answer the live page", extra={"error": type(error).__name__})
            # Viewers keep the page they have, marked as old.
            last = self._update or Update(_timestamp(timezone.now()))
            self._update = replace(last, unreachable_since=last.unreachable_since or last.at, messages={})
            return
        for viewer in viewers:
            viewer.permissions = permissions.get(viewer.session_key)


def _read_all(session_keys: Collection[str]) -> tuple[Update, dict[str, ViewerPermissions]]:
    """Take a snapshot and then check permissions: in this order, or new facts could reach a viewer who lost access."""
    snapshot = take_snapshot()
    update, permissions = Update(_timestamp(snapshot.taken_at), snapshot), permissions_of_sessions(session_keys)
    for each in set(permissions.values()):
        update.page_for(each)  # rendered in this thread rather than in the event loop
    return update, permissions


def _timestamp(at: datetime) -> str:
    """Return date and time in the clinic's time zone. The script shows the date once it is not today's."""
    return f"{timezone.localtime(at):%Y-%m-%dT%H:%M:%S}"


class _DatabaseThread:
    """Run queries in one thread, which keeps its connection while it works."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    def close_connection(self) -> None:
        """Close the connection; the next query opens another."""
        self._thread.submit(connections.close_all)

    async def run(self, query: Callable[[], T]) -> T:
        """Return what `query` returns; raise TimeoutError after TIMEOUT_SECONDS."""

        def run_and_clean_up() -> T:
            try:
                return query()
            except (DatabaseError, InterfaceError):
                connections.close_all()
                raise
            finally:
                reset_queries()

        running = asyncio.get_running_loop().run_in_executor(self._thread, run_and_clean_up)
        return await asyncio.wait_for(running, TIMEOUT_SECONDS)
