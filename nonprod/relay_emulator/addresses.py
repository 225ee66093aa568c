"""Owns what a URL asks for, and where a rendezvous is (Hybrid Connections protocol: roles and addresses). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_plus

from nonprod.relay_emulator.tokens import segments

SERVICE_PREFIX = "sb-hc-"


@dataclass(frozen=True)
class Target:
    """What is asked for: `path` as it stands in the URL, with no slash at either end, and the query in two.

    `own_query` is the sender's own, as it stands; `options` are the service's, by name without `sb-hc-`, and decoded.
    One of them may be a token.
    """

    path: str
    is_websocket: bool
    own_query: str = ""
    options: dict[str, str] = field(default_factory=dict, repr=False)


def read_target(target: str) -> Target:
    """The request target of an HTTP request's first line, in origin or in absolute form."""
    path, _, query = target.partition("?")
    if "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    first, _, rest = path.lstrip("/").partition("/")
    is_websocket = unquote(first) == "$hc"
    parts = [part for part in query.split("&") if part]
    own = [part for part in parts if not _is_the_services(part)]
    options = dict(_option(part) for part in parts if _is_the_services(part))
    return Target((rest if is_websocket else path).strip("/"), is_websocket, "&".join(own), options)


def _is_the_services(part: str) -> bool:
    return unquote(part).lower().startswith(SERVICE_PREFIX)


def _option(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return unquote(name).lower().removeprefix(SERVICE_PREFIX), unquote_plus(value)


def hybrid_connection_of(path: str, names: Iterable[str]) -> str | None:
    """Which hybrid connection a path names, in any case; what follows its name is the sender's own."""
    asked = segments(path)
    fitting = [name for name in names if (wanted := segments(name)) and asked[: len(wanted)] == wanted]
    return max(fitting, key=lambda name: len(segments(name)), default=None)


def rendezvous_address(base: str, target: Target, action: str, identifier: str) -> str:
    """Where the listener is to come: the sender's path and query, and the action and id in the service's own words.

    `base` is scheme and namespace. Whoever has the address needs no token.
    """
    query = "&".join(filter(None, [target.own_query, f"sb-hc-action={action}", f"sb-hc-id={identifier}"]))
    return f"{base}/$hc/{target.path}?{query}"


def request_target(target: Target) -> str:
    """What the listener is told of an HTTP request's address."""
    return f"/{target.path}?{target.own_query}" if target.own_query else f"/{target.path}"
