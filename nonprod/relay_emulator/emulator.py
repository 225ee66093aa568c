"""Owns the emulated relay as a whole: says who may do what, and hands each request to the part that does it.

Hybrid Connections protocol: roles and addresses, what the service answers to the handshake.
"""

import logging
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request

from nonprod.relay_emulator import control_page
from nonprod.relay_emulator.addresses import Target, hybrid_connection_of, read_target
from nonprod.relay_emulator.channels import Channel, Listeners
from nonprod.relay_emulator.configuration import HybridConnection
from nonprod.relay_emulator.faults import BadFault, Fault, Where, read_fault, show_fault
from nonprod.relay_emulator.http_requests import HttpRequests
from nonprod.relay_emulator.messages import Answer
from nonprod.relay_emulator.plain_http import Gone, HttpRequest, HttpResponse, unless_gone
from nonprod.relay_emulator.port import Connection, Port
from nonprod.relay_emulator.refusals import Refused
from nonprod.relay_emulator.rendezvous import Senders
from nonprod.relay_emulator.service import Service, Timeouts, text_response
from nonprod.relay_emulator.tokens import Address, SharedAccessPolicy, check_bearer, check_token, is_bearer

logger = logging.getLogger(__name__)

#: The headers that may carry a token, over WebSockets and for HTTP requests.
TOKEN_HEADER = "servicebusauthorization"  # noqa: S105
HTTP_TOKEN_HEADERS = (TOKEN_HEADER, "authorization")


