"""Run the gateway that the browser opens: all its processes, with its own database and its own users.

One for all the tests here. A database of its own, as the tests beside these empty theirs.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.db import connection

from tests.processes import database_url, processes
from tests.system.conftest import Gateway

PARTS = (
    "run_relay_emulator",
    "run_relay_listener",
    "run_mwl_scp",
    "run_image_scp",
    "run_image_uploader",
    "run_web",
)
#: Each of the two groups, and one who may do everything; the password is the name.
MAKE_PEOPLE = """
from django.contrib.auth.models import Group, User
User.objects.create_superuser("admin", password="admin")
for name in ("clinic", "support"):
    User.objects.create_user(name, password=name, is_staff=True).groups.add(Group.objects.get(name=name))
"""


class WholeGateway(Gateway):
    """All the parts, and commands for their database."""

    def manage(self, *command: str) -> None:
        """A command that has to end well."""
        process = self.start(*command, "--verbosity", "0", **self.environment)
        assert process.exit_status() == 0, process.output


@contextmanager
def running_gateway() -> Iterator[WholeGateway]:
    """It runs until the block ends."""
    with (
        own_database() as url,
        processes() as start,
        tempfile.TemporaryDirectory(prefix="spool-", ignore_cleanup_errors=True) as spool,
    ):
        gateway = WholeGateway(start, {"DATABASE_URL": url})
        gateway.manage("migrate", "--skip-checks")
        gateway.manage("shell", "--command", MAKE_PEOPLE)
        gateway.run(*PARTS, DATABASE_URL=url, IMAGE_SPOOL_DIR=spool)
        yield gateway


@contextmanager
def own_database() -> Iterator[str]:
    """The DATABASE_URL of one that is gone afterwards."""
    if connection.vendor == "sqlite":
        with tempfile.TemporaryDirectory(prefix="gateway-") as folder:
            yield f"sqlite:///{Path(folder) / 'browser.sqlite3'}"
        return
    server, _, name = database_url().rpartition("/")
    own = f"{name}_browser"
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connected:
        connected.execute(f'CREATE DATABASE "{own}"')
        yield f"{server}/{own}"
        connected.execute(f'DROP DATABASE "{own}" WITH (FORCE)')
