"""Owns how any WebSocket of ours is opened: no compression, no redirect, no frame and no header in a log."""

import logging
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from relay.hybrid_connection.address import is_loopback
from relay.hybrid_connection.reconnection import explain_failure, explain_status
from relay.hybrid_connection.tokens import Token

__all__ = ["ClientConnection", "HybridConnectionError", "open_websocket", "token_header"]


class HybridConnectionError(Exception):
    """A connection could not be made or was lost: the text names the phase, the cause and what to do."""

    def __init__(self, phase: str, cause: str, status: int | None = None) -> None:
        super().__init__(f"{phase}: {cause}")
        self.status = status


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


def token_header(token: Token) -> dict[str, str]:
    """The header that carries the token, so that no URL does."""
    return {"ServiceBusAuthorization": token.value}


async def open_websocket(
    url: str,
    phase: str,
    *,
    headers: dict[str, str] | None = None,
    open_timeout: float = 30,
    max_size: int | None = None,
) -> ClientConnection:
    """Connect to `url`; HybridConnectionError names `phase` and the cause when that fails.

    Times in seconds, `max_size` in bytes. Proxies and private CAs come from HTTPS_PROXY, NO_PROXY and SSL_CERT_FILE.
    """
    parts = urlsplit(url)
    loopback = is_loopback(parts.hostname or "")
    if parts.scheme != "wss" and not loopback:
        raise HybridConnectionError(phase, "refused to connect without TLS: the address is not wss://")
    try:
        return await _WithoutRedirects(
            url,
            additional_headers=headers,
            compression=None,
            open_timeout=open_timeout,
            ping_interval=20,
            ping_timeout=20,
            close_timeout=5,
            max_size=max_size,
            proxy=None if loopback else True,
            logger=_quiet,
        )
    except InvalidStatus as error:
        response = error.response
        detail = response.body.decode(errors="replace") if response.body else response.reason_phrase
        raise HybridConnectionError(phase, explain_status(response.status_code, detail), response.status_code) from None
    except (
        OSError,
        WebSocketException,
        ValueError,
        ImportError,
    ) as error:
        raise HybridConnectionError(phase, explain_failure(error)) from None
