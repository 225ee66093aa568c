"""Check tokens (Hybrid Connections protocol: shared access signature, Entra ID). Pure.

The signature covers the resource URI exactly as it is written in the token. Only after checking it is the URI decoded
and compared, segment by segment, with the requested address.
"""

import base64
import hashlib
import hmac
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import unquote

from nonprod.relay_emulator.http_messages import Refused

RIGHTS = frozenset({"Listen", "Send", "Manage"})
#: Allowed in a resource URI; clients differ.
SCHEMES = {"http", "https", "sb", "ws", "wss"}
PORT = re.compile(r":[0-9]+$")
EXPIRY = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class SharedAccessPolicy:
    """A shared access policy: its key and the rights that it grants."""

    key: str = field(repr=False)
    rights: frozenset[str] = RIGHTS


@dataclass(frozen=True)
class Signature:
    """The parts of a shared access signature; `resource` is the URI as signed, still encoded."""

    resource: str
    signature: str
    expiry: str
    policy: str


@dataclass(frozen=True)
class Address:
    """A requested address: the host names of the namespace, without port, and the path."""

    hosts: Collection[str]
    path: str


def check_token(
    token: str, scopes: Iterable[Mapping[str, SharedAccessPolicy]], address: Address, right: str, now: float
) -> float:
    """Return when a shared access signature expires; raises Refused with 401 (invalid) or 403 (valid elsewhere).

    `scopes` are the policies of the namespace and of the hybrid connection; a name may occur in both. Times are Unix
    seconds.
    """
    signature = read_token(token)
    policies = [scope[signature.policy] for scope in scopes if signature.policy in scope]
    rights = [policy.rights for policy in policies if is_signed(signature, policy.key)]
    if not rights:
        raise Refused(401, "InvalidSignature: The token has an invalid signature")
    expires_at = float(signature.expiry)
    if expires_at <= now:
        times = f"Expiration time: {_format_time(expires_at)}, current time: {_format_time(now)}"
        raise Refused(401, f"ExpiredToken: The token is expired. {times}")
    if not covers(unquote(signature.resource), address):
        raise Refused(403, f"InvalidAudience: The token is for another address; it does not grant the right to {right}")
    if not {right, "Manage"} & frozenset().union(*rights):
        raise Refused(403, f"The token does not grant the right to {right} here")
    return expires_at


def check_bearer(token: str, bearers: Collection[str]) -> float:
    """Return the expiry of a configured Entra ID token, which is never; raises Refused with 401 for any other."""
    if token.partition(" ")[2] not in bearers:
        raise Refused(401, "InvalidToken: This bearer token is not known to the emulator")
    return math.inf


def read_token(token: str) -> Signature:
    """Read a shared access signature; raises Refused with 401 if a part is missing."""
    if not token:
        raise Refused(401, "MissingToken: Relay security token is required")
    kind, _, rest = token.partition(" ")
    parts = dict(part.partition("=")[::2] for part in rest.split("&"))
    complete = {"sr", "sig", "se", "skn"} <= parts.keys() and EXPIRY.fullmatch(parts["se"])
    if kind != "SharedAccessSignature" or not complete:
        raise Refused(401, "MalformedToken: The token is not a shared access signature")
    return Signature(parts["sr"], unquote(parts["sig"]), parts["se"], unquote(parts["skn"]))


def is_signed(signature: Signature, key: str) -> bool:
    """Check the signature. The key is used as text: it looks like base64 but is not decoded."""
    signed = f"{signature.resource}\n{signature.expiry}".encode()
    expected = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest())
    return hmac.compare_digest(signature.signature.encode(), expected)


def covers(audience: str, address: Address) -> bool:
    """Check that the audience is the address or a parent of it; scheme, case, port and final slash do not matter."""
    scheme, _, rest = audience.lower().partition("://")
    host, _, path = rest.partition("/")
    wanted, asked = segments(path), segments(address.path)
    return scheme in SCHEMES and PORT.sub("", host) in address.hosts and asked[: len(wanted)] == wanted


def segments(path: str) -> list[str]:
    """Return a path's segments, decoded and in lower case: names of hybrid connections ignore case."""
    return [unquote(segment).lower() for segment in path.split("/") if segment]


def _format_time(seconds: float) -> str:
    """Format Unix seconds as UTC; a number too large for a date stays a number."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError):
        return str(seconds)
