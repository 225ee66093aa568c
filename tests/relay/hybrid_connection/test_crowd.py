"""Two hundred senders at once, of whom eighty are bad: the others all get their right answers, and nothing is left."""

import asyncio
import gc
import os
from pathlib import Path

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.rendezvous_limit import RendezvousLimit
from relay.hybrid_connection.sender import send
from relay.hybrid_connection.websocket import ConnectionClosed
from tests.conftest import KEYS
from tests.relay.hybrid_connection.listening import join, listening

GARBAGE = (b"\xff\xfe\x00", b"", b"{" * 1000, b"\x00" * 100_000)


async def be_silent(address: HybridConnectionAddress) -> str:
    """Join, say nothing, and go when told to."""
    websocket = await join(address)
    try:
        await websocket.recv()
    except ConnectionClosed:
        return "silent"
    return "answered"


async def send_garbage(address: HybridConnectionAddress, number: int) -> str:
    """Join and send what is no action."""
    websocket = await join(address)
    await websocket.send(GARBAGE[number % len(GARBAGE)])
    await websocket.recv()
    await websocket.close()
    return "garbage"


async def vanish(address: HybridConnectionAddress) -> str:
    """Join, send half a frame, and be gone without a word."""
    websocket = await join(address)
    websocket.transport.write(b"\x81\xff\x00\x00")
    websocket.transport.abort()
    return "vanished"


async def hex_upper(frame: bytes, accept: object) -> str:
    """An answer to anything."""
    return frame.decode(errors="replace").upper()


def open_files() -> int:
    """How many files and sockets this process has open."""
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))


def resident_kilobytes() -> int:
    """How much memory this process has."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def play(address: HybridConnectionAddress) -> list[str]:
    """All of them at once; what became of each."""
    senders = [
        *(be_silent(address) for _ in range(50)),
        *(send_garbage(address, number) for number in range(20)),
        *(vanish(address) for _ in range(10)),
        *(send(address, KEYS, f"n{number}") for number in range(120)),
    ]
    return await asyncio.gather(*senders)


class TestACrowd:
    async def test_the_good_ones_get_their_answers_and_nothing_is_left_open(
        self, address: HybridConnectionAddress
    ) -> None:
        limit = RendezvousLimit(idle_timeout=2, idle_timeout_when_busy=0.5)
        async with listening(address, hex_upper, rendezvous_limit=limit):
            await play(address)  # once before, for what is made once and kept
            gc.collect()
            files, memory = open_files(), resident_kilobytes()
            outcomes = await play(address)
            assert outcomes == [
                *["silent"] * 50,
                *["garbage"] * 20,
                *["vanished"] * 10,
                *(f"N{number}" for number in range(120)),
            ]
            await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "rendezvous"))
            gc.collect()
            assert open_files() <= files + 2
            assert resident_kilobytes() - memory < 20_000
