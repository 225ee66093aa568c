"""Owns how any WebSocket of ours is opened: no compression, no redirect, no frame and no header in a log."""

import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache, partial
from typing import Any
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
from websockets.uri import parse_uri

from .address import is_loopback
from .failures import (
    HOW_TO_WRITE_A_PROXY,
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
    "Patience",
    "State",
    "aborted_on_failure",
    "closing",
    "closing_failure",
    "open_websocket",
    "seconds_behind_service",
    "token_header",
]

CLOSE_TIMEOUT = 5.0
#: websockets answers pings whether or not the answers are read. Bytes.
MAX_UNREAD_PONGS = 64 * 1024
UNANSWERED_PING = "keepalive ping timeout"  # websockets' reason for closing

#: What is sent to a peer whose frame is over the limit, before the socket is closed with 1009; it is given the first
#: frame that came, which is empty when that was the one.
LastWords = Callable[[bytes], Sequence[str | bytes]]


@dataclass(frozen=True)
class FrameLimit:
    """How many bytes a frame may have (None is any number), and what is said of one that has more."""

    max_bytes: int | None = None
    last_words: LastWords = lambda _first: ()


@dataclass(frozen=True)
class Patience:
    """How long the other side may take: to let us in, and to answer a ping, of which one is sent so often. Seconds."""

    opening: float = 30.0
    pong: float = 20.0


NO_LIMIT = FrameLimit()
PATIENCE = Patience()


class _NoFrames(logging.LoggerAdapter[logging.Logger]):
    """websockets writes each frame and header to DEBUG, when that is on: here it never is."""

    def isEnabledFor(self, level: int) -> bool:
        return level > logging.DEBUG and super().isEnabledFor(level)

    def debug(self, msg: object, *args: object, **kwargs: Any) -> None:
        """Nothing."""


_quiet = _NoFrames(logging.getLogger("relay.hybrid_connection.websocket"), {})


