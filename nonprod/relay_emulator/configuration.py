"""Owns what an emulated namespace has in it, and the small file that says so (TOML). Pure but for reading the file."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nonprod.relay_emulator.tokens import RIGHTS, SharedAccessPolicy


class BadConfiguration(Exception):
    """The file says what cannot be; the text names the place."""


@dataclass(frozen=True)
class HybridConnection:
    """One hybrid connection: policies of its own beside the namespace's, whether it takes HTTP requests, and whether
    its senders need a token."""

    path: str
    policies: Mapping[str, SharedAccessPolicy] = field(default_factory=dict)
    http: bool = True
    client_authorization: bool = True


@dataclass(frozen=True)
class Namespace:
    """All that is in a namespace. `bearer_tokens` stand for Entra ID: each opens everything, and never ends."""

    hybrid_connections: tuple[HybridConnection, ...]
    policies: Mapping[str, SharedAccessPolicy] = field(default_factory=dict)
    bearer_tokens: frozenset[str] = field(default=frozenset(), repr=False)


def load(path: Path) -> Namespace:
    """The namespace that a file describes; BadConfiguration with a sentence when it cannot be read."""
    try:
        return read_namespace(tomllib.loads(path.read_text()))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, BadConfiguration) as error:
        raise BadConfiguration(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def read_namespace(table: Mapping[str, Any]) -> Namespace:
    """The namespace in a file's outermost table."""
    known = _only(table, "the file", {"policies": dict, "hybrid_connections": dict, "bearer_tokens": list})
    connections = known.get("hybrid_connections") or {}
    if not connections:
        raise BadConfiguration("there is no [hybrid_connections.NAME]")
    return Namespace(
        tuple(_hybrid_connection(path, value) for path, value in connections.items()),
        _policies(known.get("policies", {}), "policies"),
        frozenset(map(str, known.get("bearer_tokens", []))),
    )


def _hybrid_connection(path: str, table: Any) -> HybridConnection:
    place = f"hybrid_connections.{path}"
    known = _only(table, place, {"policies": dict, "http": bool, "client_authorization": bool})
    policies = _policies(known.pop("policies", {}), f"{place}.policies")
    return HybridConnection(path, policies, **known)


def _policies(table: Mapping[str, Any], place: str) -> dict[str, SharedAccessPolicy]:
    return {name: _policy(value, f"{place}.{name}") for name, value in table.items()}


def _policy(table: Any, place: str) -> SharedAccessPolicy:
    known = _only(table, place, {"key": str, "rights": list})
    rights = frozenset(map(str, known.get("rights", RIGHTS)))
    if not known.get("key"):
        raise BadConfiguration(f"{place} has no key")
    if not rights <= RIGHTS:
        raise BadConfiguration(f"{place}.rights may be {', '.join(sorted(RIGHTS))}")
    return SharedAccessPolicy(known["key"], rights)


def _only(table: Any, place: str, kinds: Mapping[str, type]) -> dict[str, Any]:
    """The table, if it has these keys only, each of its kind."""
    if not isinstance(table, dict):
        raise BadConfiguration(f"{place} must be a table")
    for key, value in table.items():
        if key not in kinds:
            raise BadConfiguration(f"{place} has the unknown key {key!r}; known are {', '.join(kinds)}")
        if not isinstance(value, kinds[key]):
            raise BadConfiguration(f"{place}.{key} must be {_TYPE_NAMES[kinds[key]]}")
    return dict(table)


_TYPE_NAMES: Mapping[Callable[..., object], str] = {
    dict: "a table",
    list: "a list",
    bool: "true or false",
    str: "a text",
}
