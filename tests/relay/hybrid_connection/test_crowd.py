"""Two hundred senders at once, eighty of them bad: the good ones are answered, and no socket or memory leaks."""

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


async def be_idle(address: HybridConnectionAddress) -> str:
    """Join, send nothing, and leave when evicted."""
    websocket = await join(address)
    try:
        await websocket.recv()
    except ConnectionClosed:
        return "idle"
    return "answered"


async def send_garbage(address: HybridConnectionAddress, number: int) -> str:
    """Join and send something that is not an action."""
    websocket = await join(address)
    await websocket.send(GARBAGE[number % len(GARBAGE)])
    await websocket.recv()
    await websocket.close()
    return "garbage"


async def break_off(address: HybridConnectionAddress) -> str:
    """Join, send half a frame, and disconnect without a closing handshake."""
    websocket = await join(address)
    websocket.transport.write(b"\x81\xff\x00\x00")
    websocket.transport.abort()
    return "broken off"


async def upper_of_anything(frame: bytes, accept: object) -> str:
    """Answer any bytes."""
    return frame.decode(errors="replace").upper()


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))


def resident_kilobytes() -> int:
    """Return how much memory this process uses."""
    status = Path(f"/proc/{os.getpid()}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def play(address: HybridConnectionAddress) -> list[str]:
    """Run all senders at once; return what happened to each."""
    senders = [
        *(be_idle(address) for _ in range(50)),
        *(send_garbage(address, number) for number in range(20)),
        *(break_off(address) for _ in range(10)),
        *(send(address, KEYS, f"n{number}") for number in range(120)),
    ]
    return await asyncio.gather(*senders)


class TestACrowd:
    async def test_the_good_senders_are_answered_and_nothing_is_left_open(
        self, address: HybridConnectionAddress
    ) -> None:
        # On a busy machine, a good sender takes more than a second from joining to its frame.
        limit = RendezvousLimit(idle_timeout=6, idle_timeout_when_busy=3)
        async with listening(address, upper_of_anything, rendezvous_limit=limit):
            await play(address)  # once before measuring, for what is made once and kept
            gc.collect()
            files, memory = open_files(), resident_kilobytes()
            outcomes = await play(address)
            assert outcomes == [
                *["idle"] * 50,
                *["garbage"] * 20,
                *["broken off"] * 10,
                *(f"N{number}" for number in range(120)),
            ]
            await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "rendezvous"))
            gc.collect()
            assert open_files() <= files + 2
            assert resident_kilobytes() - memory < 20_000
