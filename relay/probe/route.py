"""Owns the way from this machine to the relay, piece by piece: TCP, the proxy's CONNECT, TLS (RFC 9110, RFC 7617).

The listener goes the same way in one go (relay/hybrid_connection/websocket.py). Here each piece can be tried by itself,
so that the one that fails has a name.
"""

import asyncio
import base64
import io
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPMessage, parse_headers
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.websocket import proxy_for, tls_context

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SCHEMES = {"http": 80, "https": 443}
#: Where proxies for a wss:// address are looked for (`*_PROXY`).
PROXY_KINDS = ("wss", "socks", "https")


class BadProxy(ValueError):
    """HTTPS_PROXY is no proxy that can be used. The text quotes nothing of it: a password may be anywhere in it."""


class NoHttp(Exception):
    """The other side said something, or nothing, but not HTTP."""


@dataclass(frozen=True)
class Head:
    """The beginning of an HTTP response."""

    status: int
    headers: HTTPMessage


class ProxyRefused(Exception):
    """The proxy did not connect us."""

    def __init__(self, head: Head) -> None:
        super().__init__(f"{head.status}")
        self.status = head.status
        #: Ways to say who one is that it takes, such as basic.
        self.offers = [value.split()[0].lower() for value in _challenges(head) if value.strip()]


def _challenges(head: Head) -> list[str]:
    """What a proxy says, or tinyproxy's way of saying it."""
    return [*head.headers.get_all("Proxy-Authenticate", []), *head.headers.get_all("WWW-Authenticate", [])]


@dataclass(frozen=True)
class Proxy:
    """The proxy of HTTPS_PROXY; `tls` when it is spoken to over TLS itself."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def authorization(self) -> str:
        """The header line that says who we are; none where HTTPS_PROXY does not."""
        if self.user is None:
            return ""
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return f"Proxy-Authorization: Basic {credentials}\r\n"


@dataclass(frozen=True)
class Route:
    """How this machine gets to the relay: `plain` without TLS; `bypassed` when NO_PROXY excludes it from the proxy."""

    host: str
    port: int
    plain: bool = False
    proxy: Proxy | None = None
    bypassed: bool = False

    @property
    def target(self) -> str:
        """The relay's host and port, as CONNECT has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def first(self) -> tuple[str, int]:
        """Host and port of what this machine itself connects to."""
        return (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)

    @property
    def whose(self) -> str:
        """Who that is."""
        return "the proxy" if self.proxy else "the relay"


def route_to(address: HybridConnectionAddress) -> Route:
    """The route that a listener takes; BadProxy where HTTPS_PROXY cannot be used."""
    url = proxy_for(address.listen_url)
    bypassed = not address.plain and not url and any(kind in getproxies() for kind in PROXY_KINDS)
    host = address.host.strip("[]")
    return Route(host, address.port, address.plain, read_proxy(url) if url else None, bypassed)


def read_proxy(url: str) -> Proxy:
    """The proxy that a URL names; BadProxy where it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise BadProxy("HTTPS_PROXY cannot be read") from None
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise BadProxy("HTTPS_PROXY has no port that is a number") from None
    if parts.scheme not in SCHEMES:
        raise BadProxy("HTTPS_PROXY does not begin with http:// or https://")
    if not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise BadProxy("HTTPS_PROXY is not just a host and a port")
    if parts.username is not None and parts.password is None:
        raise BadProxy("HTTPS_PROXY has a user name without a password")
    user = None if parts.username is None else unquote(parts.username)
    return Proxy(host, port or SCHEMES[parts.scheme], parts.scheme == "https", user, unquote(parts.password or ""))


@asynccontextmanager
async def tunnel(route: Route) -> AsyncIterator[Streams]:
    """A connection to the relay's port, through the proxy if there is one; ProxyRefused where that does not connect."""
    proxy = route.proxy
    context = tls_context() if proxy and proxy.tls else None
    reader, writer = await asyncio.open_connection(*route.first, ssl=context)
    try:
        if proxy:
            await _ask_to_connect(reader, writer, route, proxy)
        yield reader, writer
    finally:
        writer.transport.abort()


async def _ask_to_connect(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, route: Route, proxy: Proxy
) -> None:
    target = f"{route.target} HTTP/1.1\r\nHost: {route.target}"
    writer.write(f"CONNECT {target}\r\n{proxy.authorization}\r\n".encode())
    head = await read_head(reader)
    if not 200 <= head.status < 300:
        raise ProxyRefused(head)


@asynccontextmanager
async def secured(route: Route, context: ssl.SSLContext | None = None) -> AsyncIterator[Streams]:
    """A connection on which the relay speaks HTTP: with TLS, but for an emulator that is plain."""
    async with tunnel(route) as (reader, writer):
        if not route.plain:
            await writer.start_tls(context or tls_context(), server_hostname=route.host)
        yield reader, writer


async def get(route: Route) -> Head:
    """What the relay answers to a request for nothing in particular, which shows nothing of ours."""
    async with secured(route) as (reader, writer):
        writer.write(f"GET / HTTP/1.1\r\nHost: {route.target}\r\nConnection: close\r\n\r\n".encode())
        return await read_head(reader)


async def read_head(reader: asyncio.StreamReader) -> Head:
    """The head of an HTTP response; NoHttp where there is none."""
    try:
        text = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = text.partition(b"\r\n")
        version, status = line.split()[:2]
        if not version.startswith(b"HTTP/"):
            raise NoHttp
        return Head(int(status), parse_headers(io.BytesIO(rest)))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, HTTPException):
        raise NoHttp from None
