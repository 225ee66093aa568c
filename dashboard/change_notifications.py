"""Notify the live page when the database changes (PostgreSQL NOTIFY; SQLite data_version).

On PostgreSQL, triggers made by a migration notify whoever listens. SQLite has a number that changes with the commits of
other connections; reading it several times a second costs one page in memory.
"""

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from django.db import connection

logger = logging.getLogger(__name__)

#: The channel that the triggers notify (dashboard/migrations/0001_notify.py).
CHANNEL = "gateway_changed"
POLL_SECONDS = 0.4
RETRY_SECONDS = 2.0

Notify = Callable[[], None]


async def watch_database(notify: Notify) -> None:
    """Call `notify` after each change of the database, until cancelled.

    Changes are missed while the database cannot be reached; the broadcaster also reads it at regular intervals.
    """
    watch = _watch_postgresql if connection.vendor == "postgresql" else _watch_sqlite
    driver: Any = connection.Database  # type: ignore[attr-defined]  # psycopg or sqlite3: each backend names its own
    while True:
        try:
            await watch(notify)
        except (driver.Error, OSError) as error:
            logger.warning("cannot watch the database for changes", extra={"error": type(error).__name__})
        await asyncio.sleep(RETRY_SECONDS)


async def _watch_postgresql(notify: Notify) -> None:
    from psycopg import AsyncConnection, sql  # noqa: PLC0415 - Django has imported it, unless the database is SQLite

    # Django's own parameters, without the two that only Django's connections understand.
    ours = connection.get_connection_params().items()
    parameters = {name: value for name, value in ours if name not in ("cursor_factory", "context")}
    connected = await AsyncConnection.connect(**parameters, autocommit=True)
    async with connected:
        await connected.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
        notify()  # something may have changed before LISTEN
        async for _ in connected.notifies():
            notify()


async def _watch_sqlite(notify: Notify) -> None:
    path = connection.settings_dict["NAME"]
    loop = asyncio.get_running_loop()
    # Cancelling the await does not stop the thread, and SQLite crashes the process when a connection is closed during
    # a statement. So the connection has its own thread, and is closed after that thread has ended.
    with closing(await asyncio.to_thread(_open_sqlite, path)) as connected, ThreadPoolExecutor(1) as thread:
        known = None
        while True:
            version = await loop.run_in_executor(thread, _data_version, connected)
            if version != known:
                known = version
                notify()
            await asyncio.sleep(POLL_SECONDS)


def _open_sqlite(path: str | Path) -> sqlite3.Connection:
    """Open a connection of our own; raise sqlite3.OperationalError instead of creating a missing file."""
    address = f"{Path(path).absolute().as_uri()}?mode=rw"
    return sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None)


def _data_version(connected: sqlite3.Connection) -> int:
    """Return the number that changes with every commit of another connection (PRAGMA data_version)."""
    version: int = connected.execute("PRAGMA data_version").fetchone()[0]
    return version
