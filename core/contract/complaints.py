"""Word what is wrong with an action that breaks the schema. Imported only for such an action: jsonschema is large.

A message gives the path and the rule for every invalid value. It quotes no value, except one that can only be a date or
a time.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, cast

from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError

from core.contract.schema import FORMATS, load_schema

#: A value that a message may quote. A name or an NHS number in the wrong field does not match.
QUOTABLE = re.compile(r"[0-9]{0,8}|[0-9]{1,4}([-./:][0-9]{1,2}){1,2}")

#: If a value breaks several rules, the message gives the first of these.
RULE_ORDER = ("required", "type", "minLength", "maxLength", "format", "pattern")


def complaints_about(payload: Mapping[str, Any]) -> str:
    """Return what is wrong with a payload: each invalid path with the rule it breaks; empty for a valid one."""
    complaints: dict[str, str] = {}
    for error in sorted(action_validator().iter_errors(payload), key=_rule_order):
        for path, rule in _complaints(error):
            complaints.setdefault(path, f"{path}: {rule}")
    return "; ".join(complaints[path] for path in sorted(complaints))


@cache
def action_validator() -> Draft202012Validator:
    """Build the validator of an action, which checks the DICOM formats too."""
    rules = {rule: _unless_too_long(rule) for rule in ("format", "pattern")}
    validator = validators.extend(Draft202012Validator, rules)  # type: ignore[no-untyped-call]
    checker = FormatChecker(formats=())

    def check_texts(name: str, is_valid: Callable[[str], Any]) -> None:
        checks_format = checker.checks(name, raises=ValueError)
        checks_format(lambda value: not isinstance(value, str) or bool(is_valid(value)))

    for name, is_valid in FORMATS.items():
        check_texts(name, is_valid)
    return cast("Draft202012Validator", validator(load_schema("gateway_action"), format_checker=checker))


def _unless_too_long(rule: str) -> Callable[..., Iterator[ValidationError]]:
    """Check the rule, unless the text is too long in any case: some patterns take minutes for a text of a megabyte."""

    def check(validator: Any, expected: Any, value: Any, schema: dict[str, Any]) -> Iterator[ValidationError]:
        if not isinstance(value, str) or len(value) <= schema.get("maxLength", math.inf):
            yield from Draft202012Validator.VALIDATORS[rule](validator, expected, value, schema) or ()

    return check


def _rule_order(error: ValidationError) -> int:
    return RULE_ORDER.index(str(error.validator)) if error.validator in RULE_ORDER else len(RULE_ORDER)


def _complaints(error: ValidationError) -> Iterator[tuple[str, str]]:
    """Yield path and broken rule for one error of the validator."""
    path = error.json_path.removeprefix("$.")
    if error.validator == "required":
        required, instance = cast("list[str]", error.validator_value), cast("dict[str, Any]", error.instance)
        for name in required:
            if name not in instance:
                yield (name if path == "$" else f"{path}.{name}"), "is required"
    elif error.validator == "anyOf" and not _title(error):
        # An optional value: either a text with rules, or absent. Report the rules of the text.
        broken = [inner for inner in error.context or () if inner.validator not in ("type", "enum")]
        for inner in sorted(broken, key=_rule_order):
            yield from _complaints(inner)
        if not broken:
            yield path, "is not of type string"
    else:
        yield path, _broken_rule(error)


def _broken_rule(error: ValidationError) -> str:
    rule: Any = error.validator_value
    value: Any = error.instance
    if isinstance(error.cause, ValueError):
        quoted = value if QUOTABLE.fullmatch(value) else "…"
        return f"'{quoted}' {error.cause}"
    if error.validator == "type":
        types = rule if isinstance(rule, list) else [rule]
        return f"is not of type {' or '.join(types)}"
    if error.validator == "maxLength":
        return f"has {len(value)} characters, at most {rule} are allowed"
    if error.validator == "minLength":
        return "is empty"
    return f"is not {_title(error) or f'valid ({error.validator})'}"


def _title(error: ValidationError) -> str:
    return str(error.schema.get("title", "")) if isinstance(error.schema, dict) else ""
