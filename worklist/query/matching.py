"""Owns attribute matching: what a query's keys mean, and whether an item meets them (PS3.4 section C.2.2.2). Pure.

This is the specification. The database narrows (models/items.py); what is said here decides.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from core import value_representations as vr
from dicom.modality_policy import ModalityPolicy
from worklist.query.information_model import (
    FINAL_STATES,
    ROOT,
    STATUS_WORDS,
    STEP,
    STEP_SEQUENCE,
    Attribute,
    Matching,
    MatchingOptions,
)
from worklist.query.person_names import NamePattern, is_universal_name, wild_card

T = TypeVar("T", date, time)

LAST_TIME = time(23, 59, 59, 999999)
#: A second that the clock of an item never shows (PS3.5 table 6.2-1, TM); a key with it is no nonsense.
LEAP_SECOND = re.compile(r"(?<![0-9])([0-9]{4})60(?:\.[0-9]{1,6})?(?![0-9.])")
NHS_NUMBER = re.compile(r"([0-9]{3})([0-9]{3})([0-9]{4})")
#: Digits and wild cards in groups: a part of an NHS number, it may be.
NHS_PATTERN = re.compile(r"[0-9*? ]+")
DEFAULT_OPTIONS = MatchingOptions()

# By which rule a key is held against a value; an explanation names it.
SINGLE_VALUE = "PS3.4 C.2.2.2.1"
UID_LIST = "PS3.4 C.2.2.2.2"
WILD_CARD = "PS3.4 C.2.2.2.4"
RANGE = "PS3.4 C.2.2.2.5"
ONE_PERIOD = "PS3.4 C.2.2.2.5.4 and K.5.1.1"
FINAL_STATES_ARE_HIDDEN = "final states are shown only when a status is asked for"
OWN_LIST_ONLY = "the modality is shown its own list only"


class BadKey(Exception):
    """A key that means nothing: status A900. The text is the ErrorComment (LO, at most 64) and quotes no value."""

    def __init__(self, keyword: str, tag: int, problem: str) -> None:
        super().__init__(f"{keyword} {problem}"[:64])
        self.tag = tag


class Condition(Protocol):
    """What one key demands of a stored value that is not empty."""

    @property
    def section(self) -> str:
        """The rule by which it does."""

    def holds(self, value: Any) -> bool:
        """Whether the value meets it."""


@dataclass(frozen=True)
class OneOf:
    """Single value matching, and list of UID matching: exact and case-sensitive, spaces around do not count."""

    values: frozenset[str]
    section: str = SINGLE_VALUE

    def holds(self, value: str) -> bool:
        """Equal to any of the values."""
        return value.strip(" ") in self.values


@dataclass(frozen=True)
class Like:
    """Wild card matching: `*` is any run of characters, `?` any one; nothing else is special."""

    patterns: tuple[str, ...]
    section: str = WILD_CARD

    @cached_property
    def _expressions(self) -> list[re.Pattern[str]]:
        return [wild_card(pattern) for pattern in self.patterns]

    def holds(self, value: str) -> bool:
        """Fits any of the patterns from end to end."""
        return any(expression.fullmatch(value.strip(" ")) for expression in self._expressions)


@dataclass(frozen=True)
class NameLike:
    """PN matching, as names.py has it: single value and wild card."""

    names: tuple[str, ...]
    folds_accents: bool = False

    @cached_property
    def _patterns(self) -> list[NamePattern]:
        return [NamePattern(name, self.folds_accents) for name in self.names]

    @property
    def section(self) -> str:
        """Wild card matching where there is one."""
        return WILD_CARD if any(set("*?") & set(name) for name in self.names) else SINGLE_VALUE

    def holds(self, value: str) -> bool:
        """Fits any of the names."""
        return any(pattern.fits(value) for pattern in self._patterns)


@dataclass(frozen=True)
class Between(Generic[T]):
    """Range matching, both ends included; single value matching where there is but one to say."""

    low: T
    high: T
    section: str = RANGE

    def holds(self, value: T) -> bool:
        """Inside."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class AnyOf:
    """Several conditions of which one must hold: a key of several values."""

    conditions: tuple[Condition, ...]

    @property
    def section(self) -> str:
        """That of the first."""
        return self.conditions[0].section

    def holds(self, value: Any) -> bool:
        """Any of them holds."""
        return any(condition.holds(value) for condition in self.conditions)


