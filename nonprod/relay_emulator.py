"""An emulator of Azure Relay Hybrid Connections, for tests and developers' machines (Hybrid Connections protocol).

Listen, connect, accept, reject, rendezvous, renewToken and expiry, with shared access signatures checked as the service
checks them. It speaks plain ws:// on loopback.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

LISTENERS_AT_MOST = 25
RENDEZVOUS_SECONDS = 30.0
RIGHTS = frozenset({"Listen", "Send", "Manage"})
#: Of a resource URI; clients differ.
SCHEMES = {"http", "https", "sb", "ws", "wss"}
RIGHT_FOR = {"listen": "Listen", "connect": "Send"}
#: Codes that may not be sent in a close frame.
UNSENDABLE = {1005, 1006, 1015, None}


@dataclass(frozen=True)
class Policy:
    """A shared access policy: the key, and the rights it gives."""

    key: str = field(repr=False)
    rights: frozenset[str] = RIGHTS


@dataclass
class Channel:
    """One listener's control channel, and when its token ends (Unix seconds)."""

    websocket: ServerConnection
    expires_at: float


@dataclass
class Rendezvous:
    """A sender that waits: for a listener's socket, or for its rejection."""

    joined: "asyncio.Future[ServerConnection | Response]"
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Refused(Exception):
    """The handshake is answered with this status."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


class RelayEmulator:
    """One namespace with some hybrid connections; `async with` serves it. Times in seconds."""

    def __init__(
        self,
        paths: list[str],
        policies: Mapping[str, Policy],
        port: int = 0,
        rendezvous_seconds: float = RENDEZVOUS_SECONDS,
    ) -> None:
        self.policies = policies
        self.channels: dict[str, list[Channel]] = {path.lower(): [] for path in paths}
        self.waiting: dict[str, Rendezvous] = {}
        self.counts = {"accepted": 0, "joined": 0, "rejected": 0, "renewed": 0}
        self.responses: list[dict[str, Any]] = []
        self.changed = asyncio.Condition()
        self.rendezvous_seconds = rendezvous_seconds
        self._asked_port = port
        #: What each socket is for, decided in its handshake and begun when it is open.
        self._plans: WeakKeyDictionary[ServerConnection, Callable[[], Awaitable[None]]] = WeakKeyDictionary()

    async def __aenter__(self) -> "RelayEmulator":
        self._server: Server = await serve(
            self._serve,
            "127.0.0.1",
            self._asked_port,
            process_request=self._admit,
            compression=None,
            max_size=None,
            open_timeout=self.rendezvous_seconds + 10,
            close_timeout=2,
        )
        return self

    async def __aexit__(self, *exc: object) -> None:
        for rendezvous in self.waiting.values():
            rendezvous.joined.set_exception(Refused(HTTPStatus.SERVICE_UNAVAILABLE, "The service is going down"))
        self._server.close()
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def namespace(self) -> str:
        """What belongs into AZURE_RELAY_NAMESPACE."""
        return f"127.0.0.1:{self.port}"

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something that is asked of this emulator holds."""
        async with self.changed:
            await self.changed.wait_for(holds)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    def state(self) -> dict[str, object]:
        """What the page at /$emulator shows."""
        listeners = {path: len(channels) for path, channels in self.channels.items()}
        return {"listeners": listeners, "senders_waiting": len(self.waiting), "counts": self.counts}

    # The handshake: who may in -------------------------------------------------------------------------------------

    async def _admit(self, websocket: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if url.path == "/$emulator":
            return _response(HTTPStatus.OK, json.dumps(self.state(), indent=2) + "\n", "application/json")
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        try:
            match query.get("sb-hc-action"):
                case "listen":
                    path = self._known_path(url.path)
                    channel = Channel(websocket, self._authorise(path, "listen", query, request.headers))
                    self._refuse_a_crowd(path)
                    self._plans[websocket] = partial(self._hold_channel, path, channel)
                    return None
                case "connect":
                    path = self._known_path(url.path)
                    self._authorise(path, "connect", query, request.headers)
                    return await self._bring_together(websocket, path, request)
                case "accept":
                    return self._accept(websocket, query)
                case action:
                    raise Refused(HTTPStatus.BAD_REQUEST, f"'{action}' is not a known sb-hc-action")
        except Refused as refusal:
            return _response(refusal.status, f"{refusal}. {_tracking()}")

    def _known_path(self, url_path: str) -> str:
        """The hybrid connection that a URL's path names; what follows its name is the sender's own."""
        if not url_path.startswith("/$hc/"):
            raise Refused(HTTPStatus.NOT_FOUND, "The address is malformed")
        asked = unquote(url_path.removeprefix("/$hc/")).lower().strip("/")
        for path in self.channels:
            if asked == path or asked.startswith(f"{path}/"):
                return path
        raise Refused(HTTPStatus.NOT_FOUND, "There is no such hybrid connection")

    def _authorise(self, path: str, action: str, query: Mapping[str, str], headers: Headers) -> float:
        """When the token ends; Refused with 401 or 403 where it opens nothing."""
        token = query.get("sb-hc-token") or headers.get("ServiceBusAuthorization") or ""
        return self._check(token, path, RIGHT_FOR[action])

    def _check(self, token: str, path: str, right: str) -> float:
        return check_token(token, self.policies, f"{self.namespace}/{path}", right)

    def _refuse_a_crowd(self, path: str) -> None:
        if len(self.channels[path]) >= LISTENERS_AT_MOST:
            raise Refused(HTTPStatus.FORBIDDEN, f"There are {LISTENERS_AT_MOST} listeners already")

    async def _bring_together(self, websocket: ServerConnection, path: str, request: Request) -> Response | None:
        """Call a listener, and keep the sender's handshake open until one has come or refused."""
        identifier = f"{uuid.uuid4()}_G1"
        rendezvous = self.waiting[identifier] = Rendezvous(asyncio.get_running_loop().create_future())
        try:
            await self._call_a_listener(path, json.dumps(self._accept_message(path, identifier, request)))
            async with asyncio.timeout(self.rendezvous_seconds):
                outcome = await rendezvous.joined
        except TimeoutError:
            raise Refused(HTTPStatus.GATEWAY_TIMEOUT, "The listener did not come to the rendezvous in time") from None
        finally:
            self.waiting.pop(identifier, None)
        if isinstance(outcome, Response):
            return outcome
        self._plans[websocket] = partial(self._relay, rendezvous, websocket, outcome)
        return None

    async def _call_a_listener(self, path: str, accept: str) -> None:
        """Send an accept on any channel that is open: one that is closing takes none."""
        channels = self.channels[path].copy()
        random.shuffle(channels)
        for channel in channels:
            with suppress(ConnectionClosed):
                await channel.websocket.send(accept)
                self.counts["accepted"] += 1
                await self._tell()
                return
        raise Refused(HTTPStatus.NOT_FOUND, "There are no listeners connected for the endpoint")

    def _accept_message(self, path: str, identifier: str, request: Request) -> dict[str, object]:
        private = {"servicebusauthorization", "authorization"}
        headers = {name: value for name, value in request.headers.raw_items() if name.lower() not in private}
        address = f"ws://{self.namespace}/$hc/{path}?sb-hc-action=accept&sb-hc-id={identifier}"
        return {"accept": {"address": address, "id": identifier, "connectHeaders": headers}}

    def _accept(self, websocket: ServerConnection, query: Mapping[str, str]) -> Response | None:
        rendezvous = self.waiting.pop(query.get("sb-hc-id", ""), None)
        if rendezvous is None or rendezvous.joined.done():
            raise Refused(HTTPStatus.FORBIDDEN, "The rendezvous address is not valid, or was used")
        if status := query.get("sb-hc-statusCode"):
            self.counts["rejected"] += 1
            rendezvous.joined.set_result(_response(int(status), query.get("sb-hc-statusDescription", "")))
            return _response(HTTPStatus.GONE, "The sender was rejected, as asked")
        self._plans[websocket] = partial(self._attend, rendezvous, websocket)
        return None

    # The sockets, once they are open ---------------------------------------------------------------------------------

    async def _serve(self, websocket: ServerConnection) -> None:
        await self._plans.pop(websocket)()

    async def _attend(self, rendezvous: Rendezvous, listener: ServerConnection) -> None:
        rendezvous.joined.set_result(listener)
        await rendezvous.ended.wait()

    async def _relay(self, rendezvous: Rendezvous, sender: ServerConnection, listener: ServerConnection) -> None:
        self.counts["joined"] += 1
        await _join(sender, listener)
        rendezvous.ended.set()

    async def _hold_channel(self, path: str, channel: Channel) -> None:
        websocket = channel.websocket
        await self._change(path, channel, here=True)
        try:
            while True:
                async with asyncio.timeout(channel.expires_at - time.time()):
                    text = await websocket.recv()
                self._take(channel, path, json.loads(text))
                await self._tell()
        except TimeoutError:
            await websocket.close(1008, "The token has expired")
        except Refused as refusal:
            await websocket.close(1008, str(refusal))
        except ConnectionClosed:
            pass
        finally:
            await self._change(path, channel, here=False)

    async def _change(self, path: str, channel: Channel, *, here: bool) -> None:
        (self.channels[path].append if here else self.channels[path].remove)(channel)
        await self._tell()

    def _take(self, channel: Channel, path: str, message: dict[str, Any]) -> None:
        if "renewToken" in message:
            channel.expires_at = self._check(message["renewToken"]["token"], path, "Listen")
            self.counts["renewed"] += 1
        if "response" in message:
            self.responses.append(message["response"])


def check_token(
    token: str, policies: Mapping[str, Policy], address: str, right: str, now: float | None = None
) -> float:
    """When a shared access signature ends; Refused with 401 (no good) or 403 (good, but not for this).

    `address` is what is asked for, as namespace/path.
    """
    if not token:
        raise Refused(HTTPStatus.UNAUTHORIZED, "MissingToken: Relay security token is required")
    kind, _, rest = token.partition(" ")
    parts = dict(part.partition("=")[::2] for part in rest.split("&"))
    if kind != "SharedAccessSignature" or not {"sr", "sig", "se", "skn"} <= parts.keys() or not parts["se"].isdecimal():
        raise Refused(HTTPStatus.UNAUTHORIZED, "MalformedToken: The token is no shared access signature")
    policy = policies.get(unquote(parts["skn"]))
    if policy is None or not _is_signed(parts, policy.key):
        raise Refused(HTTPStatus.UNAUTHORIZED, "InvalidSignature: The token has an invalid signature")
    if int(parts["se"]) <= (time.time() if now is None else now):
        raise Refused(HTTPStatus.UNAUTHORIZED, "ExpiredToken: The token is expired")
    if not _covers(unquote(parts["sr"]), address) or not {right, "Manage"} & policy.rights:
        raise Refused(HTTPStatus.FORBIDDEN, f"The token does not give the right to {right} here")
    return float(parts["se"])


def _is_signed(parts: Mapping[str, str], key: str) -> bool:
    """The signature is over the resource exactly as it stands in the token."""
    signed = f"{parts['sr']}\n{parts['se']}".encode()
    expected = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest())
    return hmac.compare_digest(unquote(parts["sig"]).encode(), expected)


