"""Owns how the live page learns that the database has changed, without that anybody who changes it says so.

PostgreSQL tells: triggers, made by a migration, notify whoever listens. SQLite is asked several times a second for a
number that other connections' commits change, which costs a look at a page in memory.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connection
from psycopg import AsyncConnection, Error, sql

logger = logging.getLogger(__name__)

#: What the triggers notify (dashboard/migrations/0001_notify.py).
CHANNEL = "gateway_changed"
#: SQLite is asked so often.
POLL_SECONDS = 0.4
#: A database that is away is tried again after this long.
RETRY_SECONDS = 2.0

Wake = Callable[[], None]


async def keep_waking(wake: Wake) -> None:
    """Call `wake` after each change of the database, for ever; the broadcaster's clock makes up what it misses."""
    watch = _listen if connection.vendor == "postgresql" else _poll
    while True:
        try:
            await watch(wake)
        except (Error, sqlite3.Error, OSError) as error:
            logger.warning("changes of the database are not heard", extra={"error": type(error).__name__})
        await asyncio.sleep(RETRY_SECONDS)


async def _listen(wake: Wake) -> None:
    connected = await AsyncConnection.connect(**_parameters(), autocommit=True)
    async with connected:
        await connected.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        wake()  # something may have changed meanwhile
        async for _ in connected.notifies():
            wake()


def _parameters() -> dict[str, Any]:
    """Django's own, without what only its own connections know."""
    parameters: dict[str, Any] = connection.get_connection_params()
    return {name: value for name, value in parameters.items() if name not in ("cursor_factory", "context")}


async def _poll(wake: Wake) -> None:
    path = connection.settings_dict["NAME"]
    with closing(await asyncio.to_thread(_opened, path)) as connected:
        known = None
        while True:
            version = await asyncio.to_thread(_version, connected)
            if version != known:
                known = version
                wake()
            await asyncio.sleep(POLL_SECONDS)


def _opened(path: str | Path) -> sqlite3.Connection:
    """A connection of its own, which makes no file that is not there."""
    address = f"{Path(path).absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)


def _version(connected: sqlite3.Connection) -> int:
    """Changes with every commit of another connection (SQLite's PRAGMA data_version)."""
    version: int = connected.execute("PRAGMA data_version").fetchone()[0]
    return version
