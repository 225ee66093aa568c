"""Plain clients for the emulator: listeners and senders of the websockets package, and Python's own HTTP client."""

import asyncio
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.hybrid_connection.tokens import sign
from tests.conftest import KEYS, PATH

FOREVER = 4_000_000_000
POLICIES = {KEYS.name: SharedAccessPolicy(KEYS.key)}


def token(
    audience: str = f"http://127.0.0.1/{PATH}", key: str = KEYS.key, expires_at: int = FOREVER, name: str = KEYS.name
) -> str:
    """A token of the test policy."""
    return sign(audience, name, key, expires_at)


def url_of(emulator: RelayEmulator, action: str, path: str = PATH, more: str = "") -> str:
    """Where to connect to, without a token; `more` are parameters of the sender's own."""
    return f"{emulator.service.base}/$hc/{path}?{more}sb-hc-action={action}"


async def open_socket(url: str, **options: Any) -> ClientConnection:
    """A WebSocket as good clients open it: no compression, no limit, no proxy, no pings unless asked for."""
    defaults = {"compression": None, "max_size": None, "proxy": None, "ping_interval": None, "close_timeout": 2}
    return await connect(url, **{**defaults, **options})


async def open_as(
    emulator: RelayEmulator, action: str, path: str = PATH, *, given: str | None = None, more: str = "", **options: Any
) -> ClientConnection:
    """Listen or connect, with a token in the header."""
    headers = {"ServiceBusAuthorization": token() if given is None else given, **options.pop("headers", {})}
    return await open_socket(url_of(emulator, action, path, more), additional_headers=headers, **options)


async def listen(emulator: RelayEmulator, path: str = PATH, **options: Any) -> ClientConnection:
    """A control channel that the emulator knows of."""
    before = emulator.counts["listened"]
    channel = await open_as(emulator, "listen", path, **options)
    await emulator.until(lambda: emulator.counts["listened"] > before)
    return channel


async def refusal_of(emulator: RelayEmulator, action: str, path: str = PATH, **options: Any) -> tuple[int, str]:
    """How a handshake is refused: status and text."""
    with pytest.raises(InvalidStatus) as refused:
        await open_as(emulator, action, path, **options)
    return described(refused.value)


async def refusal_at(url: str) -> tuple[int, str]:
    """How a connection to an address as it stands is refused."""
    with pytest.raises(InvalidStatus) as refused:
        await open_socket(url)
    return described(refused.value)


def described(refused: InvalidStatus) -> tuple[int, str]:
    """Status and text."""
    return refused.response.status_code, bytes(refused.response.body or b"").decode()


async def next_message(channel: ClientConnection, kind: str) -> dict[str, Any]:
    """What is in the next message on a control channel, which must be of this kind."""
    async with asyncio.timeout(5):
        message: dict[str, dict[str, Any]] = json.loads(await channel.recv())
    return message[kind]


@dataclass
class Called:
    """A sender that is connecting, and the accept message that its listener got."""

    opening: "asyncio.Task[ClientConnection]"
    accept: dict[str, Any]

    @property
    def address(self) -> str:
        """Where the listener is to come."""
        return str(self.accept["address"])


async def call(emulator: RelayEmulator, channel: ClientConnection, path: str = PATH, **options: Any) -> Called:
    """A sender calls the listener, and waits."""
    opening = asyncio.create_task(open_as(emulator, "connect", path, **options))
    # A test that never looks at its sender again says nothing about how it ended.
    opening.add_done_callback(lambda task: task.cancelled() or task.exception())
    return Called(opening, await next_message(channel, "accept"))


async def join(
    emulator: RelayEmulator, channel: ClientConnection | None = None
) -> tuple[ClientConnection, ClientConnection]:
    """A sender and the listener's end of its rendezvous; the listener is new unless its channel is given."""
    called = await call(emulator, channel or await listen(emulator))
    listener = await open_socket(called.address)
    return await called.opening, listener


async def close_of(socket: ClientConnection) -> tuple[int | None, str]:
    """How a socket ends: code and reason; the code is 1006 when it breaks."""
    with pytest.raises(ConnectionClosed):
        async with asyncio.timeout(5):
            await socket.recv()
    return socket.close_code, socket.close_reason or ""


async def vanish(socket: ClientConnection) -> None:
    """Break a connection without a word."""
    socket.transport.abort()
    await socket.wait_closed()


@dataclass(frozen=True)
class Response:
    """An HTTP response, headers in lower case."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


async def ask(
    emulator: RelayEmulator,
    target: str = f"/{PATH}",
    method: str = "GET",
    body: Any = None,
    *,
    given: str | None = None,
    **headers: str,
) -> Response:
    """The response to an HTTP request with a token in ServiceBusAuthorization, unless another is `given`."""
    authorization = {"ServiceBusAuthorization": token()} if given is None else {}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await asyncio.to_thread(_ask, emulator.port, (method, target, body), {**authorization, **named})


def _ask(port: int, request: tuple[str, str, Any], headers: dict[str, str]) -> Response:
    method, target, body = request
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        chunked = not isinstance(body, bytes | str | None)
        connection.request(method, target, body, headers, encode_chunked=chunked)
        got = connection.getresponse()
        named = {name.lower(): value for name, value in got.getheaders()}
        return Response(got.status, got.reason, named, got.read())
    finally:
        connection.close()


def query_token() -> str:
    """A token as a parameter of the query."""
    return f"sb-hc-token={quote(token(), safe='')}"
