"""Run the Node scripts in `hyco/`: send them commands and read their events, one JSON object a line."""

import asyncio
import base64
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

HYCO = Path(__file__).parent / "hyco"
PATIENCE = 60.0
LONGEST_LINE = 2**24

Event = dict[str, Any]


class Script:
    """A running Node script, and its events that no test has taken yet."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._events: list[Event] = []
        #: Lines that are not events: warnings, stack traces.
        self._noise: list[str] = []
        self._changed = asyncio.Condition()
        self._ended = False
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            if line.startswith(b"{"):
                self._events.append(json.loads(line))
            else:
                self._noise.append(line.decode())
            await self._notify()
        self._ended = True
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def command(self, command: str, **fields: object) -> None:
        """Send a command; use `frame` for a frame or a body."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"command": command, **fields}).encode() + b"\n")
        await self._process.stdin.drain()

    async def event(self, event: str, **fields: object) -> Event:
        """Take the next event with this name and these fields; fail when the script ends or none comes in time."""
        try:
            async with asyncio.timeout(PATIENCE), self._changed:
                await self._changed.wait_for(lambda: self._ended or self._find(event, fields) is not None)
        except TimeoutError:
            pass  # raised below
        if found := self._find(event, fields):
            self._events.remove(found)
            return found
        received = "".join(f"{json.dumps(other)[:500]}\n" for other in self._events) + "".join(self._noise)
        raise AssertionError(f"no {event!r} with {fields}, but:\n{received}")

    def _find(self, event: str, fields: dict[str, object]) -> Event | None:
        wanted = {"event": event, **fields}.items()
        return next((found for found in self._events if wanted <= found.items()), None)

    async def end(self) -> None:
        """Close its stdin, which ends it; kill it if it does not end."""
        assert self._process.stdin
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), PATIENCE)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading


@asynccontextmanager
async def running(
    name: str, key: str, environment: Mapping[str, str] | None, options: Mapping[str, object]
) -> AsyncIterator[Script]:
    """Run a script of `hyco/`. The key is passed in the environment, since other users can see arguments."""
    process = await asyncio.create_subprocess_exec(
        "node",
        f"{name}.js",
        json.dumps(dict(options)),
        cwd=HYCO,
        env={**os.environ, **(environment or {}), "RELAY_KEY": key},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=LONGEST_LINE,
    )
    script = Script(process)
    try:
        yield script
    finally:
        await script.end()


def frame(data: str | bytes) -> dict[str, str]:
    """Return a frame or a body as fields of a command or an event."""
    return {"text": data} if isinstance(data, str) else {"base64": base64.b64encode(data).decode()}
