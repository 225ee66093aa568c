"""Run a web server in its own process, and open its live page as a logged-in viewer."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.utils import timezone
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from gateway_project.actions import ACTIONS, PROBES
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction
from tests.database import in_database_thread
from tests.factories import payload
from tests.processes import PATIENCE, Process, Start, free_ports
from tests.users import client_of
from tests.worklist.performed_step import reports
from worklist.models import Delivery, WorklistItem

NAME, NHS_NUMBER = "SECRETARY^ZOË", "9990123456"


class Page:
    """An open live page, as its script keeps it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.fragments: dict[str, str] = {}
        self.messages: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        """Receive the next message and apply it."""
        message: dict[str, Any] = json.loads(await self.socket.recv())
        self.messages.append(message)
        self.fragments.update(message["fragments"])
        return message

    async def until(self, condition: Callable[["Page"], bool]) -> dict[str, Any]:
        """Receive messages until the condition holds; return the last."""
        while True:
            message = await self.next()
            if condition(self):
                return message

    async def close_code(self) -> int:
        """Receive messages until the server closes; return the close code."""
        with suppress(ConnectionClosed):
            while True:
                await self.next()
        assert self.socket.close_code
        return self.socket.close_code

    def __contains__(self, text: str) -> bool:
        return any(text in html for html in self.fragments.values())


class Web:
    """A running web server."""

    def __init__(self, port: int, process: Process) -> None:
        self.port = port
        self.process = process

    @asynccontextmanager
    async def open_page(self, session: str = "", origin: str = "") -> AsyncIterator[Page]:
        """Open the live page with this session, from this origin."""
        cookie = {"Cookie": f"{settings.SESSION_COOKIE_NAME}={session}"} if session else {}
        address = f"ws://127.0.0.1:{self.port}/live/"
        own: Any = origin or f"http://127.0.0.1:{self.port}"
        async with connect(address, additional_headers=cookie, origin=own, open_timeout=PATIENCE) as socket:
            yield Page(socket)


@pytest.fixture
def groups(transactional_db: None) -> None:
    """Create the group again: flushing the database after another test deletes what migrations made."""
    clinic, _ = Group.objects.get_or_create(name="clinic")
    clinic.permissions.add(Permission.objects.get(codename="view_patient_data"))


def running_web(start: Start) -> Web:
    """Start a web server, and wait until it answers."""
    (port,) = free_ports(1)
    process = start("run_web", WEB_PORT=str(port))
    process.wait_for("startup complete")
    return Web(port, process)


@pytest.fixture
def web(transactional_db: None, start: Start) -> Web:
    return running_web(start)


def log_in(group: str = "clinic", name: str = "") -> str:
    """Log in a user of this group; return the session key."""
    user, _ = User.objects.get_or_create(username=name or group)
    user.groups.add(Group.objects.get_or_create(name=group)[0])
    return session_of(user)


def session_of(user: User) -> str:
    """Log this user in once more; return the session key."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


async def logged_in(group: str = "clinic", name: str = "") -> str:
    """Log in from a coroutine."""
    return await in_database_thread(lambda: log_in(group, name))


@pytest.fixture
def support() -> Client:
    """A client logged in as a user who may see no patient data."""
    return client_of("support")


def send_twice(**changes: str) -> ReceivedAction:
    """Dispatch a create action for ACC1 twice, as Manage does after a lost reply."""
    person = {"participant__name": NAME, "participant__nhs_number": NHS_NUMBER, "accession_number": "ACC1"}
    action = json.dumps(payload(**{**person, **changes}))
    for _ in range(2):
        Dispatcher(ACTIONS, PROBES).dispatch(action, "test#1")
    return ReceivedAction.objects.order_by("received_at").last()  # type: ignore[return-value]


@pytest.fixture
def imaged(db: None) -> ReceivedAction:
    """An action whose item was sent to a machine, which then imaged the patient."""
    action = send_twice()
    item = WorklistItem.objects.get()
    for _ in range(2):
        Delivery.objects.add([item.pk], "MAMMO1", timezone.now())
    reports.create_step("2.25.1", reports.scheduled_step(item), PatientID=NHS_NUMBER)
    reports.set_step("2.25.1", reports.final_change())
    return action
