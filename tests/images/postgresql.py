"""Break the line to PostgreSQL, or kill its server, while an image is stored."""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TypeAlias

import pytest
from django.db import connection

from tests.processes import free_ports

Address: TypeAlias = tuple[str, int]


def address_of_database() -> Address:
    """Return where the server of the test database listens."""
    return str(connection.settings_dict["HOST"]), int(str(connection.settings_dict["PORT"]))


@contextmanager
def database_at(address: Address) -> Iterator[None]:
    """Use the database of the same name at another address in the block, in all threads."""
    connection.close()
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.setitem(connection.settings_dict, "HOST", address[0])
        elsewhere.setitem(connection.settings_dict, "PORT", address[1])
        yield
        connection.close()


class LineToPostgresql:
    """A TCP relay before PostgreSQL, which breaks once: instead of passing on the first answer with `moment` in it.

    It then calls `and_then`. If it `breaks_for_good`, it refuses every connection after that.
    """

    def __init__(
        self, server: Address, moment: bytes, and_then: Callable[[], None] = lambda: None, *, breaks_for_good: bool
    ) -> None:
        self._server = server
        self._moment = moment
        self._and_then = and_then
        self._breaks_for_good = breaks_for_good
        self._has_broken = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: Address = self._listener.getsockname()

    def __enter__(self) -> "LineToPostgresql":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._refuse_others()

    def _refuse_others(self) -> None:
        with suppress(OSError):  # it does already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _address = self._listener.accept()
                server = socket.create_connection(self._server)
                threading.Thread(target=self._pass_requests, args=(client, server), daemon=True).start()
                threading.Thread(target=self._pass_answers, args=(client, server), daemon=True).start()

    def _pass_requests(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), server:
            while request := client.recv(1 << 16):
                server.sendall(request)

    def _pass_answers(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError), client:
            while answer := server.recv(1 << 16):
                if self._moment in answer and not self._has_broken:
                    self._has_broken = True
                    if self._breaks_for_good:
                        self._refuse_others()
                    self._and_then()
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(answer)


class OwnPostgresql:
    """A server of the test's own, which may be killed, with the tables of the test database and no rows."""

    def __init__(self) -> None:
        self.address: Address = ("127.0.0.1", free_ports(1)[0])
        self._programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._folder = Path(mkdtemp())
        # The server refuses to run as root.
        is_root = sys.platform != "win32" and os.getuid() == 0
        self._as: dict[str, Any] = {"user": "postgres", "group": "postgres"} if is_root else {}
        if self._as:
            shutil.chown(self._folder, "postgres")

    def __enter__(self) -> "OwnPostgresql":
        user, name = connection.settings_dict["USER"], connection.settings_dict["NAME"]
        host, port = address_of_database()
        self._run("initdb", "-D", "data", "-U", user, "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        self.start()
        here = ("-h", self.address[0], "-p", str(self.address[1]), "-U", user)
        self._run("pg_dump", "-s", "-f", "tables.sql", "-h", host, "-p", str(port), "-U", user, name)
        self._run("createdb", *here, name)
        self._run("psql", "-q", "-f", "tables.sql", *here, name)
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), *arguments]
        subprocess.run(command, cwd=self._folder, check=True, stdout=subprocess.DEVNULL, **self._as)

    def start(self) -> None:
        """Start the server, and return when it takes connections."""
        options = ["-D", "data", "-p", str(self.address[1]), "-k", str(self._folder)]
        # Without autovacuum it starts no process by itself, which `kill` could miss.
        for setting in ("listen_addresses=127.0.0.1", "fsync=off", "autovacuum=off"):
            options += ["-c", setting]
        self._server = subprocess.Popen(
            [str(self._programs / "postgres"), *options],
            cwd=self._folder,
            stderr=subprocess.PIPE,
            **self._as,
        )
        assert self._server.stderr
        for line in self._server.stderr:
            if b"ready to accept connections" in line:
                return
        raise AssertionError("PostgreSQL has not started")

    def kill(self) -> None:
        """Kill all its processes (SIGKILL), and wait until they are gone."""
        if sys.platform != "linux" or self._server.poll() is not None:  # it has been killed already
            return
        own = self._server.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        processes = [os.pidfd_open(process) for process in (own, *map(int, children))]
        for process in processes:
            with suppress(ProcessLookupError):  # it has ended with the first
                signal.pidfd_send_signal(process, signal.SIGKILL)
            select.select([process], [], [])
            os.close(process)
        self._server.communicate()
