"""The emulated namespace as a whole: check tokens, and pass each handshake and request to the part that serves it.

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

from nonprod.relay_emulator import emulator_page
from nonprod.relay_emulator.addresses import Target, find_hybrid_connection, read_target
from nonprod.relay_emulator.configuration import HybridConnection
from nonprod.relay_emulator.control_channels import ControlChannel, ControlChannels
from nonprod.relay_emulator.fault_injection import FaultInjector
from nonprod.relay_emulator.faults import Fault
from nonprod.relay_emulator.http_messages import HttpRequest, HttpResponse, Refused, text_response
from nonprod.relay_emulator.http_relay import HttpRelay
from nonprod.relay_emulator.plain_http import ClientDisconnected, unless_disconnected
from nonprod.relay_emulator.port import Connection, Port
from nonprod.relay_emulator.service import Service, Timeouts
from nonprod.relay_emulator.tokens import Address, SharedAccessPolicy, check_bearer, check_token
from nonprod.relay_emulator.websocket_relay import WebSocketRelay

logger = logging.getLogger(__name__)

#: Headers that may carry a token: the first for WebSockets, both for HTTP requests.
TOKEN_HEADER = "servicebusauthorization"  # noqa: S105
HTTP_TOKEN_HEADERS = (TOKEN_HEADER, "authorization")

#: The values of sb-hc-action: a listener opens a control channel, or joins a sender or a request; a sender connects.
ACTIONS = ("listen", "accept", "request", "connect")


class RelayEmulator:
    """One namespace with its hybrid connections; `async with` serves it on loopback.

    `policies` are the namespace's own; `bearer_tokens` stand for Entra ID. `clock` returns Unix seconds.
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
        connections = [HybridConnection(item) if isinstance(item, str) else item for item in hybrid_connections]
        self.hybrid_connections = {item.path.strip("/").lower(): item for item in connections}
        self.policies, self.bearer_tokens = policies, frozenset(bearer_tokens)
        self.service = Service(timeouts or Timeouts(), clock)
        paths = self.hybrid_connections
        self._control_channels = ControlChannels(
            self.service,
            paths,
            renew=lambda path, token: self._check_token(path, path, "Listen", token),
            on_response=lambda response: self._http.take_response(response),  # noqa: PLW0108 - made below
        )
        self._websockets = WebSocketRelay(self.service, self._control_channels)
        self._http = HttpRelay(self.service, self._control_channels)
        self._faults = FaultInjector(self.service, self._control_channels, self._websockets)
        self._port = Port(self.service, self._admit, self._respond)
        self._wanted_port, self._tls = port, tls

    async def __aenter__(self) -> "RelayEmulator":
        self.port = await self._port.open(self._wanted_port, self._tls)
        self.service.namespace = f"127.0.0.1:{self.port}"
        self.service.scheme = "wss" if self._tls else "ws"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._websockets.shut_down()
        self.service.faults.clear()
        await self._port.close()

    # For tests and the page at /$emulator -----------------------------------------------------------------------------

    @property
    def namespace(self) -> str:
        """Host and port, for AZURE_RELAY_NAMESPACE."""
        return self.service.namespace

    @property
    def channels(self) -> dict[str, list[ControlChannel]]:
        """The open control channels, by the path of their hybrid connection."""
        return self._control_channels.by_path

    @property
    def counts(self) -> dict[str, int]:
        """The counters of `service.COUNTERS`."""
        return self.service.counts

    @property
    def responses(self) -> list[Any]:
        """All responses received on control channels, without their bodies."""
        return self._control_channels.responses

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on this emulator's state is true."""
        await self.service.until(condition)

    def state(self) -> dict[str, Any]:
        """Return what /$emulator shows."""
        now = self.service.now()
        return {
            "namespace": self.namespace,
            "listeners": {path: len(channels) for path, channels in self.channels.items()},
            "channels": {path: [channel.as_dict(now) for channel in all_] for path, all_ in self.channels.items()},
            "senders_waiting": len(self._websockets.waiting),
            "rendezvous_open": len(self._websockets.joined),
            "rendezvous_kept": len(self._http.kept),
            "requests_waiting": len(self._http.pending),
            "counts": self.counts,
            "clock_skew_seconds": self.service.skew,
            "faults": self.service.faults.as_dicts(),
        }

    async def inject(self, fault: Fault | Mapping[str, Any]) -> None:
        """Apply or store a fault; raises BadFault if it is invalid."""
        await self._faults.inject(fault)

    def clear_faults(self) -> None:
        """Remove stored faults, correct the clock, make zombies normal again."""
        self._faults.clear()

    # Authorisation ----------------------------------------------------------------------------------------------------

    def _find_path(self, target: Target) -> str:
        path = find_hybrid_connection(target.path, self.hybrid_connections)
        if path is None:
            raise Refused(404, "There is no such hybrid connection, or the address is malformed")
        return path

    def _check_token(self, path: str, requested: str, right: str, token: str) -> float:
        """Return when the token expires; raises Refused if it does not grant the right on the requested path."""
        if token.lower().startswith("bearer "):
            return check_bearer(token, self.bearer_tokens)
        scopes = (self.policies, self.hybrid_connections[path].policies)
        return check_token(token, scopes, Address(self.service.hosts, requested), right, self.service.now())

    # WebSockets -------------------------------------------------------------------------------------------------------

    async def _admit(self, connection: Connection, request: Request) -> HttpResponse | None:
        """Return the response that ends a handshake; None lets it go on, with the connection's `on_open` set."""
        target = read_target(request.path)
        action = target.options.get("action", "")
        try:
            return await unless_disconnected(connection, self._start(connection, action, target, request.headers))
        except Refused as refused:
            known = action if action in ACTIONS else "unknown"
            logger.info("handshake refused", extra={"action": known, "status": refused.status})
            return self.service.refusal(refused)
        except ClientDisconnected:
            return text_response(400, "")  # never received

    async def _start(
        self, connection: Connection, action: str, target: Target, headers: Headers
    ) -> HttpResponse | None:
        if not target.is_websocket:
            raise Refused(404, "The address is malformed: WebSockets are below /$hc/")
        if action not in ACTIONS:
            raise Refused(400, f"'{action[:20]}' is not a known sb-hc-action")
        path = self._find_path(target)
        await self.service.faults.apply_to("accept" if action == "request" else action, path)
        match action:
            case "listen":
                expires_at = self._check_token(path, target.path, "Listen", _websocket_token(target, headers))
                self._control_channels.register(path, connection)
                channel = ControlChannel(connection, expires_at)
                connection.on_open = partial(self._control_channels.serve, path, channel)
            case "connect":
                if self.hybrid_connections[path].client_authorization:
                    self._check_token(path, target.path, "Send", _websocket_token(target, headers))
                return await self._websockets.connect(path, connection, target, headers)
            case "accept":
                return self._websockets.accept(connection, target, headers)
            case "request":
                connection.on_open = partial(self._http.serve_listener, self._http.claim(target), connection)
        return None

    # HTTP -------------------------------------------------------------------------------------------------------------

    async def _respond(self, connection: Connection, request: HttpRequest) -> HttpResponse:
        """Answer a plain HTTP request: from /$emulator, from a listener, or with a refusal."""
        try:
            target = read_target(request.target)
            if target.path.partition("/")[0] == emulator_page.PATH:
                return await emulator_page.respond(self, str(connection.remote_address[0]), request)
            return await self._relay_request(connection, target, request)
        except Refused as refused:
            logger.info("request refused", extra={"status": refused.status})
            return self.service.refusal(refused)
        except Exception:  # the outermost edge of this request
            logger.exception("request failed")
            return self.service.refusal(Refused(500, "The emulator has failed"))

    async def _relay_request(self, sender: Connection, target: Target, request: HttpRequest) -> HttpResponse:
        if request.method == "CONNECT":
            raise Refused(405, "CONNECT is not relayed")
        if target.is_websocket:
            raise Refused(426, "Addresses below /$hc/ are for WebSockets")
        path = self._find_path(target)
        await self.service.faults.apply_to("request", path)
        if not self.hybrid_connections[path].http:
            raise Refused(404, "HTTP is not enabled on this hybrid connection")
        private = {TOKEN_HEADER}
        if self.hybrid_connections[path].client_authorization:
            token, header = _http_token(target, request)
            self._check_token(path, target.path, "Send", token)
            private.add(header)
        return await self._http.respond(path, sender, target, request, private)


def _websocket_token(target: Target, headers: Headers) -> str:
    """Return the token of a handshake, from the query or else from the header."""
    return target.options.get("token") or next(iter(headers.get_all(TOKEN_HEADER)), "")


def _http_token(target: Target, request: HttpRequest) -> tuple[str, str]:
    """Return the token of an HTTP request and the header it was in; Authorization only if it is nowhere else."""
    if token := target.options.get("token"):
        return token, ""
    headers = {name.lower(): value for name, value in request.headers}
    found = next((name for name in HTTP_TOKEN_HEADERS if headers.get(name)), "")
    return headers.get(found, ""), found
