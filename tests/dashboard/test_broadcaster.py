"""One look at the database for all viewers, and the latest for each of them."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import connection

from dashboard.broadcaster import Broadcaster, Viewer
from dashboard.viewer_permissions import PagePermission, ViewerPermissions
from tests.dashboard.conftest import logged_in
from tests.dashboard.records import item_of_today
from tests.database import in_database_thread

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("groups")]


class Counted:
    """A broadcaster with viewers, and how often it has asked the database."""

    def __init__(self) -> None:
        self.broadcaster = Broadcaster()
        self.asked: list[str] = []

    @asynccontextmanager
    async def watched_by(self, count: int, session: str) -> AsyncIterator[list[Viewer]]:
        """So many look on."""
        await self.broadcaster._database.run(lambda: connection.execute_wrappers.append(self._count))
        viewers = [Viewer(session, ViewerPermissions(frozenset(PagePermission))) for _ in range(count)]
        for viewer in viewers:
            self.broadcaster.join(viewer)
        try:
            yield viewers
        finally:
            for viewer in viewers:
                self.broadcaster.leave(viewer)

    def _count(self, execute: Any, statement: str, *rest: Any) -> Any:
        self.asked.append(statement)
        return execute(statement, *rest)

    async def told(self, viewers: list[Viewer]) -> list[dict[str, Any]]:
        """The next message of each."""
        messages = await asyncio.gather(*(self.broadcaster.next_message(viewer) for viewer in viewers))
        return [json.loads(message) for message in messages]


async def all_for(broadcaster: Broadcaster, viewer: Viewer) -> AsyncIterator[str]:
    """What a viewer is told until it may not look any more."""
    while message := await broadcaster.next_message(viewer):
        yield message


class TestAtTheDoor:
    async def test_who_has_just_come_does_not_wait_for_a_look(self) -> None:
        broadcaster, looked = Broadcaster(), threading.Event()
        session = await logged_in()
        look = asyncio.create_task(broadcaster._database.run(looked.wait))
        assert await broadcaster.permissions_of(session)
        looked.set()
        await look

    async def test_more_than_are_asked_about_at_once_are_to_come_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("dashboard.broadcaster.MAX_SESSION_CHECKS", 2)
        broadcaster, key = Broadcaster(), "a" * 32
        asked = await asyncio.gather(*(broadcaster.permissions_of(key) for _ in range(3)), return_exceptions=True)
        assert [type(answer) for answer in asked] == [type(None), type(None), TimeoutError]
        assert await broadcaster.permissions_of(key) is None


class TestSharing:
    async def test_fifty_viewers_ask_the_database_as_often_as_one(self) -> None:
        session = await logged_in()
        asked = []
        for count in (1, 50):
            counted = Counted()
            async with counted.watched_by(count, session) as viewers:
                told = await counted.told(viewers)
                assert all(message["whole"] for message in told)
                asked.append(len(counted.asked))
        assert asked[0] == asked[1]

    async def test_each_look_reads_all_sessions_in_two_queries(self) -> None:
        counted = Counted()
        async with counted.watched_by(50, await logged_in()) as viewers:
            await counted.told(viewers)
            read = [asked for asked in counted.asked if 'FROM "django_session"' in asked or 'FROM "auth_user"' in asked]
            assert len(read) == 2

    async def test_nothing_that_is_newer_than_the_end_of_a_session_goes_to_it(self) -> None:
        ended, other = await logged_in(), await logged_in()
        counted = Counted()
        async with counted.watched_by(1, ended) as (gone,), counted.watched_by(1, other) as (stays,):
            await counted.told([gone, stays])
            await in_database_thread(lambda: Session.objects.filter(session_key=ended).delete())
            await in_database_thread(lambda: item_of_today(patient_name="LATER^ANN"))
            told = [message async for message in all_for(counted.broadcaster, gone)]
            assert "LATER, ANN" not in "".join(told)
            while "LATER, ANN" not in json.dumps(await counted.told([stays])):
                pass

    async def test_one_that_is_slow_gets_what_is_the_latest_and_no_queue(self) -> None:
        counted = Counted()
        async with counted.watched_by(2, await logged_in()) as (quick, slow):
            await counted.told([quick, slow])
            for number in (1, 2):
                await in_database_thread(lambda number=number: item_of_today(station_ae_title=f"M{number}"))  # type: ignore[misc]
                while not (await counted.told([quick]))[0]["fragments"]:
                    pass
            (late,) = await counted.told([slow])
            assert len(late["rooms"]) == 2
            assert not slow.has_news.is_set()

    async def test_one_that_comes_later_sees_everything_without_another_look(self) -> None:
        counted = Counted()
        session = await logged_in()
        async with counted.watched_by(1, session) as viewers:
            await counted.told(viewers)
            counted.asked.clear()
            late = Viewer(session, ViewerPermissions())
            counted.broadcaster.join(late)
            assert (await counted.told([late]))[0]["whole"]
            assert counted.asked == []
            counted.broadcaster.leave(late)

    async def test_after_the_last_has_gone_nobody_looks_and_the_next_one_is_told_afresh(self) -> None:
        counted = Counted()
        session = await logged_in()
        async with counted.watched_by(1, session) as viewers:
            await counted.told(viewers)
        assert counted.broadcaster._work is None
        await in_database_thread(lambda: item_of_today(patient_name="LATER^ANN"))
        async with counted.watched_by(1, session) as viewers:
            (message,) = await counted.told(viewers)
            assert "LATER, ANN" in json.dumps(message)
