"""Owns attribute matching: what a query's keys mean, and whether an item meets them (PS3.4 section C.2.2.2). Pure.

This is the specification. The database narrows (models.py); what is said here decides.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from core import value_representations as vr
from worklist.information_model import ROOT, STATUS_WORDS, STEP, STEP_SEQUENCE, Attribute, Matching

T = TypeVar("T", date, time)

LAST_TIME = time(23, 59, 59, 999999)
NHS_NUMBER = re.compile(r"([0-9]{3})([0-9]{3})([0-9]{4})")
#: Ways to say that case does not count: ß is ss to the first, and one character, as `?` wants it, to the second.
FOLDINGS: tuple[Callable[[str], str], ...] = (str.casefold, str.lower)


class BadKey(Exception):
    """A key that means nothing: status A900. The text is the ErrorComment (LO, at most 64) and quotes no value."""

    def __init__(self, keyword: str, tag: int, problem: str) -> None:
        super().__init__(f"{keyword} {problem}"[:64])
        self.tag = tag


class Condition(Protocol):
    """What one key demands of a stored value that is not empty."""

    def holds(self, value: Any) -> bool:
        """Whether the value meets it."""


@dataclass(frozen=True)
class OneOf:
    """Single value matching, and list of UID matching: exact and case-sensitive, spaces around do not count."""

    values: frozenset[str]

    def holds(self, value: str) -> bool:
        """Equal to any of the values."""
        return value.strip(" ") in self.values


@dataclass(frozen=True)
class Like:
    """Wild card matching: `*` is any run of characters, `?` any one; nothing else is special."""

    patterns: tuple[str, ...]

    @cached_property
    def _expressions(self) -> list[re.Pattern[str]]:
        return [_wild_card(pattern) for pattern in self.patterns]

    def holds(self, value: str) -> bool:
        """Fits any of the patterns from end to end."""
        return any(expression.fullmatch(value.strip(" ")) for expression in self._expressions)


@dataclass(frozen=True)
class NameLike:
    """PN matching, component group by component group (PS3.4 section C.2.2.2.1, rules declared in the conformance
    statement): case-folded, NFC, without trailing empty components; an empty group in the key matches anything."""

    names: tuple[str, ...]

    @cached_property
    def _keys(self) -> list[tuple[Callable[[str], str], list["_NameGroup"]]]:
        return [
            (fold, [_NameGroup(group) for group in name_groups(name, fold)]) for fold in FOLDINGS for name in self.names
        ]

    def holds(self, value: str) -> bool:
        """Each group of any one of the names fits the same group of the value."""
        return any(
            all(wanted.holds(has) for wanted, has in zip(key, [*name_groups(value, fold), "", "", ""], strict=False))
            for fold, key in self._keys
        )


@dataclass(frozen=True)
class _NameGroup:
    """What a name key demands of one component group."""

    pattern: str

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        return _wild_card(self.pattern)

    def holds(self, group: str) -> bool:
        """Fits from end to end; components that the group leaves out are empty ones: SMITH^* finds SMITH."""
        if self.pattern in ("", "*"):
            return True
        missing = self.pattern.count("^") - group.count("^")
        return bool(group) and self._expression.fullmatch(group + "^" * missing) is not None


@dataclass(frozen=True)
class Between(Generic[T]):
    """Range matching, both ends included; an equal pair is single value matching."""

    low: T
    high: T

    def holds(self, value: T) -> bool:
        """Inside."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class AnyOf:
    """Several conditions of which one must hold: a key of several values."""

    conditions: tuple[Condition, ...]

    def holds(self, value: Any) -> bool:
        """Any of them holds."""
        return any(condition.holds(value) for condition in self.conditions)


@dataclass(frozen=True)
class Period:
    """A date range and a time range of the same form: one stretch from the first day's time to the last day's
    (PS3.4 section C.2.2.2.5.4 and K.5.1.1, note)."""

    start: datetime
    end: datetime

    def holds(self, day: date, at: time) -> bool:
        """The moment lies in it."""
        return self.start <= datetime.combine(day, at) <= self.end


@dataclass(frozen=True)
class Key:
    """One attribute with what the query demands of it."""

    attribute: Attribute
    condition: Condition

    def met_by(self, item: Any) -> bool:
        """An item whose value is unknown meets no key, but for those attributes where the table says otherwise."""
        value = getattr(item, self.attribute.field)
        if value is None or value == "":
            return self.attribute.empty_matches
        return self.condition.holds(value)


@dataclass(frozen=True)
class Keys:
    """Everything that a query demands; all of it must be met."""

    keys: tuple[Key, ...] = ()
    period: Period | None = None
    names_status: bool = False  # the status key has a value, be it a universal one: final states are asked for, too

    def met_by(self, item: Any) -> bool:
        """Whether the item belongs into the answer. The item has the fields that the table names."""
        in_period = self.period is None or self.period.holds(item.scheduled_date, item.scheduled_time)
        return in_period and all(key.met_by(item) for key in self.keys)


def keys_from(identifier: Dataset) -> Keys:
    """What an identifier asks for; BadKey where it means nothing."""
    step = step_item(identifier)
    period = _period(step)
    timed = {"ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"} if period else set()
    keys = [*_keys(identifier, ROOT), *_keys(step, [row for row in STEP if row.keyword not in timed])]
    return Keys(tuple(keys), period, bool(values_of(step.get("ScheduledProcedureStepStatus"))))