class Demand(Protocol):
    """One thing that a query demands of an item: a key, a period, or a rule of the house."""

    @property
    def name(self) -> str:
        """The keyword of the attribute, or of both."""

    @property
    def asked(self) -> str:
        """What the query says, as it says it. It may be a patient's."""

    @property
    def section(self) -> str:
        """The rule by which it is held against the item."""

    def met_by(self, item: Any) -> bool:
        """Whether the item meets it."""


@dataclass(frozen=True)
class Key:
    """One attribute with what the query demands of it. `also` are more fields of the item that may meet it."""

    attribute: Attribute
    condition: Condition
    asked: str = ""
    also: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The attribute's keyword."""
        return self.attribute.keyword

    @property
    def section(self) -> str:
        """The rule by which the key is held against a value."""
        return self.condition.section

    @property
    def fields(self) -> tuple[str, ...]:
        """The item's fields of which one must meet the condition."""
        return self.attribute.field, *self.also

    def met_by(self, item: Any) -> bool:
        """An item whose value is unknown meets no key, but for those attributes where the table says otherwise."""
        return any(self._met_by(getattr(item, field)) for field in self.fields)

    def _met_by(self, value: Any) -> bool:
        if value is None or value == "":
            return self.attribute.empty_matches
        return self.condition.holds(value)


@dataclass(frozen=True)
class Period:
    """A date range and a time range of the same form: one stretch from the first day's time to the last day's
    (PS3.4 section C.2.2.2.5.4 and K.5.1.1, note)."""

    start: datetime
    end: datetime
    asked: str = ""
    section: str = ONE_PERIOD

    @property
    def name(self) -> str:
        """The keywords of both."""
        return "ScheduledProcedureStepStartDate and ScheduledProcedureStepStartTime"

    def holds(self, day: date | None, at: time | None) -> bool:
        """The moment lies in it."""
        return day is not None and at is not None and self.start <= datetime.combine(day, at) <= self.end

    def met_by(self, item: Any) -> bool:
        """The item starts in it."""
        return self.holds(item.scheduled_date, item.scheduled_time)


@dataclass(frozen=True)
class Hidden:
    """States of which an item is not shown, as no status was asked for."""

    states: frozenset[str]
    asked: str = ""
    name: str = "ScheduledProcedureStepStatus"
    section: str = FINAL_STATES_ARE_HIDDEN

    def met_by(self, item: Any) -> bool:
        """The item is of another state."""
        return item.status not in self.states


@dataclass(frozen=True)
class Keys:
    """Everything that a query demands; all of it must be met."""

    keys: tuple[Key, ...] = ()
    period: Period | None = None
    hidden_states: frozenset[str] = FINAL_STATES

    @property
    def names_status(self) -> bool:
        """The status key has a value, be it a universal one: then no state is hidden."""
        return not self.hidden_states

    @property
    def demands(self) -> Iterator[Demand]:
        """One by one, each with its rule."""
        if self.hidden_states:
            yield Hidden(self.hidden_states)
        if self.period:
            yield self.period
        yield from self.keys

    def met_by(self, item: Any) -> bool:
        """Whether the item belongs into the answer. The item has the fields that the table names."""
        return all(demand.met_by(item) for demand in self.demands)


def keys_from(identifier: Dataset, options: MatchingOptions = DEFAULT_OPTIONS) -> Keys:
    """What an identifier asks for; BadKey where it means nothing."""
    step = step_item(identifier)
    period = _period(step)
    timed = {"ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime"} if period else set()
    keys = [*_keys(identifier, ROOT, options), *_keys(step, [row for row in STEP if row.keyword not in timed], options)]
    names_status = bool(values_of(step.get("ScheduledProcedureStepStatus")))
    return Keys(tuple(keys), period, frozenset() if names_status else FINAL_STATES)


