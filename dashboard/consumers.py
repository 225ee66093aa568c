"""Owns one open page's WebSocket: who may open it, what it is sent, and when it is ended."""

import asyncio
import re

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from dashboard.broadcaster import AWAY, Broadcaster, Viewer

#: Close codes (RFC 6455 section 7.4: from 4000 on they are an application's own).
NOT_LOGGED_IN, TRY_AGAIN_LATER = 4401, 1013
#: As Django makes them (SessionBase._get_new_session_key).
SESSION_KEY_SHAPE = re.compile("[a-z0-9]{32}")


class LivePage(AsyncWebsocketConsumer):
    """Tells one viewer everything first and then what has changed; what it sends is not looked at."""

    def __init__(self, *, broadcaster: Broadcaster) -> None:
        super().__init__()
        self._broadcaster = broadcaster
        self._viewer: Viewer | None = None
        self._telling: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Accept first: a browser is told why it is not let in only by a close code."""
        await self.accept()
        session_key = self.scope["cookies"].get(settings.SESSION_COOKIE_NAME, "")
        if not SESSION_KEY_SHAPE.fullmatch(session_key):
            await self.close(NOT_LOGGED_IN)  # the database is not asked about everybody
            return
        try:
            standing = await self._broadcaster.standing_of(session_key)
        except AWAY:
            await self.close(TRY_AGAIN_LATER)
            return
        if standing is None:
            await self.close(NOT_LOGGED_IN)
            return
        self._viewer = Viewer(session_key, standing)
        self._broadcaster.join(self._viewer)
        self._telling = asyncio.create_task(self._tell(self._viewer))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing is asked of a viewer."""

    async def disconnect(self, code: int) -> None:
        """The page is gone."""
        if self._viewer:
            self._broadcaster.leave(self._viewer)
        if self._telling:
            self._telling.cancel()

    async def _tell(self, viewer: Viewer) -> None:
        """For ever. Where the other end takes its time this waits, and then gives what is the latest."""
        while message := await self._broadcaster.next_message(viewer):
            await self.send(message)
        await self.close(NOT_LOGGED_IN)
