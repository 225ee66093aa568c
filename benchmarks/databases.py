"""Make a temporary database for a part of the benchmark, and set Django up on it.

It is a SQLite file; if DATABASE_URL names a PostgreSQL server, it is a new database there, which is dropped afterwards.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import django


@contextmanager
def temporary_database(migrated: Path) -> Iterator[None]:
    """Set Django up on a new, migrated database, whose address stands in DATABASE_URL for other processes.

    All the migrations take seconds: `migrated` is where the first SQLite file is kept, which the later ones copy.
    """
    with tempfile.TemporaryDirectory() as folder:
        server = os.environ.get("DATABASE_URL", "")  # noqa: TID251
        is_postgresql = server.startswith("postgres")
        file = Path(folder) / "benchmark.sqlite3"
        url = _renamed(server) if is_postgresql else f"sqlite:///{file}"
        if migrated.exists():
            shutil.copyfile(migrated, file)
        if is_postgresql:
            _on_server(server, f"CREATE DATABASE {_name(url)}")
        os.environ["DATABASE_URL"] = url  # noqa: TID251
        os.environ["DJANGO_SETTINGS_MODULE"] = "gateway_project.settings.local"  # noqa: TID251
        os.environ["LOG_LEVEL"] = "WARNING"  # noqa: TID251
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415
        from django.db import connections  # noqa: PLC0415

        if not file.exists():
            call_command("migrate", verbosity=0)
            if not is_postgresql:
                connections.close_all()
                shutil.copyfile(file, migrated)
        try:
            yield
        finally:
            connections.close_all()
            if is_postgresql:
                _on_server(server, f"DROP DATABASE {_name(url)} WITH (FORCE)")


@contextmanager
def copy_of_the_database(folder: Path) -> Iterator[str]:
    """Yield the DATABASE_URL of a copy of Django's database as it is now."""
    from django.db import connection  # noqa: PLC0415

    url = os.environ["DATABASE_URL"]  # noqa: TID251
    if connection.vendor == "sqlite":
        path = folder / "copy.sqlite3"
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(path)])
        yield f"sqlite:///{path}"
    else:
        copy = _renamed(url)
        connection.close()  # a database in use is no template
        _on_server(copy, f"CREATE DATABASE {_name(copy)} TEMPLATE {_name(url)}")
        try:
            yield copy
        finally:
            _on_server(copy, f"DROP DATABASE {_name(copy)} WITH (FORCE)")


def _name(url: str) -> str:
    return urlsplit(url).path.lstrip("/")


def _renamed(url: str, name: str = "") -> str:
    """Return the address of another database of the same server, with a new name unless one is given."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name or f'benchmark_{secrets.token_hex(4)}'}"))


def _on_server(url: str, statement: str) -> None:
    import psycopg  # noqa: PLC0415

    with psycopg.connect(_renamed(url, "postgres"), autocommit=True) as server:
        server.execute(statement)