class RelayEmulator:
    """One namespace with some hybrid connections; `async with` serves it on loopback.

    `policies` are the namespace's, `bearer_tokens` what stands for Entra ID. `clock` gives Unix seconds.
    """

    def __init__(  # noqa: PLR0913 - most have a default
        self,
        hybrid_connections: Iterable[str | HybridConnection],
        policies: Mapping[str, SharedAccessPolicy],
        port: int = 0,
        *,
        timeouts: Timeouts | None = None,
        clock: Callable[[], float] = time.time,
        bearer_tokens: Iterable[str] = (),
        tls: ssl.SSLContext | None = None,
    ) -> None:
        every = [HybridConnection(item) if isinstance(item, str) else item for item in hybrid_connections]
        self.hybrid_connections = {item.path.strip("/").lower(): item for item in every}
        self.policies, self.bearer_tokens = policies, frozenset(bearer_tokens)
        self.service = Service(timeouts or Timeouts(), clock)
        self.listeners = Listeners(self.service, self.hybrid_connections, self._renew, self._answered)
        self.senders = Senders(self.service, self.listeners)
        self.http = HttpRequests(self.service, self.listeners)
        self._port = Port(self.service, self._admit, self._respond)
        self._asked_port, self._tls = port, tls
        self._actions = {
            "listen": self._listen,
            "connect": self._connect,
            "accept": self._accept,
            "request": self._fetch_request,
        }

    async def __aenter__(self) -> "RelayEmulator":
        self.port = await self._port.open(self._asked_port, self._tls)
        self.service.namespace = f"127.0.0.1:{self.port}"
        self.service.scheme = "wss" if self._tls else "ws"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.senders.give_up()
        self.service.faults.clear()
        await self._port.close()

    # What tests look at and do ----------------------------------------------------------------------------------------

    @property
    def namespace(self) -> str:
        """What belongs into AZURE_RELAY_NAMESPACE."""
        return self.service.namespace

    @property
    def channels(self) -> dict[str, list[Channel]]:
        """The control channels that are open, by hybrid connection."""
        return self.listeners.channels

    @property
    def counts(self) -> dict[str, int]:
        """What has happened so far."""
        return self.service.counts

    @property
    def responses(self) -> list[Any]:
        """All responses that have come on control channels, without bodies."""
        return self.listeners.responses

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something that is asked of this emulator holds."""
        await self.service.until(holds)

    def state(self) -> dict[str, Any]:
        """What the page at /$emulator shows."""
        now = self.service.now()
        return {
            "namespace": self.namespace,
            "listeners": {path: len(channels) for path, channels in self.channels.items()},
            "channels": {path: [channel.shown(now) for channel in all_] for path, all_ in self.channels.items()},
            "senders_waiting": len(self.senders.waiting),
            "rendezvous_open": len(self.senders.met),
            "requests_waiting": len(self.http.pending),
            "counts": self.counts,
            "clock_skew_seconds": self.service.skew,
            "faults": self.service.faults.shown(),
        }

    async def inject(self, fault: Fault | Mapping[str, Any]) -> None:
        """Make a fault happen, now or to what comes next; BadFault when there is none such."""
        wanted = fault if isinstance(fault, Fault) else read_fault(fault)
        if wanted.path and wanted.path not in self.hybrid_connections:
            raise BadFault(f"path must be one of: {', '.join(self.hybrid_connections)}")
        logger.warning("fault injected", extra=show_fault(wanted))
        await wanted.strike(self)
        self.service.tell()

    def clear_faults(self) -> None:
        """Forget the faults that are stored, put the clock right, heal the zombies.

        Half-open channels have lost bytes, and stay as they are.
        """
        self.service.faults.clear()
        self.service.skew = 0.0
        for channel in self.channels_at(""):
            channel.zombie, channel.routed = False, True
        self.reckon_expiry()

    def channels_at(self, path: str) -> list[Channel]:
        """The control channels of one hybrid connection, or of all."""
        return [channel for own, all_ in self.channels.items() if path in {"", own} for channel in all_]

    def sockets_at(self, where: Where, path: str) -> list[Connection]:
        """The listeners' ends of control channels, or both ends of each rendezvous."""
        if where == "control":
            return [channel.websocket for channel in self.channels_at(path)]
        return [end for own, end in self.senders.sockets() if path in {"", own}]

    def reckon_expiry(self) -> None:
        """See anew when each channel's token ends."""
        self.listeners.reckon_expiry()

    # Who may do what --------------------------------------------------------------------------------------------------

    def _find(self, target: Target) -> str:
        path = hybrid_connection_of(target.path, self.hybrid_connections)
        if path is None:
            raise Refused(404, "There is no such hybrid connection, or the address is malformed")
        return path

    def _check(self, path: str, asked: str, right: str, token: str) -> float:
        """When a token ends that gives a right on what is asked for; Refused when it gives none."""
        if is_bearer(token):
            return check_bearer(token, self.bearer_tokens)
        scopes = (self.policies, self.hybrid_connections[path].policies)
        return check_token(token, scopes, Address(self.service.hosts, asked), right, self.service.now())

    def _renew(self, path: str, token: str) -> float:
        return self._check(path, path, "Listen", token)

    def _answered(self, answer: Answer) -> None:
        self.http.answered(answer)

    def _check_sender(self, path: str, target: Target, token: str) -> None:
        if self.hybrid_connections[path].client_authorization:
            self._check(path, target.path, "Send", token)

    # WebSockets -------------------------------------------------------------------------------------------------------

    async def _admit(self, connection: Connection, request: Request) -> HttpResponse | None:
        """What becomes of a handshake: None lets it go on, with a plan for the socket."""
        target = read_target(request.path)
        action = target.options.get("action", "")
        try:
            return await unless_gone(connection, self._act(connection, action, target, request.headers))
        except Refused as refused:
            known = action if action in self._actions else "unknown"
            logger.info("handshake refused", extra={"action": known, "status": refused.status})
            return self.service.refusal(refused)
        except Gone:
            return text_response(400, "")  # to nobody

    async def _act(self, connection: Connection, action: str, target: Target, headers: Headers) -> HttpResponse | None:
        if not target.is_websocket:
            raise Refused(404, "The address is malformed: WebSockets are below /$hc/")
        if action not in self._actions:
            raise Refused(400, f"'{action[:20]}' is not a known sb-hc-action")
        path = self._find(target)
        await self.service.faults.at("accept" if action == "request" else action, path)
        return await self._actions[action](connection, path, target, headers)

    async def _listen(self, connection: Connection, path: str, target: Target, headers: Headers) -> None:
        expires_at = self._check(path, target.path, "Listen", _token(target, headers))
        self.listeners.reserve_place(path, connection)
        connection.plan = partial(self.listeners.hold, path, Channel(connection, expires_at))

    async def _connect(
        self, connection: Connection, path: str, target: Target, headers: Headers
    ) -> HttpResponse | None:
        self._check_sender(path, target, _token(target, headers))
        return await self.senders.connect(path, connection, target, headers)

    async def _accept(self, connection: Connection, path: str, target: Target, headers: Headers) -> HttpResponse | None:
        return self.senders.accept(connection, target, headers)

    async def _fetch_request(self, connection: Connection, path: str, target: Target, headers: Headers) -> None:
        connection.plan = partial(self.http.attend, self.http.meet(target), connection)

    # HTTP -------------------------------------------------------------------------------------------------------------

    async def _respond(self, connection: Connection, request: HttpRequest) -> HttpResponse:
        """The response to a plain HTTP request: the control page's, a listener's, or the service's own refusal."""
        try:
            target = read_target(request.target)
            if target.path.partition("/")[0] == control_page.PATH:
                return await control_page.control(self, str(connection.remote_address[0]), request)
            return await self._relay_request(target, request)
        except Refused as refused:
            logger.info("request refused", extra={"status": refused.status})
            return self.service.refusal(refused)
        except Exception:  # the outermost edge of this request
            logger.exception("request failed")
            return self.service.refusal(Refused(500, "The emulator has failed"))

    async def _relay_request(self, target: Target, request: HttpRequest) -> HttpResponse:
        if request.method == "CONNECT":
            raise Refused(405, "CONNECT is not relayed")
        if target.is_websocket:
            raise Refused(426, "What is below /$hc/ is for WebSockets")
        path = self._find(target)
        await self.service.faults.at("request", path)
        if not self.hybrid_connections[path].http:
            raise Refused(404, "HTTP is not enabled on this hybrid connection")
        token, header = _http_token(target, request)
        self._check_sender(path, target, token)
        private = {TOKEN_HEADER, header} if self.hybrid_connections[path].client_authorization else {TOKEN_HEADER}
        return await self.http.respond(path, target, request, private)


def _token(target: Target, headers: Headers) -> str:
    """The token of a WebSocket handshake, which may be in the query or in a header."""
    return target.options.get("token") or next(iter(headers.get_all(TOKEN_HEADER)), "")


def _http_token(target: Target, request: HttpRequest) -> tuple[str, str]:
    """The token of an HTTP request, and the header that it was in; Authorization counts when nothing else is there."""
    if token := target.options.get("token"):
        return token, ""
    headers = {name.lower(): value for name, value in request.headers}
    found = next((name for name in HTTP_TOKEN_HEADERS if headers.get(name)), "")
    return headers.get(found, ""), found
