"""Open and close WebSockets: with TLS and proxy, without compression, redirects or frames in a log.

This is the only module that imports websockets (written for version 17). In one place, `_Connection`, it replaces a
method that websockets documents but does not expect to be replaced, `ClientProtocol.fail`: a peer whose frame is too
large must be told so before the socket is closed, and the library closes immediately (ADR 6).
"""

import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, cast
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidProxyStatus,
    InvalidStatus,
    ProxyError,
    WebSocketException,
)
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event, State
from websockets.proxy import get_proxy
from websockets.typing import DataLike
from websockets.uri import parse_uri

from .address import is_loopback
from .failures import (
    PROXY_SYNTAX,
    Failure,
    HybridConnectionError,
    Pace,
    clock_skew,
    explain_close,
    explain_exception,
    explain_proxy_status,
    explain_status,
    seconds_behind,
)
from .tokens import Token

__all__ = [
    "ClientConnection",
    "ConnectionClosed",
    "FrameLimit",
    "State",
    "Timeouts",
    "aborted_on_failure",
    "closing",
    "closing_failure",
    "open_websocket",
    "pings_sent",
    "seconds_behind_service",
    "token_header",
]

CLOSE_TIMEOUT = 5.0
#: A peer that leaves more bytes of pongs unread is cut off: websockets answers pings whether or not they are read.
MAX_UNREAD_PONGS = 64 * 1024
UNANSWERED_PING = "keepalive ping timeout"  # websockets' reason for closing

#: Makes the messages to send to a peer whose frame is over the limit, before the socket is closed with 1009. Gets the
#: last text frame that arrived before it, or nothing when there was none.
FinalMessages = Callable[[bytes], Sequence[str | bytes]]


@dataclass(frozen=True)
class FrameLimit:
    """How many bytes a frame may have (None: any number), and what to send to a peer whose frame has more."""

    max_bytes: int | None = None
    final_messages: FinalMessages = lambda _text: ()


@dataclass(frozen=True)
class Timeouts:
    """Seconds the peer may take to complete the handshake, and to answer a ping. Pings are sent as often.

    With `ping=None`, none is sent.
    """

    opening: float = 30.0
    ping: float | None = 20.0


NO_LIMIT = FrameLimit()
DEFAULT_TIMEOUTS = Timeouts()


class _NeverDebug(logging.LoggerAdapter[logging.Logger]):
    """Drops DEBUG, at which websockets logs each frame and header: tokens and patients."""

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.DEBUG and super().isEnabledFor(level)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        pass


_logger = _NeverDebug(logging.getLogger("relay.hybrid_connection.websocket"), {})


class _ConnectWithoutRedirects(connect):
    """Follows no redirect, which would carry the token to another host."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _Connection(ClientConnection):
    """Counts its pings, sends final messages before it closes on a frame over the limit, and cuts off bad peers.

    The frame itself is never held in memory: websockets reads its header, sees its size and calls `protocol.fail`.
    """

    def __init__(self, final_messages: FinalMessages, protocol: ClientProtocol, **options: Any) -> None:
        self._final_messages = final_messages
        self._last_text = b""
        self.pings_sent = 0
        self.last_ping_at = 0.0
        self._fail = protocol.fail
        protocol.fail = self._fail_with_final_messages  # type: ignore[method-assign]
        super().__init__(protocol, **options)

    async def ping(self, data: DataLike | None = None) -> Awaitable[float]:
        """Send a ping, and note when."""
        self.pings_sent += 1
        self.last_ping_at = self.loop.time()
        return await super().ping(data)

    def process_event(self, event: Event) -> None:
        """Keep the last text frame; cut off a peer that pings and does not read, or closes and does not disconnect."""
        self._last_text = _text(event) or self._last_text
        super().process_event(event)
        opcode = event.opcode if isinstance(event, Frame) else None
        if opcode is Opcode.PING and self.transport.get_write_buffer_size() > MAX_UNREAD_PONGS:
            self.transport.abort()
        if opcode is Opcode.CLOSE:
            self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def _fail_with_final_messages(self, code: CloseCode | int, reason: str = "") -> None:
        if code == CloseCode.MESSAGE_TOO_BIG:
            # Frames that arrived in the same packet are parsed, but process_event has not seen them yet.
            text = next(filter(None, map(_text, reversed(self.protocol.events))), self._last_text)
            for message in self._final_messages(text):
                send = self.protocol.send_text if isinstance(message, str) else self.protocol.send_binary
                send(message.encode() if isinstance(message, str) else message)
        self._fail(code, reason)


def _text(event: Event) -> bytes:
    return bytes(event.data) if isinstance(event, Frame) and event.opcode is Opcode.TEXT else b""


@cache
def tls_context() -> ssl.SSLContext:
    """Return the TLS context of all connections; loading the certificate authorities is slower than a rendezvous."""
    return ssl.create_default_context()


def token_header(token: Token) -> dict[str, str]:
    """Return the header that carries the token, so that no URL has to."""
    return {"ServiceBusAuthorization": token.value}


def proxy_for(url: str) -> str | None:
    """Return the proxy for `url` according to HTTPS_PROXY and NO_PROXY; None for ws://, which stays on this machine."""
    return get_proxy(parse_uri(url)) if urlsplit(url).scheme == "wss" else None


