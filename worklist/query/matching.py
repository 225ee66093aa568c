"""Match worklist items against the matching keys of a C-FIND identifier (PS3.4 C.2.2.2). Pure.

`parse_matching_keys` reads the identifier; `MatchingKeys.matches` decides for one item. The model behind both:

- A *condition* is what one key requires of one value: a single value, a wild card, a range. It knows no item.
- A *criterion* is what a query requires of an item: a matching key (an attribute with a condition), the combined range
  of start date and time, the statuses that are hidden, or what the modality's policy hides. An item matches if it meets
  all of them.

This module defines what matches. The database only narrows the rows: `worklist.models.items` turns the same conditions
into SQL that finds at least these items.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableSequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from core import value_representations as vr
from core.contract import FINAL, ItemStatus
from dicom.modality_policy import ModalityPolicy
from worklist.query.information_model import (
    DEFAULT_OPTIONS,
    KEY_VALUES_ONLY,
    ROOT,
    STATUS_WORDS,
    STEP,
    STEP_KEYWORDS,
    STEP_SEQUENCE,
    Attribute,
    Matching,
    MatchingOptions,
)
from worklist.query.person_names import NamePattern, has_wild_card, is_universal_name, wild_card

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

T = TypeVar("T", date, time)

LAST_TIME = time(23, 59, 59, 999999)
#: A leap second (PS3.5 table 6.2-1, TM). A key may contain one, though no item's time does.
LEAP_SECOND = re.compile(r"(?<![0-9])([0-9]{4})60(?:\.[0-9]{1,6})?(?![0-9.])")
#: Without its spaces. In a report the dashes in one are not significant either: see performed_step/identity.py.
NHS_NUMBER = re.compile(r"([0-9]{3})([0-9]{3})([0-9]{4})")
#: Digits, spaces and wild cards only: possibly part of an NHS number.
NHS_PATTERN = re.compile(r"[0-9*? ]+")
TIMED_KEYWORDS = ("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime")

# The rules that an explanation quotes: sections of the standard, and the gateway's own.
SINGLE_VALUE = "PS3.4 C.2.2.2.1"
UID_LIST = "PS3.4 C.2.2.2.2"
WILD_CARD = "PS3.4 C.2.2.2.4"
RANGE = "PS3.4 C.2.2.2.5"
COMBINED_RANGE = "PS3.4 C.2.2.2.5.4 and K.5.1.1"
FINAL_STATUSES_ARE_HIDDEN = "final statuses are shown only if the query names a status"
OWN_LIST_ONLY = "the modality is shown its own list only"
PATIENTS_ONLY = "a test item is shown only to test machines and to the one machine it was made for"
TEST_ITEMS_ONLY = "a test machine is shown only test items"


class BadKey(Exception):
    """A key whose value is not valid (status A900). The text is the ErrorComment: at most 64 characters, no value."""

    def __init__(self, keyword: str, tag: int, problem: str) -> None:
        super().__init__(f"{keyword} {problem}"[:64])
        self.tag = tag


# Conditions -----------------------------------------------------------------------------------------------------------


class Condition(Protocol):
    """What one key requires of a stored value that is not empty."""

    @property
    def rule(self) -> str:
        """The section of the standard, or the gateway's own rule, that an explanation quotes."""

    def matches(self, value: Any) -> bool:
        """Return whether the value satisfies the condition."""


@dataclass(frozen=True)
class OneOf:
    """Single value matching and list of UID matching: exact and case-sensitive, ignoring spaces around the value."""

    values: frozenset[str]
    rule: str = SINGLE_VALUE

    def matches(self, value: str) -> bool:
        return value.strip(" ") in self.values


@dataclass(frozen=True)
class WildCard:
    """Wild card matching of the whole value: `*` is any run of characters, `?` any one; nothing else is special."""

    patterns: tuple[str, ...]
    rule: str = WILD_CARD

    @cached_property
    def _expressions(self) -> list[re.Pattern[str]]:
        return [wild_card(pattern) for pattern in self.patterns]

    def matches(self, value: str) -> bool:
        return any(expression.fullmatch(value.strip(" ")) for expression in self._expressions)


@dataclass(frozen=True)
class NameMatch:
    """Single value and wild card matching of a person's name, as person_names.py compares them."""

    names: tuple[str, ...]
    folds_accents: bool = False

    @cached_property
    def _patterns(self) -> list[NamePattern]:
        return [NamePattern(name, self.folds_accents) for name in self.names]

    @property
    def rule(self) -> str:
        return WILD_CARD if any(map(has_wild_card, self.names)) else SINGLE_VALUE

    def matches(self, value: str) -> bool:
        return any(pattern.matches(value) for pattern in self._patterns)


