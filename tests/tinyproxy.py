"""A hospital's proxy: tinyproxy as a process of its own, which demands a user name and a password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import Process, free_ports

USER, PASSWORD = "gateway", "proxy-s3cret.42"
#: `Info`, since only there it says that it is ready.
CONFIGURATION = """
Listen 127.0.0.1
Port {port}
Timeout 60
LogLevel Info
BasicAuth {user} {password}
{more}
"""


class TinyProxy:
    """A proxy that runs."""

    def __init__(self, process: Process, port: int) -> None:
        self.port = port
        self._process = process

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """What belongs into HTTPS_PROXY."""
        return self.url_with(USER, PASSWORD)

    def url_with(self, user: str, password: str) -> str:
        """The same for somebody else."""
        return f"http://{user}:{password}@{self.address}"

    @property
    def connects(self) -> list[str]:
        """Where it was asked to connect to, so far."""
        return re.findall(r"CONNECT (\S+) HTTP", self._process.output)


@contextmanager
def running_proxy(folder: Path, more: str = "") -> Iterator[TinyProxy]:
    """A proxy, with `more` lines in its configuration."""
    (port,) = free_ports(1)
    file = folder / f"tinyproxy-{port}.conf"
    file.write_text(CONFIGURATION.format(port=port, user=USER, password=PASSWORD, more=more))
    process = Process(["-d", "-c", str(file)], {}, program="tinyproxy")
    try:
        process.wait_for("Accepting connections")
        yield TinyProxy(process, port)
    finally:
        process.ask_to_end()
        process.end()
