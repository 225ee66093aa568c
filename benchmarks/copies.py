"""Copy the rows of a table in SQL, because Django needs minutes for a million of them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.db import connection
from django.db.models import Model


def multiply(model: type[Model], copies: int, changed: Mapping[str, str]) -> None:
    """Copy each row so many times. `changed` has the SQL of columns that differ in the n-th copy."""
    table = model._meta.db_table
    serial_numbers = ("AutoField", "BigAutoField")  # these make themselves
    fields = [field for field in model._meta.concrete_fields if field.get_internal_type() not in serial_numbers]
    columns = [str(field.column) for field in fields]
    values = ", ".join(changed.get(column, column) for column in columns)
    with connection.cursor() as cursor, _without_indexes(table):
        cursor.execute(
            "WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < %s) "  # noqa: S608
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM {table} CROSS JOIN copies",
            [copies],
        )
        if connection.vendor == "postgresql":
            cursor.execute(f"ANALYZE {table}")  # as autovacuum does when a table has grown


def renamed(column: str) -> str:
    """Return the SQL of a text that differs in each copy."""
    return f"CAST(100000 + n AS varchar) || '-' || {column}"


@contextmanager
def _without_indexes(table: str) -> Iterator[None]:
    """Build SQLite's indexes anew after the block: sorting is several times as fast as inserting in random order.

    Nothing of this must survive a power cut.
    """
    if connection.vendor != "sqlite":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA synchronous=OFF")
        cursor.execute("PRAGMA cache_size=-600000")
        cursor.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> '' AND tbl_name = %s", [table]
        )
        indexes = cursor.fetchall()
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        yield
        for _, sql in indexes:
            cursor.execute(sql)
