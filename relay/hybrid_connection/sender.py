"""Owns the other end: sends one text through a hybrid connection and takes the one that comes back."""

import asyncio

from websockets.exceptions import ConnectionClosed

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import TokenError, TokenProvider
from relay.hybrid_connection.websocket import HybridConnectionError, open_websocket, token_header


async def send(address: HybridConnectionAddress, tokens: TokenProvider, text: str, patience: float = 30.0) -> str:
    """The reply to `text`; at most `patience` seconds to be joined by a listener, and as many for the reply.

    HybridConnectionError names the phase that failed: joining, or waiting for the reply.
    """
    phase = f"sending to {address.namespace}/{address.path}"
    try:
        token = await asyncio.to_thread(tokens.token, address.audience)
    except TokenError as error:
        raise HybridConnectionError(phase, str(error)) from None
    websocket = await open_websocket(address.connect_url, phase, headers=token_header(token), open_timeout=patience)
    async with websocket:
        try:
            await websocket.send(text)
            async with asyncio.timeout(patience):
                return await websocket.recv(decode=True)
        except TimeoutError:
            raise HybridConnectionError(phase, f"joined a listener, but no reply in {patience:g} s") from None
        except ConnectionClosed:
            raise HybridConnectionError(phase, f"the listener went without a reply ({websocket.close_code})") from None