async def open_websocket(
    url: str,
    phase: str,
    *,
    headers: dict[str, str] | None = None,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    limit: FrameLimit = NO_LIMIT,
) -> ClientConnection:
    """Connect to `url`; raise HybridConnectionError with `phase` and the cause when that fails.

    A frame over the limit is answered with its final messages, and the socket closed with 1009.
    Proxies and private certificate authorities come from HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE.
    """
    proxy = None
    try:
        secure = urlsplit(url).scheme == "wss"
        if not secure and not is_loopback(urlsplit(url).hostname or ""):
            refusal = Failure("address", "refused to connect without TLS: the address is not wss://", Pace.SLOW)
            raise HybridConnectionError(phase, refusal)
        proxy = proxy_for(url)
        return await _ConnectWithoutRedirects(
            url,
            additional_headers=headers,
            compression=None,
            open_timeout=timeouts.opening,
            ping_interval=timeouts.ping,
            ping_timeout=timeouts.ping,
            close_timeout=CLOSE_TIMEOUT,
            max_size=limit.max_bytes,
            proxy=proxy,
            logger=_logger,
            create_connection=partial(_Connection, limit.final_messages),  # type: ignore[arg-type]
            ssl=tls_context() if secure else None,
        )
    except InvalidStatus as error:
        response = error.response
        detail = response.body.decode(errors="replace") if response.body else response.reason_phrase
        # Compare the clocks here, while the Date header is fresh.
        skew = clock_skew(response.headers.get("Date", ""), time.time())
        raise HybridConnectionError(phase, explain_status(response.status_code, detail, skew)) from None
    except InvalidProxyStatus as error:
        raise HybridConnectionError(phase, explain_proxy_status(error.response.status_code)) from None
    except ProxyError:
        garbled = Failure("proxy", "the proxy's answer is not HTTP: check HTTPS_PROXY", Pace.SLOW)
        raise HybridConnectionError(phase, garbled) from None
    except InvalidProxy:
        malformed = Failure("proxy", f"HTTPS_PROXY cannot be used: write it as {PROXY_SYNTAX}", Pace.SLOW)
        raise HybridConnectionError(phase, malformed) from None
    except InvalidHandshake as error:
        name = type(error).__name__
        strange = f"the answer is not a WebSocket handshake ({name}): is a proxy or firewall in between?"
        raise HybridConnectionError(phase, Failure("handshake", strange)) from None
    except (OSError, WebSocketException, ValueError, ImportError) as error:
        raise HybridConnectionError(phase, explain_exception(error, proxied=proxy is not None)) from None


def seconds_behind_service(websocket: ClientConnection, now: float) -> float:
    """Return how far this machine's clock is behind the service's, from the handshake's Date header; 0 without one."""
    date = websocket.response.headers.get("Date", "") if websocket.response else ""
    return seconds_behind(date, now) or 0.0


def pings_sent(websocket: ClientConnection) -> tuple[int, float]:
    """Return how many pings were sent, and how many seconds ago the last one."""
    ours = cast(_Connection, websocket)
    return ours.pings_sent, ours.loop.time() - ours.last_ping_at


@asynccontextmanager
async def aborted_on_failure(websocket: ClientConnection) -> AsyncIterator[None]:
    """Abort the WebSocket when the block raises or is cancelled; leave it open otherwise."""
    try:
        yield
    except BaseException:
        websocket.transport.abort()
        raise


@asynccontextmanager
async def closing(websocket: ClientConnection) -> AsyncIterator[None]:
    """Close the WebSocket with a closing handshake after the block, or abort it when the block raises."""
    async with aborted_on_failure(websocket):
        yield
    await websocket.close()


def closing_failure(websocket: ClientConnection) -> Failure:
    """Explain why a control channel has ended."""
    sent = websocket.protocol.close_sent
    unanswered_ping = sent is not None and sent.reason == UNANSWERED_PING
    return explain_close(websocket.close_code or 1006, websocket.close_reason or "", unanswered_ping=unanswered_ping)