@dataclass(frozen=True)
class Range(Generic[T]):
    """Range matching, both ends included. A single date or time is the range from its start to its end."""

    low: T
    high: T
    rule: str = RANGE

    def matches(self, value: T) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class AnyOf:
    """Several conditions, one of which must hold: a key with several values."""

    conditions: tuple[Condition, ...]

    @property
    def rule(self) -> str:
        return self.conditions[0].rule

    def matches(self, value: Any) -> bool:
        return any(condition.matches(value) for condition in self.conditions)


# Criteria -------------------------------------------------------------------------------------------------------------


class Criterion(Protocol):
    """One thing that a query requires of an item."""

    @property
    def name(self) -> str:
        """The keyword of the attribute, or both keywords of the combined range."""

    @property
    def query_value(self) -> str:
        """The value in the query, which may be personal data; empty for a rule that the query does not state."""

    @property
    def rule(self) -> str:
        """The section of the standard, or the gateway's own rule, that an explanation quotes."""

    def matches(self, item: Any) -> bool:
        """Return whether the item meets the criterion."""


@dataclass(frozen=True)
class MatchingKey:
    """An attribute and the condition that its value must satisfy (PS3.4 C.2.2.1.1).

    `alternative_fields` are further fields of the item; it is enough if one of them satisfies the condition.
    """

    attribute: Attribute
    condition: Condition
    query_value: str = ""
    alternative_fields: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.attribute.keyword

    @property
    def rule(self) -> str:
        return self.condition.rule

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The item's fields, one of which must satisfy the condition."""
        return self.attribute.field, *self.alternative_fields

    def matches(self, item: Any) -> bool:
        """Return whether one of the fields satisfies the condition; an empty one does if the attribute says so."""
        for field in self.fields:
            value = getattr(item, field)
            if self.attribute.empty_matches if value in (None, "") else self.condition.matches(value):
                return True
        return False


@dataclass(frozen=True)
class DateTimeRange:
    """Combined date-time range matching: one range from the first day's time to the last day's.

    It applies when start date and start time are ranges of the same form (PS3.4 C.2.2.2.5.4 and K.5.1.1, note).
    """

    start: datetime
    end: datetime
    query_value: str = ""
    rule: str = COMBINED_RANGE
    name: str = " and ".join(TIMED_KEYWORDS)

    def matches(self, item: Any) -> bool:
        if item.scheduled_date is None or item.scheduled_time is None:
            return False
        return self.start <= datetime.combine(item.scheduled_date, item.scheduled_time) <= self.end


@dataclass(frozen=True)
class HiddenStatuses:
    """The statuses that are left out of the answer because the query has no status key."""

    statuses: frozenset[str]
    query_value: str = ""
    name: str = "ScheduledProcedureStepStatus"
    rule: str = FINAL_STATUSES_ARE_HIDDEN

    def matches(self, item: Any) -> bool:
        return item.status not in self.statuses


@dataclass(frozen=True)
class VisibleItems:
    """Patients are kept from test machines, and test items from real ones, whatever the query."""

    calling_ae_title: str
    is_test_machine: bool
    query_value: str = ""
    name: str = "Test item"

    @property
    def rule(self) -> str:
        return TEST_ITEMS_ONLY if self.is_test_machine else PATIENTS_ONLY

    def matches(self, item: Any) -> bool:
        if self.is_test_machine or not item.is_test:
            return bool(item.is_test) is self.is_test_machine
        return item.proves_ae_title not in ("", None) and item.proves_ae_title == self.calling_ae_title


@dataclass(frozen=True)
class MatchingKeys:
    """All criteria of one query. An item matches if it meets every one."""

    keys: tuple[MatchingKey, ...] = ()
    date_time_range: DateTimeRange | None = None
    hidden_statuses: frozenset[str] = FINAL
    shown_to: VisibleItems | None = None

    @property
    def names_status(self) -> bool:
        """Whether the status key has a value. Then no status is hidden, even if the value is universal."""
        return not self.hidden_statuses

    @cached_property
    def criteria(self) -> tuple[Criterion, ...]:
        hidden = HiddenStatuses(self.hidden_statuses) if self.hidden_statuses else None
        others = (self.shown_to, hidden, self.date_time_range)
        return (*(criterion for criterion in others if criterion), *self.keys)

    @property
    def fields(self) -> set[str]:
        """The fields of an item that `matches` may need."""
        return {"status", "scheduled_date", "scheduled_time", "is_test", "proves_ae_title"}.union(
            *(key.fields for key in self.keys)
        )

    def matches(self, item: Any) -> bool:
        """Return whether the item, or a row with its `fields`, belongs in the answer."""
        return all(criterion.matches(item) for criterion in self.criteria)


