"""Connect to the relay in separate stages: TCP, the proxy's CONNECT, TLS, one HTTP request.

The listener does all this in one call (relay/hybrid_connection/websocket.py). Here each stage can be tried by itself,
so that the one that fails can be named. RFC 9110 (CONNECT, 407), RFC 7617 (Basic), RFC 5280 (certificates).
"""

import asyncio
import base64
import io
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPException, HTTPMessage, parse_headers
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

from cryptography import x509
from cryptography.x509.oid import NameOID

from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.websocket import proxy_for, tls_context

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
#: Scheme of a proxy's URL → default port.
PROXY_PORTS = {"http": 80, "https": 443}
#: The `*_PROXY` variables in which websockets looks for the proxy of a wss:// address.
PROXY_VARIABLES = ("wss", "socks", "https")


class InvalidProxyUrl(ValueError):
    """HTTPS_PROXY cannot be used. The message quotes nothing of it, since any part may be a password."""


class NotHttp(Exception):
    """The other side sent something that is not HTTP, or nothing."""


@dataclass(frozen=True)
class ResponseHead:
    """The status and headers of an HTTP response."""

    status: int
    headers: HTTPMessage


class ProxyRefused(Exception):
    """The proxy refused to connect to the relay. `auth_schemes` are those it accepts, such as `basic`."""

    def __init__(self, head: ResponseHead) -> None:
        super().__init__(f"{head.status}")
        self.status = head.status
        # RFC 9110 says Proxy-Authenticate; tinyproxy sends WWW-Authenticate.
        names = "Proxy-Authenticate", "WWW-Authenticate"
        challenges = [challenge for name in names for challenge in head.headers.get_all(name, [])]
        self.auth_schemes = [challenge.split()[0].lower() for challenge in challenges if challenge.strip()]


# The route ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proxy:
    """The proxy in HTTPS_PROXY; `tls` if the connection to the proxy itself uses TLS."""

    host: str
    port: int
    tls: bool = False
    user: str | None = None
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def authorization(self) -> str:
        """The Proxy-Authorization header line (RFC 7617); empty without a user name."""
        if self.user is None:
            return ""
        credentials = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return f"Proxy-Authorization: Basic {credentials}\r\n"


@dataclass(frozen=True)
class Route:
    """How this machine reaches the relay.

    `plain` means without TLS, to an emulator. `bypasses_proxy` means that there is a proxy, but NO_PROXY excludes the
    relay.
    """

    host: str
    port: int
    plain: bool = False
    proxy: Proxy | None = None
    bypasses_proxy: bool = False

    @property
    def target(self) -> str:
        """The relay's host and port, as CONNECT and Host need them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def first_hop(self) -> tuple[str, int]:
        """The host and port to which this machine itself connects."""
        return (self.proxy.host, self.proxy.port) if self.proxy else (self.host, self.port)

    @property
    def first_hop_name(self) -> str:
        return "the proxy" if self.proxy else "the relay"


def route_to(address: HybridConnectionAddress) -> Route:
    """Return the route that a listener takes to `address`; raise InvalidProxyUrl if HTTPS_PROXY cannot be used."""
    url = proxy_for(address.listen_url)
    bypasses_proxy = not address.plain and not url and any(name in getproxies() for name in PROXY_VARIABLES)
    proxy = parse_proxy_url(url) if url else None
    return Route(address.host.strip("[]"), address.port, address.plain, proxy, bypasses_proxy)


def parse_proxy_url(url: str) -> Proxy:
    """Parse a proxy's URL; raise InvalidProxyUrl if it cannot be used."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidProxyUrl("HTTPS_PROXY cannot be read") from None
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        raise InvalidProxyUrl("the port in HTTPS_PROXY is not a number") from None
    if parts.scheme not in PROXY_PORTS:
        raise InvalidProxyUrl("HTTPS_PROXY does not begin with http:// or https://")
    if not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidProxyUrl("HTTPS_PROXY is not just a host and a port")
    if parts.username is not None and parts.password is None:
        raise InvalidProxyUrl("HTTPS_PROXY has a user name without a password")
    user = None if parts.username is None else unquote(parts.username)
    default_port = PROXY_PORTS[parts.scheme]
    return Proxy(host, port or default_port, parts.scheme == "https", user, unquote(parts.password or ""))


