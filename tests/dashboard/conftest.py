"""A web server in a process of its own, and people who look at its page."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.database import in_database_thread
from tests.processes import PATIENCE, Process, Start, free_ports


class Page:
    """An open page, as its JavaScript keeps it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.pieces: dict[str, str] = {}
        self.messages: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        """The next message, put into the page."""
        message: dict[str, Any] = json.loads(await self.socket.recv())
        self.messages.append(message)
        self.pieces.update(message["pieces"])
        return message

    async def until(self, condition: Callable[["Page"], bool]) -> dict[str, Any]:
        """Messages, until the page is so."""
        while True:
            message = await self.next()
            if condition(self):
                return message

    async def close_code(self) -> int:
        """Read on until the server closes."""
        with suppress(ConnectionClosed):
            while True:
                await self.next()
        assert self.socket.close_code
        return self.socket.close_code

    def __contains__(self, text: str) -> bool:
        return any(text in html for html in self.pieces.values())


class Web:
    """The web server."""

    def __init__(self, port: int, process: Process) -> None:
        self.port = port
        self.process = process

    @asynccontextmanager
    async def opened(self, session: str = "", origin: str = "") -> AsyncIterator[Page]:
        """A page that is opened with this session, from this origin."""
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}"} if session else {}
        address = f"ws://127.0.0.1:{self.port}/live/"
        own: Any = origin or f"http://127.0.0.1:{self.port}"
        async with connect(address, additional_headers=cookie, origin=own, open_timeout=PATIENCE) as socket:
            yield Page(socket)


Opened = Callable[..., AbstractAsyncContextManager[Page]]


@pytest.fixture
def groups(transactional_db: None) -> None:
    """Another test's end may have taken what the migrations had made."""
    clinic, _ = Group.objects.get_or_create(name="clinic")
    clinic.permissions.add(Permission.objects.get(codename="view_patient_data"))


@pytest.fixture
def web(transactional_db: None, start: Start) -> Web:
    """It runs."""
    (port,) = free_ports(1)
    process = start("run_web", WEB_PORT=str(port))
    process.wait_for("startup complete")
    return Web(port, process)


def log_in(group: str = "clinic", name: str = "") -> str:
    """Somebody of that group logs in: the key of the session."""
    user, _ = User.objects.get_or_create(username=name or group)
    user.groups.add(Group.objects.get_or_create(name=group)[0])
    return session_of(user)


def session_of(user: User) -> str:
    """One more session of somebody."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


async def logged_in(group: str = "clinic", name: str = "") -> str:
    """The same, from a coroutine."""
    return await in_database_thread(lambda: log_in(group, name))