def restricted(keys: Keys, policy: ModalityPolicy, calling_ae_title: str) -> Keys:
    """The keys, and what the asker may not see whatever they say: they are never widened by a policy."""
    more: tuple[Key, ...] = ()
    if policy.own_list_only:
        (station,) = (row for row in STEP if row.keyword == "ScheduledStationAETitle")
        more = (Key(station, OneOf(frozenset({calling_ae_title}), OWN_LIST_ONLY), calling_ae_title),)
    in_progress = {"IN PROGRESS"} if policy.hides_in_progress and not keys.names_status else set()
    return replace(keys, keys=(*keys.keys, *more), hidden_states=keys.hidden_states | in_progress)


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


def _keys(dataset: Dataset, table: Iterable[Attribute], options: MatchingOptions) -> Iterator[Key]:
    for attribute in table:
        if attribute.matching not in CONDITIONS or attribute.keyword not in dataset:
            continue
        element = dataset[attribute.keyword]
        if element.VR == "SQ":
            raise BadKey(attribute.keyword, element.tag, "is a sequence")
        values = values_of(element.value)
        if is_universal(values) or (attribute.matching is Matching.NAME and any(map(is_universal_name, values))):
            continue
        try:
            condition = CONDITIONS[attribute.matching](values)
        except ValueError as problem:
            raise BadKey(attribute.keyword, element.tag, str(problem)) from None
        if isinstance(condition, NameLike):
            condition = replace(condition, folds_accents=options.folds_accents)
        also = attribute.also if options.procedure_id_finds_accession else ()
        yield Key(attribute, condition, "\\".join(values), also)


def _text(values: list[str]) -> Condition:
    wild = any("*" in value or "?" in value for value in values)
    return Like(tuple(values)) if wild else OneOf(frozenset(values))


def _status(values: list[str]) -> Condition:
    wanted = _text(values)
    meant = (status for status, words in STATUS_WORDS.items() if any(map(wanted.holds, words)))
    return OneOf(frozenset(meant), wanted.section)


def _nhs_number(values: list[str]) -> Condition:
    return _text([spelling for value in values for spelling in _spellings(value)])


def _spellings(value: str) -> list[str]:
    """An NHS number as one word and in its three groups, a pattern of one as one word, too; anything else as it is."""
    word = value.replace(" ", "")
    if match := NHS_NUMBER.fullmatch(word):
        return [value, word, " ".join(match.groups())]
    return [value, word] if NHS_PATTERN.fullmatch(value) and ("*" in word or "?" in word) else [value]


def _date_range(value: str) -> Between[date]:
    return Between(*_dates(value), section=_range_section(value))


def _time_range(value: str) -> Between[time]:
    return Between(*_times(value), section=_range_section(value))


def _range_section(value: str) -> str:
    return RANGE if "-" in value else SINGLE_VALUE


def _dates(value: str) -> tuple[date, date]:
    low, high = _ends(value)
    return vr.parse_da(low) if low else date.min, vr.parse_da(high) if high else date.max


def _times(value: str) -> tuple[time, time]:
    low, high = _ends(LEAP_SECOND.sub(r"\g<1>59.999999", value))
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
    asked = f"{dates[0]} {times[0]}"
    return Period(datetime.combine(first, opening), datetime.combine(last, closing), asked)


def _ends_or_none(value: str) -> tuple[str, str]:
    low, _, high = (part.strip() for part in value.partition("-"))
    return low, high


CONDITIONS: dict[Matching, Callable[[list[str]], Condition]] = {
    Matching.TEXT: _text,
    Matching.NHS_NUMBER: _nhs_number,
    Matching.NAME: lambda values: NameLike(tuple(values)),
    Matching.DATE: lambda values: AnyOf(tuple(map(_date_range, values))),
    Matching.TIME: lambda values: AnyOf(tuple(map(_time_range, values))),
    Matching.UID: lambda values: OneOf(frozenset(values), UID_LIST),
    Matching.STATUS: _status,
}
