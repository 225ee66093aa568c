"""Read request targets and write rendezvous addresses (Hybrid Connections protocol: roles and addresses). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_plus

from nonprod.relay_emulator.tokens import segments

SERVICE_PREFIX = "sb-hc-"


@dataclass(frozen=True)
class Target:
    """A request target: its path as in the URL but without slashes at either end, and its query in two parts.

    `sender_query` is the sender's own part, unchanged. `options` are the service's parameters, decoded, by name without
    `sb-hc-`; one of them may be a token.
    """

    path: str
    is_websocket: bool
    sender_query: str = ""
    options: dict[str, str] = field(default_factory=dict, repr=False)


def read_target(target: str) -> Target:
    """Read the target in an HTTP request line, in origin form or absolute form (RFC 9112, 3.2)."""
    path, _, query = target.partition("?")
    if "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    first, _, rest = path.lstrip("/").partition("/")
    is_websocket = unquote(first) == "$hc"
    sender_query, options = [], {}
    for parameter in filter(None, query.split("&")):
        name, _, value = parameter.partition("=")
        name = unquote(name).lower()
        if name.startswith(SERVICE_PREFIX):
            options[name.removeprefix(SERVICE_PREFIX)] = unquote_plus(value)
        else:
            sender_query.append(parameter)
    return Target((rest if is_websocket else path).strip("/"), is_websocket, "&".join(sender_query), options)


def find_hybrid_connection(path: str, names: Iterable[str]) -> str | None:
    """Return the longest name that the path starts with, ignoring case; the rest of the path is the sender's own."""
    asked = segments(path)
    matching = [name for name in names if (wanted := segments(name)) and asked[: len(wanted)] == wanted]
    return max(matching, key=lambda name: len(segments(name)), default=None)


def rendezvous_address(base: str, target: Target, action: str, identifier: str) -> str:
    """Return the URL for the listener to connect to: the sender's path and query, with the action and id.

    `base` is scheme and namespace. The address needs no token: knowing it is enough.
    """
    query = "&".join(filter(None, [target.sender_query, f"sb-hc-action={action}", f"sb-hc-id={identifier}"]))
    return f"{base}/$hc/{target.path}?{query}"


def request_target(target: Target) -> str:
    """Return the target of an HTTP request for the listener, without the service's parameters."""
    return f"/{target.path}?{target.sender_query}" if target.sender_query else f"/{target.path}"
