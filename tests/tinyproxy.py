"""A hospital's proxy: a tinyproxy process that requires a user name and a password."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.processes import Process, free_ports

USER, PASSWORD = "gateway", "proxy-s3cret.42"
#: LogLevel Info: below it tinyproxy does not log that it is ready.
CONFIGURATION = """
Listen 127.0.0.1
Port {port}
Timeout 60
LogLevel Info
BasicAuth {user} {password}
{more}
"""


class TinyProxy:
    """A running proxy."""

    def __init__(self, process: Process, port: int) -> None:
        self.port = port
        self._process = process

    @property
    def address(self) -> str:
        """Return `host:port`."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return the value for HTTPS_PROXY."""
        return self.url_with(USER, PASSWORD)

    def url_with(self, user: str, password: str) -> str:
        """Return the URL with another user name and password."""
        return f"http://{user}:{password}@{self.address}"

    @property
    def connects(self) -> list[str]:
        """Return the targets of all CONNECT requests so far."""
        return re.findall(r"CONNECT (\S+) HTTP", self._process.output)


@contextmanager
def running_proxy(folder: Path, more: str = "") -> Iterator[TinyProxy]:
    """Run a proxy, with `more` lines in its configuration."""
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
