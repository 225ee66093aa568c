"""Check the network: DNS, TCP, the proxy, TLS, the clock.

RFC 9110 (CONNECT, 407), RFC 7617 (Basic). With a proxy, DNS and TCP concern the proxy, which looks up the relay.
"""

import asyncio
import ipaddress
import socket
import ssl
import time

from relay.hybrid_connection.failures import (
    EXPIRED,
    NOT_YET_VALID,
    WRONG_ADDRESS,
    WRONG_HOST,
    clock_skew,
    seconds_behind,
)
from relay.probe.certificates import presented, read_certificate, shown_time, today, trusted_here
from relay.probe.report import NotNeeded, Problem, StepFailed
from relay.probe.route import NoHttp, Proxy, ProxyRefused, Route, get, secured, tunnel
from relay.probe.site import Site

CONNECTING_SECONDS = 10.0
BEHIND_A_PROXY = "In a network that only a proxy may leave, set HTTPS_PROXY."


async def look_up(site: Site) -> str:
    """The addresses of whatever this machine connects to."""
    host, port = site.route.first
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        raise StepFailed(unknown_name(site.route, host)) from None
    site.addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    shown = f"{host} is {'an address already' if is_address(host) else ', '.join(site.addresses)}"
    return shown + (f" (the proxy, which itself looks up {site.route.host})" if site.route.proxy else "")


def is_address(host: str) -> bool:
    """Whether there is nothing to look up."""
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False


def unknown_name(route: Route, host: str) -> Problem:
    """A name that DNS does not have."""
    setting = "HTTPS_PROXY" if route.proxy else "AZURE_RELAY_NAMESPACE"
    remedy = f"Compare it with {setting}. If it is right, this machine's DNS server must know it: nslookup {host}."
    remedy += "" if route.proxy else f" {BEHIND_A_PROXY}"
    return Problem(f"the name of {route.whose}, {host}, is not known here", remedy)


async def connect(site: Site) -> str:
    """A TCP connection to at least one of the addresses."""
    port = site.route.first[1]
    refusals = await asyncio.gather(*(refusal_of(address, port) for address in site.addresses))
    closed = {address: refusal for address, refusal in zip(site.addresses, refusals, strict=True) if refusal}
    shown = ", ".join(f"{address}: {refusal}" for address, refusal in closed.items())
    if len(closed) == len(site.addresses):
        raise StepFailed(unreachable(site.route, shown))
    answering = ", ".join(address for address in site.addresses if address not in closed)
    return f"{site.route.whose} answers on port {port} of {answering}" + (f", and not on {shown}" if shown else "")