# The stages -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def open_tunnel(route: Route) -> AsyncIterator[Streams]:
    """Connect to the relay's port, through the proxy if there is one.

    Raises ProxyRefused or NotHttp, according to the proxy's answer, and OSError.
    """
    proxy = route.proxy
    reader, writer = await asyncio.open_connection(*route.first_hop, ssl=tls_context() if proxy and proxy.tls else None)
    try:
        if proxy:
            request_line = f"CONNECT {route.target} HTTP/1.1"
            writer.write(f"{request_line}\r\nHost: {route.target}\r\n{proxy.authorization}\r\n".encode())
            head = await read_response_head(reader)
            if not 200 <= head.status < 300:
                raise ProxyRefused(head)
        yield reader, writer
    finally:
        writer.transport.abort()


@asynccontextmanager
async def open_tls(route: Route, context: ssl.SSLContext | None = None) -> AsyncIterator[Streams]:
    """Connect to the relay with TLS (without it on a plain route). Raises as open_tunnel does, and SSLError."""
    async with open_tunnel(route) as (reader, writer):
        if not route.plain:
            await writer.start_tls(context or tls_context(), server_hostname=route.host)
        yield reader, writer


async def get_response_head(route: Route) -> ResponseHead:
    """Send the relay `GET /`, without credentials, and return the head of its response."""
    async with open_tls(route) as (reader, writer):
        writer.write(f"GET / HTTP/1.1\r\nHost: {route.target}\r\nConnection: close\r\n\r\n".encode())
        return await read_response_head(reader)


async def read_response_head(reader: asyncio.StreamReader) -> ResponseHead:
    """Read the head of an HTTP response; raise NotHttp if something else arrives."""
    try:
        text = await reader.readuntil(b"\r\n\r\n")
        line, _, rest = text.partition(b"\r\n")
        version, status = line.split()[:2]
        if not version.startswith(b"HTTP/"):
            raise NotHttp
        return ResponseHead(int(status), parse_headers(io.BytesIO(rest)))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError, HTTPException):
        raise NotHttp from None


# Certificates ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CertificateSummary:
    """What the probe prints of a certificate. `hosts` is the subject if the certificate names no host."""

    hosts: tuple[str, ...]
    issuer: str
    not_before: datetime
    not_after: datetime


def peer_certificate(writer: asyncio.StreamWriter) -> CertificateSummary:
    """Summarise the certificate of the other end of a TLS connection; raise ValueError if it cannot be read."""
    tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
    certificate = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        hosts = [format_name(certificate.subject)]
    else:
        addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
        hosts = [*names.get_values_for_type(x509.DNSName), *addresses]
    issuer = format_name(certificate.issuer)
    return CertificateSummary(tuple(hosts), issuer, certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def format_name(name: x509.Name) -> str:
    """Format a distinguished name as its common name and organisation, or in full if it has neither."""
    oids = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME
    attributes = [attribute for oid in oids for attribute in name.get_attributes_for_oid(oid)]
    return ", ".join(str(attribute.value) for attribute in attributes) or name.rfc4514_string()


async def get_unverified_certificate(route: Route) -> CertificateSummary | None:
    """Return the relay's certificate without verifying it; None if it cannot be had. Only the handshake is sent."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    try:
        async with open_tls(route, unverified) as (_, writer):
            return peer_certificate(writer)
    except (OSError, ValueError):
        return None


def describe_trusted_authorities() -> str:
    """Say how many certificate authorities are trusted, and from which file they come.

    The TLS library silently ignores an SSL_CERT_FILE that does not exist.
    """
    number = tls_context().cert_store_stats()["x509_ca"]
    paths = ssl.get_default_verify_paths()
    file = paths.cafile or f"no file: {paths.openssl_cafile_env}, if set, names a file that does not exist"
    return f"trusted authorities: {number}, from {file}"
