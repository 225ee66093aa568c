"""Compile a JSON Schema into a function that says whether a value is valid, and nothing more.

jsonschema walks through the schema for each value, which takes as long as everything else that an action needs. Only
the keywords of our schemas are known; any other is refused when the schema is compiled. A test compares the two.
"""

import re
from collections.abc import Callable, Mapping
from functools import reduce
from operator import getitem
from typing import Any

Schema = Mapping[str, Any]
Predicate = Callable[[Any], bool]

#: Keywords that say nothing about a value by themselves.
ANNOTATIONS = frozenset({"$schema", "$id", "$defs", "title", "description", "examples", "then"})
#: The order of the checks: a pattern may take minutes for a text that is too long in any case.
CHEAP_FIRST = ("type", "maxLength", "minLength", "required", "enum", "const")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TYPES: dict[str, Predicate] = {
    "object": lambda value: isinstance(value, dict),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and float(value).is_integer(),
}


def compiled(schema: Schema, formats: Mapping[str, Callable[[str], Any]]) -> Predicate:
    """Return the predicate of a schema; a text has a format if its check returns something true. KeyError: unknown."""
    return _Compiler(schema, formats).predicate(schema)


class _Compiler:
    def __init__(self, root: Schema, formats: Mapping[str, Callable[[str], Any]]) -> None:
        self._formats = formats
        self._keywords: dict[str, Callable[[Any, Schema], Predicate]] = {
            "$ref": lambda pointer, _: self.predicate(reduce(getitem, pointer.removeprefix("#/").split("/"), root)),
            "type": lambda names, _: _any([TYPES[name] for name in ([names] if isinstance(names, str) else names)]),
            "enum": lambda values, _: lambda value: value in values,
            "const": lambda expected, _: lambda value: value == expected,
            "allOf": lambda schemas, _: _all([self.predicate(each) for each in schemas]),
            "anyOf": lambda schemas, _: _any([self.predicate(each) for each in schemas]),
            "if": self._if,
            "required": lambda names, _: _of(dict, lambda value: all(name in value for name in names)),
            "properties": self._properties,
            "minLength": lambda limit, _: _of(str, lambda value: len(value) >= limit),
            "maxLength": lambda limit, _: _of(str, lambda value: len(value) <= limit),
            "pattern": lambda pattern, _: _of(str, re.compile(pattern).search),
            "format": lambda name, _: _of(str, _without_error(self._formats[name])),
            "minimum": lambda limit, _: lambda value: not _is_number(value) or value >= limit,
            "exclusiveMinimum": lambda limit, _: lambda value: not _is_number(value) or value > limit,
            "exclusiveMaximum": lambda limit, _: lambda value: not _is_number(value) or value < limit,
        }

    def predicate(self, schema: Schema) -> Predicate:
        keywords = sorted(schema.keys() - ANNOTATIONS, key=lambda word: (word not in CHEAP_FIRST, word))
        return _all([self._keywords[word](schema[word], schema) for word in keywords])

    def _if(self, condition: Schema, schema: Schema) -> Predicate:
        applies, then = self.predicate(condition), self.predicate(schema["then"])
        return lambda value: not applies(value) or then(value)

    def _properties(self, properties: Mapping[str, Schema], _: Schema) -> Predicate:
        # A property without rules is always valid.
        rules = [(name, self.predicate(each)) for name, each in properties.items() if each.keys() - ANNOTATIONS]

        def check(value: Any) -> bool:
            for name, rule in rules:  # noqa: SIM110
                if name in value and not rule(value[name]):
                    return False
            return True

        return _of(dict, check)


def _of(kind: type, check: Callable[[Any], Any]) -> Predicate:
    """Apply the check to values of a kind; any other value passes."""
    return lambda value: not isinstance(value, kind) or bool(check(value))


def _without_error(check: Callable[[str], Any]) -> Predicate:
    def is_valid(text: str) -> bool:
        try:
            return bool(check(text))
        except ValueError:
            return False

    return is_valid


def _all(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]

    def check(value: Any) -> bool:
        for predicate in predicates:  # noqa: SIM110 - `all` takes twice as long
            if not predicate(value):
                return False
        return True

    return check


def _any(predicates: list[Predicate]) -> Predicate:
    if len(predicates) == 1:
        return predicates[0]

    def check(value: Any) -> bool:
        for predicate in predicates:  # noqa: SIM110 - `any` takes twice as long
            if predicate(value):
                return True
        return False

    return check