async def refusal_of(address: str, port: int) -> str:
    """Why an address does not answer; empty where it does."""
    try:
        async with asyncio.timeout(CONNECTING_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return f"no answer in {CONNECTING_SECONDS:g} s"
    except ConnectionRefusedError:
        return "connection refused"
    except OSError as error:
        return f"no way there (error {error.errno})"
    writer.transport.abort()
    return ""


def unreachable(route: Route, shown: str) -> Problem:
    """Nothing answers."""
    cause = f"{route.whose} does not answer on port {route.first[1]} ({shown})"
    if route.proxy:
        return Problem(cause, f"Is {route.proxy} in HTTPS_PROXY right, does the proxy run, may this machine reach it?")
    port = "" if route.port == 443 else f"AZURE_RELAY_NAMESPACE names port {route.port}, where Azure has 443. "
    remedy = "Every firewall on the way must let this machine out to *.servicebus.windows.net on port 443 (TCP)."
    return Problem(cause, f"{port}{remedy} {BEHIND_A_PROXY}")


async def pass_proxy(site: Site) -> str:
    """The proxy connects us to the relay."""
    route, proxy = site.route, site.route.proxy
    if proxy is None:
        raise NotNeeded(why_no_proxy(route))
    try:
        async with tunnel(route):
            who = "" if proxy.user is None else f" as {proxy.user}"
            return f"{proxy}{who} connects us to {route.target}"
    except ProxyRefused as refused:
        raise StepFailed(refusal_by_proxy(route, proxy, refused)) from None
    except (NoHttp, OSError) as error:
        cause = f"{proxy} does not answer as an HTTP proxy does ({type(error).__name__})"
        remedy = "Is its port in HTTPS_PROXY right, and http:// or https:// as it wants? Ask whoever runs it."
        raise StepFailed(Problem(cause, remedy)) from None


def why_no_proxy(route: Route) -> str:
    """Why none is used."""
    if route.plain:
        return "none: an emulator on this machine is spoken to directly"
    return f"none used: NO_PROXY excludes {route.host}" if route.bypassed else "none configured (HTTPS_PROXY)"


def refusal_by_proxy(route: Route, proxy: Proxy, refused: ProxyRefused) -> Problem:
    """What a proxy's status means. 401 is what tinyproxy says of a wrong password."""
    status = refused.status
    if status in (401, 407):
        return unauthenticated(proxy, refused)
    if status >= 500:
        cause = f"the proxy {proxy} works, but cannot reach the relay at {route.target} ({status})"
        return Problem(cause, "Is AZURE_RELAY_NAMESPACE right? If so, ask whoever runs the proxy.")
    cause = f"the proxy {proxy} does not let us through to {route.target} ({status})"
    return Problem(
        cause, f"It must allow CONNECT to *.servicebus.windows.net on port {route.port}: ask whoever runs it."
    )


def unauthenticated(proxy: Proxy, refused: ProxyRefused) -> Problem:
    """A proxy that does not take us for somebody it knows."""
    if refused.offers and "basic" not in refused.offers:
        cause = (
            f"the proxy {proxy} takes no user name with password, but {', '.join(refused.offers)} ({refused.status})"
        )
        return Problem(cause, "Ask whoever runs it to allow Basic, or to let this machine through without.")
    if proxy.user is None:
        cause = f"the proxy {proxy} wants a user name and password, and HTTPS_PROXY has none ({refused.status})"
        return Problem(cause, f"HTTPS_PROXY=http://user:password@{proxy}")
    cause = f"the proxy {proxy} refuses the user name {proxy.user} with the password in HTTPS_PROXY ({refused.status})"
    return Problem(
        cause, "Compare both with what its owner gave you; special characters as %40 for @, %3A for :, %25 for %."
    )


async def shake_hands(site: Site) -> str:
    """TLS, with a certificate that is trusted and the relay's own."""
    route = site.route
    if route.plain:
        raise NotNeeded("none: plain ws://, to an emulator on this machine")
    try:
        async with secured(route) as (_, writer):
            tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
            certificate = read_certificate(tls.getpeercert(binary_form=True) or b"")
            return f"{tls.version()}; certificate by {certificate.issuer}, until {shown_time(certificate.ends)}"
    except ssl.SSLCertVerificationError as error:
        raise StepFailed(await untrusted(route, error)) from None
    except (ProxyRefused, NoHttp, OSError) as error:
        cause = f"the TLS handshake with {route.target} failed ({getattr(error, 'reason', '') or type(error).__name__})"
        remedy = "Is that a relay's host and port? Does a proxy or firewall on the way break TLS open, or forbid it?"
        raise StepFailed(Problem(cause, remedy)) from None


async def untrusted(route: Route, error: ssl.SSLCertVerificationError) -> Problem:
    """What is wrong with the certificate that was shown, and whose it is."""
    certificate = await presented(route)
    issuer = certificate.issuer if certificate else "an unknown authority"
    if error.verify_code in (NOT_YET_VALID, EXPIRED):
        span = f", good from {shown_time(certificate.begins)} to {shown_time(certificate.ends)}" if certificate else ""
        cause = f"{error.verify_message}: it is by {issuer}{span}; this machine's clock says {today()}"
        return Problem(cause, f"If the clock is wrong, set it. If it is right, {issuer} must renew the certificate.")
    if error.verify_code in (WRONG_HOST, WRONG_ADDRESS):
        names = ", ".join(certificate.names) if certificate else "another host"
        cause = f"the certificate, by {issuer}, is not for {route.host} but for {names}"
        return Problem(
            cause, "Is AZURE_RELAY_NAMESPACE right? If so, something on the way answers in the relay's place."
        )
    cause = f"the certificate is by {issuer}, which is not trusted here ({error.verify_message}); {trusted_here()}"
    remedy = (
        f"If {issuer} is your own organisation's, or its proxy's: put that authority's root certificate (PEM) into a "
        "file, and its path into SSL_CERT_FILE. If not: have *.servicebus.windows.net exempted from inspection."
    )
    return Problem(cause, remedy)


async def compare_clocks(site: Site) -> str:
    """This machine's clock against the service's."""
    try:
        date = (await get(site.route)).headers.get("Date", "")
    except (NoHttp, ProxyRefused, OSError) as error:
        cause = f"{site.route.target} does not answer an HTTP request ({type(error).__name__})"
        raise StepFailed(Problem(cause, "Is that a relay's host and port?"), goes_on=True) from None
    now = time.time()
    behind = seconds_behind(date, now)
    if behind is None:
        raise NotNeeded("the service does not tell the time")
    if skew := clock_skew(date, now):
        remedy = "Have it set by NTP (timedatectl, chronyc); a container or virtual machine has the clock of its host."
        raise StepFailed(Problem(skew.removesuffix(": set it"), remedy), goes_on=True)
    return f"this machine's is right to {max(1, round(abs(behind)))} s, by the service's"
