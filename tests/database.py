"""Use the database from a test that is a coroutine."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from core.database import borrowed_connection

T = TypeVar("T")


async def in_database_thread(function: Callable[[], T]) -> T:
    """Run a function in a thread of its own, close the connections that it opens, and return its result."""

    def run() -> T:
        with borrowed_connection():
            return function()

    return await asyncio.to_thread(run)
