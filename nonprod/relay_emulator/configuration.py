"""Describe an emulated namespace, and read it from a TOML file."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nonprod.relay_emulator.tokens import RIGHTS, SharedAccessPolicy


class BadConfiguration(Exception):
    """The file is invalid; the text names the table and key."""


@dataclass(frozen=True)
class HybridConnection:
    """One hybrid connection: its own policies, whether it takes HTTP requests, and whether senders need a token."""

    path: str
    policies: Mapping[str, SharedAccessPolicy] = field(default_factory=dict)
    http: bool = True
    client_authorization: bool = True


@dataclass(frozen=True)
class Namespace:
    """A whole namespace. `bearer_tokens` stand for Entra ID: each gives every right and never expires."""

    hybrid_connections: tuple[HybridConnection, ...]
    policies: Mapping[str, SharedAccessPolicy] = field(default_factory=dict)
    bearer_tokens: frozenset[str] = field(default=frozenset(), repr=False)


def load(path: Path) -> Namespace:
    """Read a namespace from a file; raises BadConfiguration if the file is missing or invalid."""
    try:
        return read_namespace(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, BadConfiguration) as error:
        raise BadConfiguration(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def read_namespace(document: Mapping[str, Any]) -> Namespace:
    """Read a namespace from a parsed TOML document; raises BadConfiguration if it is invalid."""
    known = _check_table(document, "the file", {"policies": dict, "hybrid_connections": dict, "bearer_tokens": list})
    connections = []
    for path, table in (known.get("hybrid_connections") or {}).items():
        name = f"hybrid_connections.{path}"
        options = _check_table(table, name, {"policies": dict, "http": bool, "client_authorization": bool})
        policies = _read_policies(options.pop("policies", {}), f"{name}.policies")
        connections.append(HybridConnection(path, policies, **options))
    if not connections:
        raise BadConfiguration("there is no [hybrid_connections.NAME]")
    policies = _read_policies(known.get("policies", {}), "policies")
    return Namespace(tuple(connections), policies, frozenset(map(str, known.get("bearer_tokens", []))))


def _read_policies(tables: Mapping[str, Any], parent: str) -> dict[str, SharedAccessPolicy]:
    policies = {}
    for policy, table in tables.items():
        name = f"{parent}.{policy}"
        known = _check_table(table, name, {"key": str, "rights": list})
        rights = frozenset(map(str, known.get("rights", RIGHTS)))
        if not known.get("key"):
            raise BadConfiguration(f"{name} has no key")
        if not rights <= RIGHTS:
            raise BadConfiguration(f"{name}.rights may be {', '.join(sorted(RIGHTS))}")
        policies[policy] = SharedAccessPolicy(known["key"], rights)
    return policies


def _check_table(table: Any, name: str, types: Mapping[str, type]) -> dict[str, Any]:
    """Return the table if it has only these keys, each of its type."""
    if not isinstance(table, dict):
        raise BadConfiguration(f"{name} must be a table")
    for key, value in table.items():
        if key not in types:
            raise BadConfiguration(f"{name} has the unknown key {key!r}; known keys are {', '.join(types)}")
        if not isinstance(value, types[key]):
            raise BadConfiguration(f"{name}.{key} must be {_TYPE_NAMES[types[key]]}")
    return dict(table)


_TYPE_NAMES: Mapping[Callable[..., object], str] = {
    dict: "a table",
    list: "a list",
    bool: "true or false",
    str: "a string",
}
