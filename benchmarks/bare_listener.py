"""Answer each sender of a hybrid connection with its own first message: what the relay alone costs on this machine.

The fewest lines that listen: no limit, no time-out, no log, no reconnection, no database.
"""

import asyncio
import json
import sys

from websockets.asyncio.client import connect

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.tokens import SharedAccessKey
from relay.hybrid_connection.websocket import token_header


async def main(namespace: str, path: str, key_name: str, key: str) -> None:
    address = HybridConnectionAddress(namespace, path, plain=True)
    headers = token_header(SharedAccessKey(key_name, key).token(address.audience))
    rendezvous = set()
    async with connect(address.listen_url, additional_headers=headers, compression=None) as channel:
        async for message in channel:
            task = asyncio.create_task(echo(json.loads(message)["accept"]["address"]))
            rendezvous.add(task)
            task.add_done_callback(rendezvous.discard)


async def echo(url: str) -> None:
    async with connect(url, compression=None) as socket:
        await socket.send(await socket.recv())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