def step_item(identifier: Dataset) -> Dataset:
    """The one item of the Scheduled Procedure Step Sequence; an empty one where there is none."""
    items = identifier.get(STEP_SEQUENCE) or Sequence()
    if not isinstance(items, Sequence):
        raise BadKey(STEP_SEQUENCE, identifier[STEP_SEQUENCE].tag, "is no sequence")
    if len(items) > 1:
        raise BadKey(STEP_SEQUENCE, identifier[STEP_SEQUENCE].tag, "has more than one item")
    return items[0] if items else Dataset()


def values_of(value: Any) -> list[str]:
    """What a text element holds, one by one, without insignificant spaces; nothing for a zero-length or absent one."""
    if value is None:
        return []
    several = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [text for text in (str(one).strip(" \0") for one in several) if text]


def is_universal(values: list[str]) -> bool:
    """Zero-length, or a lone `*` (PS3.4 section C.2.2.2.3 and C.2.2.2.4, note 1)."""
    return not values or "*" in values


def name_groups(name: str, fold: Callable[[str], str] = str.casefold) -> list[str]:
    """The component groups of a PN value as they are compared."""
    folded = unicodedata.normalize("NFC", fold(unicodedata.normalize("NFC", name)))
    return ["^".join(part.strip() for part in group.split("^")).rstrip("^") for group in folded.split("=")]


def _keys(dataset: Dataset, table: Iterable[Attribute]) -> Iterator[Key]:
    for attribute in table:
        if attribute.matching is Matching.NONE or attribute.keyword not in dataset:
            continue
        element = dataset[attribute.keyword]
        values = values_of(element.value)
        if is_universal(values) or (attribute.matching is Matching.NAME and any(map(_is_universal_name, values))):
            continue
        try:
            yield Key(attribute, CONDITIONS[attribute.matching](values))
        except ValueError as problem:
            raise BadKey(attribute.keyword, element.tag, str(problem)) from None


def _text(values: list[str]) -> Condition:
    wild = any("*" in value or "?" in value for value in values)
    return Like(tuple(values)) if wild else OneOf(frozenset(values))


def _status(values: list[str]) -> Condition:
    wanted = _text(values)
    return OneOf(frozenset(status for status, words in STATUS_WORDS.items() if any(map(wanted.holds, words))))


def _nhs_number(values: list[str]) -> Condition:
    return _text([spelling for value in values for spelling in _spellings(value)])


def _spellings(value: str) -> list[str]:
    """An NHS number as one word and in its three groups; anything else as it is."""
    match = NHS_NUMBER.fullmatch(value.replace(" ", ""))
    return [value, "".join(match.groups()), " ".join(match.groups())] if match else [value]


def _is_universal_name(name: str) -> bool:
    return all(group in ("", "*") for group in name_groups(name))


def _dates(value: str) -> tuple[date, date]:
    low, high = _ends(value)
    return vr.parse_da(low) if low else date.min, vr.parse_da(high) if high else date.max


def _times(value: str) -> tuple[time, time]:
    low, high = _ends(value)
    if "-" not in value:
        at = vr.parse_tm(low)  # without a fraction the whole second is meant: an item is shown without one, too
        return at, at if "." in low else at.replace(microsecond=999999)
    return vr.parse_tm(low) if low else time.min, _last_moment(high) if high else LAST_TIME


def _last_moment(text: str) -> time:
    """The end of what the text leaves open: 1000 is up to 10:00:59.999999."""
    start = vr.parse_tm(text)
    minute = 59 if len(text) == 2 else start.minute
    second = 59 if len(text) in (2, 4) else start.second
    fraction = text.partition(".")[2]
    microsecond = int(fraction.ljust(6, "9")) if fraction else 999999
    return start.replace(minute=minute, second=second, microsecond=microsecond)


def _ends(value: str) -> tuple[str, str]:
    """`a-b`, `-b`, `a-` or `a` as two texts, empty where open; ValueError for anything else."""
    low, dash, high = (part.strip() for part in value.partition("-"))
    if not dash:
        return value, value
    if not low and not high:
        raise ValueError("is a range without ends")
    return low, high


def _period(step: Dataset) -> Period | None:
    """Date and time ranges of the same form; None where they are matched each for itself."""
    dates, times = (values_of(step.get(row.keyword)) for row in STEP if row.matching in (Matching.DATE, Matching.TIME))
    if len(dates) != 1 or len(times) != 1 or "-" not in dates[0] or "-" not in times[0]:
        return None
    if [bool(end) for end in _ends_or_none(dates[0])] != [bool(end) for end in _ends_or_none(times[0])]:
        return None
    try:
        (first, last), (opening, closing) = _dates(dates[0]), _times(times[0])
    except ValueError:
        return None  # told of as a key of its own
    return Period(datetime.combine(first, opening), datetime.combine(last, closing))


def _ends_or_none(value: str) -> tuple[str, str]:
    low, _, high = (part.strip() for part in value.partition("-"))
    return low, high


def _wild_card(pattern: str) -> re.Pattern[str]:
    """`*` and `?` as an expression that never tries a text between two `*` at another place than the first it fits:
    no key takes longer than the value is long."""
    first, *rest = (re.escape(part).replace(r"\?", ".") for part in pattern.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(first + middle + "".join(f".*{part}" for part in rest[-1:]), re.DOTALL)


CONDITIONS: dict[Matching, Callable[[list[str]], Condition]] = {
    Matching.TEXT: _text,
    Matching.NHS_NUMBER: _nhs_number,
    Matching.NAME: lambda values: NameLike(tuple(values)),
    Matching.DATE: lambda values: AnyOf(tuple(Between(*_dates(value)) for value in values)),
    Matching.TIME: lambda values: AnyOf(tuple(Between(*_times(value)) for value in values)),
    Matching.UID: lambda values: OneOf(frozenset(values)),
    Matching.STATUS: _status,
}
