"""Use the database from a test that is a coroutine, and empty it after a test that commits."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Model

from core.database import borrowed_connection

T = TypeVar("T")
#: What `migrate` puts into the database and no test changes.
LASTING: tuple[type[Model], ...] = (ContentType, Permission)
#: What migrations put into it and a test may change.
RESTORED: tuple[type[Any], ...] = (Group, Group.permissions.through)


class MigratedDatabase:
    """The test database as the migrations have left it.

    Django's `flush` loses what migrations have put into the tables, and takes longer than most tests.
    """

    def __init__(self) -> None:
        """Remember what is there now."""
        self._rows = [(model, list(model.objects.order_by("pk").values())) for model in RESTORED]
        lasting = {model._meta.db_table for model in LASTING + RESTORED}
        tables = connection.introspection.django_table_names(only_existing=True, include_views=False)
        self._emptied = [connection.ops.quote_name(table) for table in tables if table not in lasting]

    def restore(self) -> None:
        """Make it as it was."""
        with transaction.atomic(), connection.cursor() as cursor:
            for table in self._emptied:
                cursor.execute(f"DELETE FROM {table}")
            changed = [row for row in self._rows if list(row[0].objects.order_by("pk").values()) != row[1]]
            for model, _ in reversed(changed):
                model.objects.all().delete()
            for model, rows in changed:
                model.objects.bulk_create([model(**values) for values in rows])


async def in_database_thread(function: Callable[[], T]) -> T:
    """Run a function in a thread of its own, close the connections that it opens, and return its result."""

    def run() -> T:
        with borrowed_connection():
            return function()

    return await asyncio.to_thread(run)
