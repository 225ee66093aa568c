"""Owns which tokens open what (Hybrid Connections protocol: shared access signature, Entra ID). Pure.

The signature is checked over the resource exactly as it stands in the token; only then is the resource read, and held
segment by segment against the address that is asked for.
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

from nonprod.relay_emulator.refusals import Refused

RIGHTS = frozenset({"Listen", "Send", "Manage"})
#: Of a resource URI; clients differ.
SCHEMES = {"http", "https", "sb", "ws", "wss"}
PORT = re.compile(r":[0-9]+$")
EXPIRY = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class SharedAccessPolicy:
    """A shared access policy: the key, and the rights it gives."""

    key: str = field(repr=False)
    rights: frozenset[str] = RIGHTS


@dataclass(frozen=True)
class Signature:
    """The parts of a shared access signature, `resource` as it was signed."""

    resource: str
    signature: str
    expiry: str
    policy: str


@dataclass(frozen=True)
class Address:
    """What is asked for: the names that the namespace goes by, without port, and the path in it."""

    hosts: Collection[str]
    path: str


def check_token(
    token: str, scopes: Iterable[Mapping[str, SharedAccessPolicy]], address: Address, right: str, now: float
) -> float:
    """When a shared access signature ends; Refused with 401 (no good) or 403 (good, but not for this).

    `scopes` are the policies of the namespace and of the hybrid connection: one name may stand in both. Times are Unix
    seconds.
    """
    signature = read_token(token)
    rights = [policy.rights for policy in policies_of(signature, scopes) if is_signed(signature, policy.key)]
    if not rights:
        raise Refused(401, "InvalidSignature: The token has an invalid signature")
    expires_at = float(signature.expiry)
    if expires_at <= now:
        raise Refused(
            401, f"ExpiredToken: The token is expired. Expiration time: {_time(expires_at)}, current time: {_time(now)}"
        )
    if not covers(unquote(signature.resource), address):
        raise Refused(403, f"InvalidAudience: The token is for another address; it does not give the right to {right}")
    if not {right, "Manage"} & frozenset().union(*rights):
        raise Refused(403, f"The token does not give the right to {right} here")
    return expires_at


def check_bearer(token: str, bearers: Collection[str]) -> float:
    """When a token of Entra ID ends: never, if it is among those that were configured; Refused with 401 if not."""
    if token.partition(" ")[2] not in bearers:
        raise Refused(401, "InvalidToken: This bearer token is not known to the emulator")
    return math.inf


def is_bearer(token: str) -> bool:
    """Whether this is a token of Entra ID rather than a shared access signature."""
    return token.lower().startswith("bearer ")


def read_token(token: str) -> Signature:
    """The parts of a token; Refused with 401 when it has not all of them."""
    if not token:
        raise Refused(401, "MissingToken: Relay security token is required")
    kind, _, rest = token.partition(" ")
    parts = dict(part.partition("=")[::2] for part in rest.split("&"))
    complete = {"sr", "sig", "se", "skn"} <= parts.keys() and EXPIRY.fullmatch(parts["se"])
    if kind != "SharedAccessSignature" or not complete:
        raise Refused(401, "MalformedToken: The token is no shared access signature")
    return Signature(parts["sr"], unquote(parts["sig"]), parts["se"], unquote(parts["skn"]))


def policies_of(signature: Signature, scopes: Iterable[Mapping[str, SharedAccessPolicy]]) -> list[SharedAccessPolicy]:
    """The policies that the token may have been signed with."""
    return [scope[signature.policy] for scope in scopes if signature.policy in scope]


def is_signed(signature: Signature, key: str) -> bool:
    """Whether this key signed it. The key is text: it is not decoded, though it looks like base64."""
    signed = f"{signature.resource}\n{signature.expiry}".encode()
    expected = base64.b64encode(hmac.new(key.encode(), signed, hashlib.sha256).digest())
    return hmac.compare_digest(signature.signature.encode(), expected)


def covers(audience: str, address: Address) -> bool:
    """The audience is the address, or above it segment by segment; scheme, case, port and a slash at the end are
    disregarded."""
    scheme, _, rest = audience.lower().partition("://")
    host, _, path = rest.partition("/")
    wanted, asked = segments(path), segments(address.path)
    return scheme in SCHEMES and PORT.sub("", host) in address.hosts and asked[: len(wanted)] == wanted


def segments(path: str) -> list[str]:
    """A path's segments, decoded, in lower case: names of hybrid connections have no case."""
    return [unquote(segment).lower() for segment in path.split("/") if segment]


def _time(seconds: float) -> str:
    """A time for people; what no calendar has, as the number it is."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError):
        return str(seconds)