# Reading an identifier ------------------------------------------------------------------------------------------------


def parse_matching_keys(identifier: "Dataset", options: MatchingOptions = DEFAULT_OPTIONS) -> MatchingKeys:
    """Return the matching keys of an identifier. Raise BadKey if a value is not valid."""
    step = step_item(identifier)
    combined = _date_time_range(step)
    step_rows = [row for row in STEP if not combined or row.keyword not in TIMED_KEYWORDS]
    keys = [*_keys(identifier, ROOT, options), *_keys(step, step_rows, options)]
    names_status = bool(values_of(step.get("ScheduledProcedureStepStatus")))
    return MatchingKeys(tuple(keys), combined, frozenset() if names_status else FINAL)


def apply_policy(keys: MatchingKeys, policy: ModalityPolicy, calling_ae_title: str) -> MatchingKeys:
    """Add what is hidden from the modality. A policy only ever hides items."""
    more: tuple[MatchingKey, ...] = ()
    if policy.own_list_only:
        (station,) = (row for row in STEP if row.keyword == "ScheduledStationAETitle")
        more = (MatchingKey(station, OneOf(frozenset({calling_ae_title}), OWN_LIST_ONLY), calling_ae_title),)
    in_progress = {ItemStatus.IN_PROGRESS.value} if policy.hides_in_progress and not keys.names_status else set()
    return replace(
        keys,
        keys=(*keys.keys, *more),
        hidden_statuses=keys.hidden_statuses | in_progress,
        shown_to=VisibleItems(calling_ae_title, policy.is_test_machine),
    )


def step_item(identifier: "Dataset") -> "Dataset":
    """Return the item of the Scheduled Procedure Step Sequence, or an empty one. Raise BadKey for several items."""
    from pydicom.dataset import Dataset  # noqa: PLC0415 - large, and the relay's listener reads no identifier
    from pydicom.sequence import Sequence  # noqa: PLC0415

    items = identifier.get(STEP_SEQUENCE) or Sequence()
    if not isinstance(items, Sequence):
        raise BadKey(STEP_SEQUENCE, identifier[STEP_SEQUENCE].tag, "is no sequence")
    if len(items) > 1:
        raise BadKey(STEP_SEQUENCE, identifier[STEP_SEQUENCE].tag, "has more than one item")
    return items[0] if items else Dataset()


def build_identifier(values: Mapping[str, str]) -> "Dataset":
    """Build an identifier from keyword → value, those of the step in its sequence; the values are not validated."""
    from pydicom import config  # noqa: PLC0415
    from pydicom.dataset import Dataset  # noqa: PLC0415
    from pydicom.sequence import Sequence  # noqa: PLC0415

    identifier, step = Dataset(), Dataset()
    with config.disable_value_validation():
        for keyword, value in values.items():
            target = step if keyword in STEP_KEYWORDS else identifier
            setattr(target, keyword, value.split("\\") if "\\" in value else value)
        if len(step):
            setattr(identifier, STEP_SEQUENCE, Sequence([step]))
    return identifier


def values_of(value: Any) -> list[str]:
    """Return the values of a text element without insignificant spaces; none if it is absent or zero-length."""
    if value is None:
        return []
    several = value if isinstance(value, MutableSequence | tuple) else [value]
    return [text for text in (str(one).strip(" \0") for one in several) if text]


def is_universal(values: list[str]) -> bool:
    """Return whether a key matches everything: zero-length or a lone `*` (PS3.4 C.2.2.2.3; C.2.2.2.4, note 1)."""
    return not values or "*" in values


def is_universal_key(attribute: Attribute, values: list[str]) -> bool:
    """Return whether a key for this attribute matches everything; for a name also if each group is empty or `*`."""
    return is_universal(values) or (attribute.matching is Matching.NAME and any(map(is_universal_name, values)))


def _keys(dataset: "Dataset", table: Iterable[Attribute], options: MatchingOptions) -> Iterator[MatchingKey]:
    for attribute in table:
        if attribute.matching not in CONDITIONS or attribute.keyword not in dataset:
            continue
        element = dataset[attribute.keyword]
        if element.VR == "SQ":
            raise BadKey(attribute.keyword, element.tag, "is a sequence")
        values = values_of(element.value)
        if is_universal_key(attribute, values):
            continue
        try:
            condition = CONDITIONS[attribute.matching](values)
        except ValueError as problem:
            raise BadKey(attribute.keyword, element.tag, str(problem)) from None
        if isinstance(condition, NameMatch):
            condition = replace(condition, folds_accents=options.folds_accents)
        alternatives = attribute.alternative_fields if options.procedure_id_finds_accession else ()
        yield MatchingKey(attribute, condition, "\\".join(values), alternatives)