def _covers(audience: str, address: str) -> bool:
    """The audience is the address that is asked for, or above it segment by segment; scheme, case, port and a slash at
    the end do not count."""
    scheme, _, rest = audience.lower().partition("://")
    host, *wanted = [segment for segment in rest.split("/") if segment] or [""]
    asked_host, *asked = address.lower().split("/")
    return scheme in SCHEMES and host.split(":")[0] == asked_host.split(":")[0] and asked[: len(wanted)] == wanted


async def _join(sender: ServerConnection, listener: ServerConnection) -> None:
    """Frames both ways untouched, until either side goes; then the other goes with the same code."""
    ways = [asyncio.create_task(_pump(sender, listener)), asyncio.create_task(_pump(listener, sender))]
    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    first, second = (sender, listener) if ways[0].done() else (listener, sender)
    await second.close(1011 if first.close_code in UNSENDABLE else first.close_code or 1000, first.close_reason or "")
    await asyncio.gather(*ways)


async def _pump(source: ServerConnection, target: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            await target.send(await source.recv())


def _response(status: int, text: str, content_type: str = "text/plain; charset=utf-8") -> Response:
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Rejected"
    body = text.encode()
    headers = Headers([("Content-Type", content_type), ("Content-Length", str(len(body))), ("Connection", "close")])
    return Response(int(status), reason, headers, body)


def _tracking() -> str:
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    return f"TrackingId:{uuid.uuid4()}_G1, SystemTracker:emulator, Timestamp:{stamp}"
