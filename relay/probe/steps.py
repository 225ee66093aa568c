"""Check the way to the relay step by step. `STEPS`, at the end, lists the steps in order and what each needs.

Each step returns the finding to print. If it fails, it says what is wrong and what to do, in terms of the settings.
With a proxy, the steps DNS and TCP concern the proxy, which looks up the relay itself.
"""

import asyncio
import json
import re
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from django.conf import settings
from django.core.checks import run_checks

from core.checks import GATEWAY
from relay.configuration import configured_address, configured_listener, configured_tokens
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.failures import (
    EXPIRED,
    NOT_YET_VALID,
    PROXY_SYNTAX,
    WRONG_ADDRESS,
    WRONG_HOST,
    HybridConnectionError,
    clock_skew,
    seconds_behind,
)
from relay.hybrid_connection.sender import send
from relay.hybrid_connection.tokens import TokenProvider, fresh_token
from relay.probe.network import (
    InvalidProxyUrl,
    NotHttp,
    Proxy,
    ProxyRefused,
    Route,
    describe_trusted_authorities,
    get_response_head,
    get_unverified_certificate,
    open_tls,
    open_tunnel,
    peer_certificate,
    route_to,
)
from relay.probe.report import NotNeeded, Problem, Step, StepFailed
from relay.probe.temporary_channel import temporary_channel

CONNECT_SECONDS = 10.0
#: A little longer than the service waits for a listener, so that the service's own answer arrives first.
ECHO_SECONDS = 35.0
ECHO = json.dumps({"action_type": "echo", "source_system": "probe_relay"})
#: A key that was set in place of the policy's name contains other characters as well.
POLICY_NAME = re.compile(r"[A-Za-z0-9._-]{1,256}")
TIME_FORMAT = "%Y-%m-%d %H:%M UTC"
PROXY_HINT = "If this network needs a proxy to reach the internet, set HTTPS_PROXY."


@dataclass
class ProbeContext:
    """What the steps share. `addresses` are those of the route's first hop, once the step DNS has found them."""

    addresses: list[str] = field(default_factory=list)

    @cached_property
    def address(self) -> HybridConnectionAddress:
        """The hybrid connection; raises ValueError if the settings do not name one."""
        return configured_address()

    @cached_property
    def route(self) -> Route:
        """The route to the relay; raises InvalidProxyUrl if HTTPS_PROXY cannot be used."""
        return route_to(self.address)

    @cached_property
    def tokens(self) -> TokenProvider:
        return configured_tokens()


async def check_settings(context: ProbeContext) -> str:
    """Run the gateway's checks and read HTTPS_PROXY. Only an unusable address or proxy blocks the other steps."""
    messages = await asyncio.to_thread(run_checks, tags=[GATEWAY])
    problems = [
        Problem(f"{message.id}: {message.msg}", message.hint or "See docs/configuration.md.")
        for message in messages
        if message.is_serious() and not message.is_silenced()
    ]
    try:
        route = context.route
    except InvalidProxyUrl as error:
        raise StepFailed(*problems, Problem(str(error), f"Write it as {PROXY_SYNTAX}.")) from None
    except ValueError:  # a system check has reported it
        raise StepFailed(*problems) from None
    if problems:
        raise StepFailed(*problems, blocks=False)
    proxy = f"through the proxy {route.proxy}" if route.proxy else "without a proxy"
    return f"{route.target}, hybrid connection {context.address.path}, {proxy}; all checks passed"


# The network ----------------------------------------------------------------------------------------------------------


async def resolve_host(context: ProbeContext) -> str:
    """Look up the addresses of the route's first hop."""
    route = context.route
    host, port = route.first_hop
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError):
        setting = "HTTPS_PROXY" if route.proxy else "AZURE_RELAY_NAMESPACE"
        remedy = f"Compare it with {setting}. If it is right, this machine's DNS server must know it: nslookup {host}."
        if not route.proxy:
            remedy += f" {PROXY_HINT}"
        raise StepFailed(Problem(f"the host name of {route.first_hop_name}, {host}, is unknown here", remedy)) from None
    context.addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    by_proxy = f" (the proxy, which looks up {route.host} itself)" if route.proxy else ""
    if context.addresses == [host]:
        return f"{host} is already an address{by_proxy}"
    return f"{host} is {', '.join(context.addresses)}{by_proxy}"


