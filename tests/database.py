"""Make the test database, empty it after a test that commits, and use it from a test that is a coroutine."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import gettempdir
from typing import Any, TypeVar

from django.conf import settings
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.db.models import Model

from core.database import borrowed_connection
from tests.file_locks import file_lock

T = TypeVar("T")
#: What `migrate` puts into the database and no test changes.
LASTING: tuple[type[Model], ...] = (ContentType, Permission)
#: What migrations put into it and a test may change.
RESTORED: tuple[type[Any], ...] = (Group, Group.permissions.through)


@contextmanager
def copied_database(run: str, worker: str) -> Iterator[None]:
    """Use a test database of this worker's own: a copy of the one that the first worker of the run migrates.

    All the migrations take longer than a hundred tests.
    """
    creation, names = connection.creation, connection.settings_dict
    configured, names["TEST"]["NAME"] = names["NAME"], _name(f"gateway_test_{run}")
    migrated = settings.BASE_DIR / "build" / f"migrated-{connection.vendor}-{run}"
    with file_lock("migrated"):
        is_first = not migrated.exists()
        if is_first:
            creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
            migrated.touch()
        connection.close()  # PostgreSQL copies no database that is in use
        names["NAME"] = names["TEST"]["NAME"]
        creation.clone_test_db(worker, verbosity=0, autoclobber=True)
    names["NAME"] = creation.get_test_db_clone_settings(worker)["NAME"]
    yield
    creation.destroy_test_db(names["TEST"]["NAME"], verbosity=0)
    if is_first:
        creation.destroy_test_db(configured, verbosity=0)
        migrated.unlink()


def _name(name: str) -> str:
    # Of SQLite a file, not memory: the tests start processes that open the same database.
    return f"{gettempdir()}/{name}.sqlite3" if connection.vendor == "sqlite" else name


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