def _text(values: list[str]) -> Condition:
    return WildCard(tuple(values)) if any(map(has_wild_card, values)) else OneOf(frozenset(values))


def _status(values: list[str]) -> Condition:
    wanted = _text(values)
    states = (status for status, words in STATUS_WORDS.items() if any(map(wanted.matches, words)))
    return OneOf(frozenset(states), wanted.rule)


def status_answered(status: str, asked: list[str]) -> str:
    """Return the term for an item's status in a response: one that matches the key, as PS3.4 C.2.2.2 requires."""
    words = STATUS_WORDS[status]
    if is_universal(asked):
        return words[0]
    wanted = _text(asked)
    return next((word for word in words if word not in KEY_VALUES_ONLY and wanted.matches(word)), words[0])


def _nhs_number(values: list[str]) -> Condition:
    """Accept an NHS number as one word or in its three groups, and a pattern of one with or without the spaces."""
    spellings = []
    for value in values:
        word = value.replace(" ", "")
        spellings.append(value)
        if number := NHS_NUMBER.fullmatch(word):
            spellings += [word, " ".join(number.groups())]
        elif NHS_PATTERN.fullmatch(value) and has_wild_card(word):
            spellings.append(word)
    return _text(spellings)


def _ranges(values: list[str], ends: Callable[[str], tuple[T, T]]) -> Condition:
    return AnyOf(tuple(Range(*ends(value), rule=RANGE if "-" in value else SINGLE_VALUE) for value in values))


def _dates(value: str) -> tuple[date, date]:
    low, high = _ends(value)
    return vr.parse_da(low) if low else date.min, vr.parse_da(high) if high else date.max


def _times(value: str) -> tuple[time, time]:
    low, high = _ends(LEAP_SECOND.sub(r"\g<1>59.999999", value))
    if "-" not in value:
        # A time without a fraction means the whole second: responses show an item's time without one, too.
        at = vr.parse_tm(low)
        return at, at if "." in low else at.replace(microsecond=999999)
    return vr.parse_tm(low) if low else time.min, _last_moment(high) if high else LAST_TIME


def _last_moment(text: str) -> time:
    """Return the last moment that a TM value of reduced precision includes: for 1000 it is 10:00:59.999999."""
    start = vr.parse_tm(text)
    minute = 59 if len(text) == 2 else start.minute
    second = 59 if len(text) in (2, 4) else start.second
    fraction = text.partition(".")[2]
    microsecond = int(fraction.ljust(6, "9")) if fraction else 999999
    return start.replace(minute=minute, second=second, microsecond=microsecond)


def _ends(value: str) -> tuple[str, str]:
    """Split `a-b`, `-b`, `a-` or `a` into its two ends, empty where open. Raise ValueError for a lone `-`."""
    low, dash, high = (part.strip() for part in value.partition("-"))
    if not dash:
        return value, value
    if not low and not high:
        raise ValueError("is a range without ends")
    return low, high


def _date_time_range(step: "Dataset") -> DateTimeRange | None:
    """Return the combined range if date and time are ranges of the same form; None if each is matched by itself."""
    dates, times = (values_of(step.get(keyword)) for keyword in TIMED_KEYWORDS)
    if len(dates) != 1 or len(times) != 1 or "-" not in dates[0] or "-" not in times[0]:
        return None
    try:
        if list(map(bool, _ends(dates[0]))) != list(map(bool, _ends(times[0]))):
            return None
        (first, last), (opening, closing) = _dates(dates[0]), _times(times[0])
    except ValueError:
        return None  # _keys reads each by itself and raises BadKey with the right tag
    query_value = f"{dates[0]} {times[0]}"
    return DateTimeRange(datetime.combine(first, opening), datetime.combine(last, closing), query_value)


CONDITIONS: dict[Matching, Callable[[list[str]], Condition]] = {
    Matching.TEXT: _text,
    Matching.NHS_NUMBER: _nhs_number,
    Matching.NAME: lambda values: NameMatch(tuple(values)),
    Matching.DATE: lambda values: _ranges(values, _dates),
    Matching.TIME: lambda values: _ranges(values, _times),
    Matching.UID: lambda values: OneOf(frozenset(values), UID_LIST),
    Matching.STATUS: _status,
}