class _WithoutRedirects(connect):
    """The token goes where it was meant for, and nowhere else."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class _WithLastWords(ClientConnection):
    """Says why before it closes on a frame that is over the limit: the frame itself is never held in memory."""

    def __init__(self, last_words: LastWords, protocol: ClientProtocol, **options: Any) -> None:
        self._last_words = last_words
        self._first_frame = b""
        self._fail = protocol.fail
        protocol.fail = self._fail_with_last_words  # type: ignore[method-assign]
        super().__init__(protocol, **options)

    def process_event(self, event: Event) -> None:
        """Keep the first frame, and give up on a peer that pings and does not read, or that closes and does not go."""
        self._first_frame = self._first_frame or _data(event)
        super().process_event(event)
        opcode = event.opcode if isinstance(event, Frame) else None
        if opcode is Opcode.PING and self.transport.get_write_buffer_size() > MAX_UNREAD_PONGS:
            self.transport.abort()
        if opcode is Opcode.CLOSE:
            self.loop.call_later(CLOSE_TIMEOUT, self.transport.abort)

    def _fail_with_last_words(self, code: CloseCode | int, reason: str = "") -> None:
        if code == CloseCode.MESSAGE_TOO_BIG:
            # What came in the same breath has been parsed, and not processed yet.
            first = next(filter(None, [self._first_frame, *map(_data, self.protocol.events)]), b"")
            for words in self._last_words(first):
                send = self.protocol.send_text if isinstance(words, str) else self.protocol.send_binary
                send(words.encode() if isinstance(words, str) else words)
        self._fail(code, reason)


def _data(event: Event) -> bytes:
    return bytes(event.data) if isinstance(event, Frame) else b""


@cache
def tls_context() -> ssl.SSLContext:
    """The context of every connection: reading the certificate authorities costs more than a whole rendezvous."""
    return ssl.create_default_context()


def token_header(token: Token) -> dict[str, str]:
    """The header that carries the token, so that no URL does."""
    return {"ServiceBusAuthorization": token.value}


def proxy_for(url: str) -> str | None:
    """The proxy of HTTPS_PROXY and NO_PROXY for an address; none for a plain one, which is on this machine."""
    return get_proxy(parse_uri(url)) if urlsplit(url).scheme == "wss" else None


async def open_websocket(
    url: str,
    phase: str,
    *,
    headers: dict[str, str] | None = None,
    patience: Patience = PATIENCE,
    limit: FrameLimit = NO_LIMIT,
) -> ClientConnection:
    """Connect to `url`; HybridConnectionError names `phase` and the cause when that fails.

    A frame over the limit is answered by its last words, and the socket closed with 1009.
    Proxies and private CAs come from HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE.
    """
    proxy = None
    try:
        secure = urlsplit(url).scheme == "wss"
        if not secure and not is_loopback(urlsplit(url).hostname or ""):
            refusal = Failure("address", "refused to connect without TLS: the address is not wss://", Pace.SLOW)
            raise HybridConnectionError(phase, refusal)
        proxy = proxy_for(url)
        return await _WithoutRedirects(
            url,
            additional_headers=headers,
            compression=None,
            open_timeout=patience.opening,
            ping_interval=patience.pong,
            ping_timeout=patience.pong,
            close_timeout=CLOSE_TIMEOUT,
            max_size=limit.max_bytes,
            proxy=proxy,
            logger=_quiet,
            create_connection=partial(_WithLastWords, limit.last_words),  # type: ignore[arg-type]
            ssl=tls_context() if secure else None,
        )
    except InvalidStatus as error:
        raise HybridConnectionError(phase, _refused(error)) from None
    except InvalidProxyStatus as error:
        raise HybridConnectionError(phase, explain_proxy_status(error.response.status_code)) from None
    except ProxyError:
        garbled = Failure("proxy", "the proxy answered with no HTTP: check HTTPS_PROXY", Pace.SLOW)
        raise HybridConnectionError(phase, garbled) from None
    except InvalidProxy:
        malformed = Failure("proxy", f"HTTPS_PROXY cannot be used: write it as {HOW_TO_WRITE_A_PROXY}", Pace.SLOW)
        raise HybridConnectionError(phase, malformed) from None
    except InvalidHandshake as error:
        name = type(error).__name__
        strange = f"what answers there is no WebSocket ({name}): does a proxy or firewall stand in between?"
        raise HybridConnectionError(phase, Failure("handshake", strange)) from None
    except (OSError, WebSocketException, ValueError, ImportError) as error:
        raise HybridConnectionError(phase, explain_exception(error, proxied=proxy is not None)) from None


def _refused(error: InvalidStatus) -> Failure:
    response = error.response
    detail = response.body.decode(errors="replace") if response.body else response.reason_phrase
    # Unless the clock is read here, it would be told of a time when nobody answered.
    skew = clock_skew(response.headers.get("Date", ""), time.time())
    return explain_status(response.status_code, detail, skew)


def seconds_behind_service(websocket: ClientConnection, now: float) -> float:
    """By how much this machine's clock is behind the service's, by its answer to the handshake; 0 if that is silent."""
    date = websocket.response.headers.get("Date", "") if websocket.response else ""
    return seconds_behind(date, now) or 0.0


@asynccontextmanager
async def aborted_on_failure(websocket: ClientConnection) -> AsyncIterator[None]:
    """Breaks a WebSocket off when the work on it was cut off; after good work it is left open."""
    try:
        yield
    except BaseException:
        websocket.transport.abort()
        raise


@asynccontextmanager
async def closing(websocket: ClientConnection) -> AsyncIterator[None]:
    """Closes a WebSocket politely after good work, and breaks it off otherwise."""
    async with aborted_on_failure(websocket):
        yield
    await websocket.close()


def closing_failure(websocket: ClientConnection) -> Failure:
    """Why a control channel has ended, once it has."""
    sent = websocket.protocol.close_sent
    unanswered_ping = sent is not None and sent.reason == UNANSWERED_PING
    return explain_close(websocket.close_code or 1006, websocket.close_reason or "", unanswered_ping=unanswered_ping)
