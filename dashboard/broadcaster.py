"""Owns the one look at the database that all viewers of this process share, and what each of them still has to be sent.

The database is looked at when it has changed, but not more than once a second, and every few seconds anyway, as time
passes. Each viewer is told what differs from what it was told last: one that is slow is told less often, and never out
of a queue. Nothing here grows with the viewers but the sending itself.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from django.db import DatabaseError, InterfaceError, connections, reset_queries
from django.utils import timezone

from dashboard.change_notifications import keep_waking
from dashboard.fragments import Page, changes_between, page_of
from dashboard.snapshot import Snapshot, take_snapshot
from dashboard.viewer_permissions import Standing, standings

logger = logging.getLogger(__name__)

#: The database is not looked at again before this has passed, nor later than that.
AT_LEAST_SECONDS, AT_MOST_SECONDS = 1.0, 5.0
#: A database that takes longer is away, as far as the page can tell.
PATIENCE_SECONDS = 5.0
#: So many who have just come are asked about at once; more are to come again.
MOST_AT_THE_DOOR = 100

#: What somebody has seen who has just come.
NOTHING: Page = {}
AWAY = (DatabaseError, InterfaceError, TimeoutError)
T = TypeVar("T")


@dataclass(frozen=True)
class News:
    """What all viewers are to see, and since when the database does not answer; nothing where it never has."""

    at: str
    snapshot: Snapshot | None = None
    away_since: str = ""
    pages: dict[Standing, Page] = field(default_factory=dict)

    def page_for(self, standing: Standing) -> Page:
        """The variant for those who may see so much, made once for all of them."""
        if self.snapshot is None:
            return NOTHING
        if standing not in self.pages:
            self.pages[standing] = page_of(self.snapshot, standing)
        return self.pages[standing]


@dataclass(eq=False)
class Viewer:
    """One open page. Its standing is None when its session is worth nothing any more."""

    session_key: str
    standing: Standing | None
    seen: Page = field(default_factory=lambda: NOTHING)
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class Broadcaster:
    """Looks at the database as long as somebody looks at the page. Belongs to the event loop."""

    def __init__(self) -> None:
        self._news: News | None = None
        self._viewers: set[Viewer] = set()
        self._work: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._database = _Database("live-page")
        # Of its own: who is not logged in may come as often as they like, and keep nobody from looking on.
        self._door = _Database("live-page-door")
        self._at_the_door = 0

    def join(self, viewer: Viewer) -> None:
        """Begin to tell somebody; the first one starts the work."""
        self._viewers.add(viewer)
        if self._work is None:
            self._changed = asyncio.Event()
            self._work = asyncio.create_task(self._work_on())
        elif self._news:
            viewer.woken.set()

    def leave(self, viewer: Viewer) -> None:
        """Stop telling somebody; the last one ends the work."""
        self._viewers.discard(viewer)
        if self._work and not self._viewers:
            self._work.cancel()
            self._work = self._news = None
            self._database.let_go()

    async def standing_of(self, session_key: str) -> Standing | None:
        """What a session is worth, before it becomes a viewer; one of AWAY where that cannot be said."""
        if self._at_the_door >= MOST_AT_THE_DOOR:
            raise TimeoutError
        self._at_the_door += 1
        try:
            return (await self._door.ask(lambda: standings([session_key]))).get(session_key)
        finally:
            self._at_the_door -= 1
            if not self._at_the_door:
                self._door.let_go()

    async def next_message(self, viewer: Viewer) -> str:
        """Wait until there is something for this viewer, and give all of it; nothing when it may not look any more."""
        await viewer.woken.wait()
        viewer.woken.clear()
        if viewer.standing is None:
            return ""
        news = self._news
        assert news  # noqa: S101 - nobody is woken before
        page, seen = news.page_for(viewer.standing), viewer.seen
        viewer.seen = page
        return _message(news.at, news.away_since, _Same(seen), _Same(page))

    # The work --------------------------------------------------------------------------------------------------------

    async def _work_on(self) -> None:
        """For ever: what nobody has thought of costs the viewers some seconds, not the page."""
        while True:
            try:
                await self._run()
            except ExceptionGroup as group:
                for error in group.exceptions:
                    logger.error("the live page has stopped, and begins again", exc_info=error)
            await asyncio.sleep(AT_MOST_SECONDS)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_waking(self._changed.set))
            tasks.create_task(self._keep_looking())

    async def _keep_looking(self) -> None:
        while True:
            self._changed.clear()
            await self._look()
            for viewer in self._viewers:
                viewer.woken.set()
            await asyncio.sleep(AT_LEAST_SECONDS)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), AT_MOST_SECONDS - AT_LEAST_SECONDS)

    async def _look(self) -> None:
        viewers = list(self._viewers)  # who comes meanwhile has just been asked about
        keys = {viewer.session_key for viewer in viewers}
        try:
            self._news, known = await self._database.ask(lambda: _look(keys))
        except AWAY as error:  # nobody sees anything new meanwhile
            logger.warning("the database does not answer the live page", extra={"error": type(error).__name__})
            self._news = _away(self._news)
            return
        for viewer in viewers:
            viewer.standing = known.get(viewer.session_key)


def _look(session_keys: Collection[str]) -> tuple[News, dict[str, Standing]]:
    """What is new, and then who may see it: in this order, so that nothing new goes to who may not look any more."""
    snapshot = take_snapshot()
    news, known = News(_said(snapshot.taken_at), snapshot), standings(session_keys)
    for standing in set(known.values()):
        news.page_for(standing)  # here, and not in the event loop
    return news, known


def _said(at: datetime) -> str:
    """With its day, by the clinic's clock: the script says the day where it is not today's any more."""
    return f"{timezone.localtime(at):%Y-%m-%dT%H:%M:%S}"


def _away(known: News | None) -> News:
    """The same page, marked as old."""
    known = known or News(_said(timezone.now()))
    return replace(known, away_since=known.away_since or known.at)


class _Same:
    """A page as a key: the same one is the same object."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def __hash__(self) -> int:
        return id(self.page)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.page is other.page


@lru_cache(maxsize=16)
def _message(at: str, away_since: str, seen: _Same, new: _Same) -> str:
    """What is sent: made once for all that have seen the same."""
    changes = changes_between(seen.page, new.page)
    return json.dumps(
        {
            "whole": seen.page is NOTHING,
            "at": at,
            "away_since": away_since,
            "pieces": dict(changes.pieces),
            "rooms": changes.rooms,
        }
    )


class _Database:
    """Asks the database from one thread of its own, which keeps its connection as long as it is good."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    def let_go(self) -> None:
        """Give the connection back, until somebody asks again."""
        self._thread.submit(connections.close_all)

    async def ask(self, question: Callable[[], T]) -> T:
        """The answer; TimeoutError when there is none in time."""
        asked = asyncio.get_running_loop().run_in_executor(self._thread, _asked, question)
        return await asyncio.wait_for(asked, PATIENCE_SECONDS)


def _asked(question: Callable[[], T]) -> T:
    try:
        return question()
    except (DatabaseError, InterfaceError):
        connections.close_all()
        raise
    finally:
        reset_queries()