async def connect_tcp(context: ProbeContext) -> str:
    """Connect to all addresses at the same time; one that answers is enough."""
    route = context.route
    port = route.first_hop[1]
    errors = await asyncio.gather(*(connection_error(address, port) for address in context.addresses))
    closed = {address: error for address, error in zip(context.addresses, errors, strict=True) if error}
    failures = ", ".join(f"{address}: {error}" for address, error in closed.items())
    if len(closed) < len(context.addresses):
        answering = ", ".join(address for address in context.addresses if address not in closed)
        but = f", but not at {failures}" if failures else ""
        return f"{route.first_hop_name} answers on port {port} at {answering}{but}"
    if route.proxy:
        remedy = (
            f"Check {route.proxy} in HTTPS_PROXY, that the proxy is running, and that this machine may connect to it."
        )
    else:
        wrong_port = "" if port == 443 else f"AZURE_RELAY_NAMESPACE names port {port}, but Azure uses 443. "
        firewall = "Every firewall on the way must let this machine connect to *.servicebus.windows.net on port 443."
        remedy = f"{wrong_port}{firewall} {PROXY_HINT}"
    raise StepFailed(Problem(f"{route.first_hop_name} does not answer on port {port} ({failures})", remedy))


async def connection_error(address: str, port: int) -> str:
    """Say why a TCP connection cannot be made; empty if it can."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address, port)
    except TimeoutError:
        return f"no answer within {CONNECT_SECONDS:g} s"
    except ConnectionRefusedError:
        return "connection refused"
    except OSError as error:
        return f"not reachable (error {error.errno})"
    writer.transport.abort()
    return ""


async def connect_through_proxy(context: ProbeContext) -> str:
    """Ask the proxy to connect to the relay (CONNECT)."""
    route, proxy = context.route, context.route.proxy
    if route.plain:
        raise NotNeeded("not needed: an emulator on this machine is reached directly")
    if proxy is None:
        unused = f"not used: NO_PROXY excludes {route.host}"
        raise NotNeeded(unused if route.bypasses_proxy else "none configured (HTTPS_PROXY)")
    try:
        async with open_tunnel(route):
            user = "" if proxy.user is None else f" as {proxy.user}"
            return f"{proxy}{user} connects to {route.target}"
    except ProxyRefused as refused:
        raise StepFailed(explain_refusal(route, proxy, refused)) from None
    except (NotHttp, OSError) as error:
        cause = f"{proxy} does not answer like an HTTP proxy ({type(error).__name__})"
        remedy = "Check its port in HTTPS_PROXY, and whether it needs http:// or https://. Ask whoever runs the proxy."
        raise StepFailed(Problem(cause, remedy)) from None


def explain_refusal(route: Route, proxy: Proxy, refused: ProxyRefused) -> Problem:
    """Explain the status with which a proxy refused CONNECT."""
    status = refused.status
    if status >= 500:
        cause = f"the proxy {proxy} works, but cannot reach the relay at {route.target} ({status})"
        return Problem(cause, "Check AZURE_RELAY_NAMESPACE. If it is right, ask whoever runs the proxy.")
    if status not in (401, 407):  # RFC 9110 says 407, but tinyproxy answers a wrong password with 401
        cause = f"the proxy {proxy} does not allow connections to {route.target} ({status})"
        remedy = f"It must allow CONNECT to *.servicebus.windows.net on port {route.port}: ask whoever runs it."
        return Problem(cause, remedy)
    if refused.auth_schemes and "basic" not in refused.auth_schemes:
        schemes = ", ".join(refused.auth_schemes)
        cause = f"the proxy {proxy} does not accept a user name and password, only {schemes} ({status})"
        return Problem(cause, "Ask whoever runs it to allow Basic, or to let this machine through without a password.")
    if proxy.user is None:
        cause = f"the proxy {proxy} requires a user name and password, and HTTPS_PROXY has none ({status})"
        return Problem(cause, f"Set HTTPS_PROXY=http://user:password@{proxy}")
    cause = f"the proxy {proxy} refuses the user name {proxy.user} with the password in HTTPS_PROXY ({status})"
    remedy = "Compare both with those you were given. Write special characters as %40 for @, %3A for :, %25 for %."
    return Problem(cause, remedy)


async def complete_tls_handshake(context: ProbeContext) -> str:
    """Complete a TLS handshake with the relay, verifying its certificate."""
    route = context.route
    if route.plain:
        raise NotNeeded("not needed: plain ws://, to an emulator on this machine")
    try:
        async with open_tls(route) as (_, writer):
            certificate = peer_certificate(writer)
            version = writer.get_extra_info("ssl_object").version()
            until = f"{certificate.not_after:{TIME_FORMAT}}"
            return f"{version}; certificate issued by {certificate.issuer}, valid until {until}"
    except ssl.SSLCertVerificationError as error:
        raise StepFailed(await explain_untrusted_certificate(route, error)) from None
    except (ProxyRefused, NotHttp, OSError) as error:
        cause = f"the TLS handshake with {route.target} failed ({getattr(error, 'reason', '') or type(error).__name__})"
        remedy = "Is this a relay's host and port? Does a proxy or firewall on the way intercept or block TLS?"
        raise StepFailed(Problem(cause, remedy)) from None


async def explain_untrusted_certificate(route: Route, error: ssl.SSLCertVerificationError) -> Problem:
    """Explain why a certificate was not accepted. Its issuer reveals a proxy that inspects TLS."""
    certificate = await get_unverified_certificate(route)
    issuer = certificate.issuer if certificate else "an unknown authority"
    if error.verify_code in (NOT_YET_VALID, EXPIRED):
        validity = ""
        if certificate:
            validity = f", valid from {certificate.not_before:{TIME_FORMAT}} to {certificate.not_after:{TIME_FORMAT}}"
        now = f"this machine's clock says {datetime.now(UTC):{TIME_FORMAT}}"
        remedy = f"If the clock is wrong, set it. If it is right, {issuer} must renew the certificate."
        return Problem(f"{error.verify_message}: issued by {issuer}{validity}; {now}", remedy)
    if error.verify_code in (WRONG_HOST, WRONG_ADDRESS):
        hosts = ", ".join(certificate.hosts) if certificate else "another host"
        remedy = "Check AZURE_RELAY_NAMESPACE. If it is right, something on the way answers in the relay's place."
        return Problem(f"the certificate, issued by {issuer}, is not for {route.host} but for {hosts}", remedy)
    cause = f"the certificate was issued by {issuer}, which is not trusted here ({error.verify_message})"
    remedy = (
        f"If {issuer} belongs to your own organisation, or to its proxy: save that authority's root certificate (PEM) "
        "in a file and set SSL_CERT_FILE to its path. If not, have *.servicebus.windows.net exempted from inspection."
    )
    return Problem(f"{cause}; {describe_trusted_authorities()}", remedy)


async def compare_clocks(context: ProbeContext) -> str:
    """Compare this machine's clock with the service's (the Date of an HTTP response)."""
    target = context.route.target
    try:
        date = (await get_response_head(context.route)).headers.get("Date", "")
    except (NotHttp, ProxyRefused, OSError) as error:
        cause = f"{target} does not answer an HTTP request ({type(error).__name__})"
        raise StepFailed(Problem(cause, "Is this a relay's host and port?"), blocks=False) from None
    now = time.time()
    behind = seconds_behind(date, now)
    if behind is None:
        raise NotNeeded("the service does not send the time")
    if skew := clock_skew(date, now):
        remedy = "Have it set by NTP (timedatectl, chronyc). A container or virtual machine uses its host's clock."
        raise StepFailed(Problem(skew.removesuffix(": set it"), remedy), blocks=False)
    return f"this machine's clock is within {max(1, round(abs(behind)))} s of the service's"


# The relay service ----------------------------------------------------------------------------------------------------

#: Kind of failure (`Failure.kind`) → what to do; "" is for all others.
Remedies = Mapping[str, str]

AZURE_FAULT = "Wait and try again. If the problem remains, give Azure's support the tracking id."
RENDEZVOUS_FIREWALL = (
    "A rendezvous is on another host than the namespace: firewall and proxy must let this machine connect to "
    "*.servicebus.windows.net on port 443."
)
TOKEN_REMEDIES: Remedies = {
    "": "To use a key, set AZURE_RELAY_KEY_NAME and AZURE_RELAY_SHARED_ACCESS_KEY. To use Entra ID, this machine needs "
    "a managed identity, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET and access to "
    "login.microsoftonline.com.",
}
LISTEN_REMEDIES: Remedies = {
    "unauthorized": "AZURE_RELAY_KEY_NAME and AZURE_RELAY_SHARED_ACCESS_KEY must be the name and key of one policy of "
    "this hybrid connection or its namespace (portal: Shared access policies), with the right Listen. An identity of "
    "Entra ID needs the role Azure Relay Listener.",
    "forbidden": "Give the policy the right Listen on this hybrid connection (portal: Shared access policies), or the "
    "identity the role Azure Relay Listener. The text in brackets says if the cause is instead too many listeners or a "
    "forbidden IP address.",
    "not_found": "AZURE_RELAY_HYBRID_CONNECTION must be the name of a hybrid connection in this namespace (portal: "
    "Hybrid Connections).",
    "service_trouble": AZURE_FAULT,
    "": "If all earlier steps passed, something on the way allows HTTPS but not WebSockets: ask whoever runs it.",
}
ROUND_TRIP_REMEDIES: Remedies = {
    "gateway_timeout": f"{RENDEZVOUS_FIREWALL} If they do, the connected listener is dead: restart run_relay_listener.",
    "no_reply": "See what the log of run_relay_listener says. check_health says whether the database answers.",
    "service_trouble": AZURE_FAULT,
    "": RENDEZVOUS_FIREWALL,
}


def relay_failure(error: HybridConnectionError, remedies: Remedies) -> StepFailed:
    """Return the failure of a step from an error of the hybrid connection."""
    return StepFailed(Problem(str(error), remedies.get(error.failure.kind, remedies[""])))


async def get_token(context: ProbeContext) -> str:
    """Sign a token, or get one from Entra ID. The token is never printed, nor a key set in place of its name."""
    try:
        token = await fresh_token(context.tokens, context.address.audience)
    except HybridConnectionError as error:
        raise relay_failure(error, TOKEN_REMEDIES) from None
    minutes = round((token.expires_at - time.time()) / 60)
    if token.value.startswith("Bearer "):
        return f"a token from Entra ID, valid for {minutes} min"
    policy: str = settings.AZURE_RELAY_KEY_NAME
    if not POLICY_NAME.fullmatch(policy):
        remedy = "Use letters, digits, '.', '-', '_'. Is it the key instead? Set that in AZURE_RELAY_SHARED_ACCESS_KEY."
        raise StepFailed(Problem("AZURE_RELAY_KEY_NAME is not a valid name of a policy", remedy))
    return f"a shared access signature of the policy {policy}, valid for {minutes} min"


async def listen(context: ProbeContext) -> str:
    """Open a control channel and close it at once."""
    try:
        async with temporary_channel(configured_listener(lambda _status: None)) as served:
            pass
    except HybridConnectionError as error:
        raise relay_failure(error, LISTEN_REMEDIES) from None
    senders = f"; senders served meanwhile: {len(served)}" if served else ""
    return f"Listen is granted on {context.address.path}{senders}"


async def make_round_trip(context: ProbeContext) -> str:
    """Send an echo to the running listener or, if there is none, to a channel of the probe itself."""
    try:
        await send_echo(context)
    except HybridConnectionError as error:
        if error.status in (401, 403):
            raise NotNeeded(
                "this policy does not grant Send, and need not: as no echo can prove the channel, the listener then "
                "relies on pings and on the age of the channel, and replaces it every "
                f"{settings.RELAY_CHANNEL_MAX_AGE_SECONDS} s (RELAY_CHANNEL_MAX_AGE_SECONDS)"
            ) from None
        if error.status != 404:
            raise relay_failure(error, ROUND_TRIP_REMEDIES) from None
    else:
        return "a running listener answered the echo"
    try:
        async with temporary_channel(configured_listener(lambda _status: None)):
            await send_echo(context)
    except HybridConnectionError as error:
        raise relay_failure(error, ROUND_TRIP_REMEDIES) from None
    return "this probe answered its own echo: no listener is running (start run_relay_listener)"


async def send_echo(context: ProbeContext) -> None:
    """Send an echo; raise StepFailed if the reply is not a gateway's."""
    reply = await send(context.address, context.tokens, ECHO, ECHO_SECONDS)
    try:
        is_echo = json.loads(reply)["status"] == "echo"
    except (ValueError, TypeError, KeyError):
        is_echo = False
    if not is_echo:
        remedy = "Only this gateway may listen on its hybrid connection: is another program listening there?"
        raise StepFailed(Problem("a listener answered, but it is not a gateway", remedy))


STEPS: tuple[Step[ProbeContext], ...] = (
    Step("settings", check_settings),
    # As long as a resolver may take: its thread cannot be stopped.
    Step("DNS", resolve_host, needs=("settings",), seconds=40),
    Step("TCP", connect_tcp, needs=("DNS",)),
    Step("proxy", connect_through_proxy, needs=("TCP",), seconds=30),
    Step("TLS", complete_tls_handshake, needs=("proxy",), seconds=30),
    Step("clock", compare_clocks, needs=("TLS",)),
    Step("token", get_token, needs=("settings",), seconds=60),
    Step("listen", listen, needs=("TLS", "token"), seconds=120),
    Step("round trip", make_round_trip, needs=("listen",), seconds=180),
)
