"""Owns the other end: sends one text through a hybrid connection and takes the one that comes back."""

import asyncio
from collections.abc import Mapping

from .address import HybridConnectionAddress
from .failures import Failure, HybridConnectionError, quoted
from .tokens import TokenProvider, fresh_token
from .websocket import ConnectionClosed, Timeouts, closing, open_websocket, token_header


async def send(
    address: HybridConnectionAddress,
    tokens: TokenProvider,
    text: str,
    patience: float = 30.0,
    headers: Mapping[str, str] | None = None,
) -> str:
    """The reply to `text`; at most `patience` seconds to be joined by a listener, and as many for the reply.

    `headers` reach the listener with its accept. HybridConnectionError names the phase that failed: joining, or
    waiting for the reply.
    """
    phase = f"sending to {address.namespace}/{address.path}"
    token = await fresh_token(tokens, address.audience)
    all_headers = {**(headers or {}), **token_header(token)}
    websocket = await open_websocket(address.connect_url, phase, headers=all_headers, timeouts=Timeouts(patience))
    async with closing(websocket):
        try:
            async with asyncio.timeout(patience):
                await websocket.send(text)
                return await websocket.recv(decode=True)
        except TimeoutError:
            silent = Failure("no_reply", f"joined a listener, but no reply in {patience:g} s")
            raise HybridConnectionError(phase, silent) from None
        except ConnectionClosed:
            gone = f"the listener went without a reply ({websocket.close_code}{quoted(websocket.close_reason or '')})"
            raise HybridConnectionError(phase, Failure("no_reply", gone)) from None
