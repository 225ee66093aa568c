"""Send one text through a hybrid connection and receive the reply."""

import asyncio
from collections.abc import Mapping

from .address import HybridConnectionAddress
from .failures import Failure, HybridConnectionError, redacted
from .tokens import TokenProvider, fresh_token
from .websocket import ConnectionClosed, Timeouts, closing, open_websocket, token_header


async def send(
    address: HybridConnectionAddress,
    tokens: TokenProvider,
    text: str,
    patience: float = 30.0,
    headers: Mapping[str, str] | None = None,
) -> str:
    """Send `text` and return the reply.

    Wait at most `patience` seconds for a listener to join, and as long again for its reply. `headers` reach the
    listener with its accept. Raises HybridConnectionError, whose message says whether joining or the reply failed.
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
            no_reply = f"a listener joined, but did not reply within {patience:g} s"
        except ConnectionClosed:
            detail = redacted(websocket.close_reason or "")
            no_reply = f"the listener disconnected without a reply ({websocket.close_code}{detail})"
        raise HybridConnectionError(phase, Failure("no_reply", no_reply))
