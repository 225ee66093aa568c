"""Serve the live page's WebSocket: check the session, send updates, and close when the session ends."""

import asyncio
import re

from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings

from dashboard.broadcaster import UNREACHABLE, Broadcaster, Viewer

#: Close codes: 4000 and above are for applications (RFC 6455 section 7.4.2), 1013 is registered with IANA.
NOT_LOGGED_IN, TRY_AGAIN_LATER = 4401, 1013
#: The form in which Django makes session keys (SessionBase._get_new_session_key).
SESSION_KEY = re.compile("[a-z0-9]{32}")


class LivePageConsumer(AsyncWebsocketConsumer):
    """Send one viewer the whole page, then the changes. Messages from the browser are ignored."""

    def __init__(self, *, broadcaster: Broadcaster) -> None:
        super().__init__()
        self._broadcaster = broadcaster
        self._viewer: Viewer | None = None
        self._sending: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Accept first and then check the session: a browser sees the reason only in a close code."""
        await self.accept()
        session_key = self.scope["cookies"].get(settings.SESSION_COOKIE_NAME, "")
        if not SESSION_KEY.fullmatch(session_key):  # no query for what cannot be a session
            await self.close(NOT_LOGGED_IN)
            return
        try:
            permissions = await self._broadcaster.permissions_of(session_key)
        except UNREACHABLE:
            await self.close(TRY_AGAIN_LATER)
            return
        if permissions is None:
            await self.close(NOT_LOGGED_IN)
            return
        self._viewer = Viewer(session_key, permissions)
        self._broadcaster.join(self._viewer)
        self._sending = asyncio.create_task(self._send_updates(self._viewer))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Ignore what the browser sends."""

    async def disconnect(self, code: int) -> None:
        """Stop sending."""
        if self._viewer:
            self._broadcaster.leave(self._viewer)
        if self._sending:
            self._sending.cancel()

    async def _send_updates(self, viewer: Viewer) -> None:
        """Send until the session ends. A slow browser blocks `send`, and then gets the latest update."""
        while message := await self._broadcaster.next_message(viewer):
            await self.send(message)
        await self.close(NOT_LOGGED_IN)
