"""Asks the database from a test that is a coroutine: in a thread of its own, whose connection is given back."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from core.database import borrowed_connection

T = TypeVar("T")


async def ask_store(question: Callable[[], T]) -> T:
    """What the question returns."""

    def ask() -> T:
        with borrowed_connection():
            return question()

    return await asyncio.to_thread(ask)
