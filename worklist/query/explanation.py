"""Owns the answer to "she is not on the list, why?": key by key what a query asks, what an item has, and by which rule
they do or do not meet. Pure, and with the matcher's own words. Of a query of the log the log is the fact; the rules,
item and modality are those of now, and tell what would come of it now.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from enum import StrEnum
from typing import Any

from dicom.modality_policy import UNKNOWN, ModalityPolicy
from worklist.query.information_model import ROOT, STEP
from worklist.query.kept_keys import HiddenKey, Mac
from worklist.query.matching import Criterion, DateTimeRange, MatchingKey, MatchingKeys, apply_policy

NOT_SHOWN_HERE = "…"
OPTIONAL_KEY = "PS3.4 K.2.2.1.1.2: an optional key that is not matched on"
BY_HASH = "compared by its hash"
HASH_DIFFERS = "its hash differs, though the item was shown and is unchanged"
NOTHING_KNOWN = "nothing is known to have changed since but for, perhaps, the settings"
NO_HASH = "a pattern or a range, of which nothing is kept to compare"
WITHOUT_VALUE = "(no value)"
WITHOUT_KEYS = MatchingKeys()
ITEM, MODALITY = "the item", "the modality"


class Verdict(StrEnum):
    """What one rule says of an item."""

    MATCHED = "matched"
    NOT_MATCHED = "not matched"
    UNTOLD = "cannot be told"

    @classmethod
    def of(cls, met: bool | None) -> "Verdict":
        """None is that it cannot be told."""
        return cls.UNTOLD if met is None else cls.MATCHED if met else cls.NOT_MATCHED


@dataclass(frozen=True)
class Reason:
    """One rule with what it says. `is_personal` is that both values may tell who a woman is, `is_of_then` that it is
    about the moment of the query, and not about what would come of it now."""

    name: str
    asked: str
    has: str
    verdict: Verdict
    section: str
    is_personal: bool = False
    is_of_then: bool = False

    def text(self, *, with_persons: bool) -> str:
        """`Modality: query MG, item CT → not matched (PS3.4 C.2.2.2.1)`."""
        hidden = self.is_personal and not with_persons
        asked, has = (NOT_SHOWN_HERE, NOT_SHOWN_HERE) if hidden else (self.asked, self.has)
        values = ", ".join(text for text in (asked and f"query {asked}", has and f"item {has}") if text)
        return f"{self.name}: {values}{' ' if values else ''}→ {self.verdict} ({self.section})"


@dataclass(frozen=True)
class Question:
    """One query, of the log or typed in, with who asked and how that one is treated.

    `refused` is why the asker got no association, `bad_key` why the query was no query, `fact` what the log knows.
    """

    keys: MatchingKeys = WITHOUT_KEYS
    hidden: tuple[HiddenKey, ...] = ()
    ignored: tuple[str, ...] = ()
    calling_ae_title: str = ""
    policy: ModalityPolicy = UNKNOWN
    refused: str = ""
    bad_key: str = ""
    fact: "Fact | None" = None


@dataclass(frozen=True)
class Fact:
    """What the log knows of an item and a query, and what of it was changed since: `the item`, `the modality`."""

    was_shown: bool
    asked_at: str
    changed: tuple[str, ...] = ()

    @property
    def hashes_must_fit(self) -> bool:
        """The item was in the answer and is as it was: a hash that says otherwise says nothing."""
        return self.was_shown and ITEM not in self.changed

    @property
    def change(self) -> str:
        """In words."""
        return f"{' and '.join(self.changed)} changed since" if self.changed else NOTHING_KNOWN


@dataclass(frozen=True)
class Explanation:
    """Everything that was looked at, in the order in which the server does, and what the log knows."""

    reasons: tuple[Reason, ...]
    fact: Fact | None = None

    def with_more(self, *reasons: Reason) -> "Explanation":
        """And what else is known to stand in the item's way."""
        return replace(self, reasons=(*self.reasons, *reasons))

    @property
    def on_the_list(self) -> bool:
        """Whether the answer has it: by the log, where the query is one of the log."""
        return self.fact.was_shown if self.fact else self.shown is True

    @property
    def shown(self) -> bool | None:
        """Whether the item is in the answer that would be given now; None where that cannot be told."""
        verdicts = {reason.verdict for reason in self.reasons if not reason.is_of_then}
        if Verdict.NOT_MATCHED in verdicts:
            return False
        return None if Verdict.UNTOLD in verdicts else True

    @property
    def against(self) -> list[Reason]:
        """What keeps it from the list."""
        return [reason for reason in self.reasons if reason.verdict is Verdict.NOT_MATCHED]

    @property
    def summary(self) -> str:
        """In one sentence, without a value of anybody."""
        if self.fact:
            return self._of_the_log(self.fact)
        if self.shown:
            return "shown: everything matches"
        if self.shown is None:
            return f"cannot be told, because of {self._untold}"
        return f"not shown, because of {_names(self.against)}"

    def _of_the_log(self, fact: Fact) -> str:
        """The fact first; then why, or what would come of it now."""
        if not fact.was_shown:
            return f"it was not shown at {fact.asked_at}{self._why_not(fact)}"
        now = f"; asked now it would not be, because of {_names(self.against)}: {fact.change}"
        return f"it was shown at {fact.asked_at}{now if self.shown is False else ''}"

    def _why_not(self, fact: Fact) -> str:
        because = f"because of {_names([one for one in self.against if one.is_of_then] or self.against)}"
        if any(one.is_of_then for one in self.against) or (self.shown is False and not fact.changed):
            return f", {because}"
        if self.shown is False:
            return f"; asked now it would not be either, {because}: {fact.change}"
        if self.shown and fact.changed:
            return f"; asked now it would be: {fact.change}"
        return f"; why cannot be told{f', because of {self._untold}' if self._untold else f': {fact.change}'}"

    @property
    def _untold(self) -> str:
        return _names(reason for reason in self.reasons if reason.verdict is Verdict.UNTOLD)


def explain(item: Any, question: Question, mac: Mac) -> Explanation:
    """Hold an item against a query, rule by rule."""
    return Explanation(tuple(_reasons(item, question, mac)), question.fact)


def obstacle(name: str, section: str, verdict: Verdict = Verdict.NOT_MATCHED, *, is_of_then: bool = False) -> Reason:
    """What stands in an item's way and is no key."""
    return Reason(name, "", "", verdict, section, is_of_then=is_of_then)


def in_row(position: int, most: int) -> Reason:
    """Whether the answer gets as far as this item, the `position`th of those that match."""
    verdict = Verdict.of(position <= most)
    return Reason(
        "Rows", f"at most {most}", f"is number {position}", verdict, "MWL_MAX_ROWS or the modality's own limit"
    )


def _reasons(item: Any, question: Question, mac: Mac) -> Iterator[Reason]:
    if question.refused:
        yield obstacle("Association", question.refused)
    if question.bad_key:
        yield obstacle("Query", f"A900: {question.bad_key}")
    for criterion in apply_policy(question.keys, question.policy, question.calling_ae_title).criteria:
        fields = _fields(criterion)
        yield Reason(
            criterion.name,
            criterion.query_value,
            _values(item, fields),
            Verdict.of(criterion.matches(item)),
            criterion.rule,
            _is_personal(item, fields),
        )
    for hidden in question.hidden:
        yield _by_hash(item, hidden, question.fact, mac)
    for keyword in question.ignored:
        yield Reason(keyword, "a value", "", Verdict.MATCHED, OPTIONAL_KEY)


def _by_hash(item: Any, hidden: HiddenKey, fact: Fact | None, mac: Mac) -> Reason:
    """What a matcher of its own says, which has the hashes only: it never has the last word."""
    verdict = Verdict.of(hidden.matches(item, mac))
    section = f"{hidden.rule}, {BY_HASH}" if hidden.hashes else NO_HASH
    if verdict is Verdict.NOT_MATCHED and fact and fact.hashes_must_fit:
        verdict, section = Verdict.UNTOLD, HASH_DIFFERS
    return Reason(hidden.name, "a value", _values(item, hidden.fields), verdict, section, is_personal=True)


def _names(reasons: Iterable[Reason]) -> str:
    return ", ".join(reason.name for reason in reasons)


def _fields(criterion: Criterion) -> tuple[str, ...]:
    match criterion:
        case MatchingKey():
            return criterion.fields
        case DateTimeRange():
            return "scheduled_date", "scheduled_time"
    return tuple(row.field for row in (*ROOT, *STEP) if row.keyword == criterion.name)


def _values(item: Any, fields: tuple[str, ...]) -> str:
    return " ".join(_text(getattr(item, name)) for name in fields) or WITHOUT_VALUE


def _text(value: Any) -> str:
    """As DICOM writes it."""
    match value:
        case datetime():
            return value.isoformat(timespec="seconds")
        case date():
            return f"{value:%Y%m%d}"
        case time():
            return f"{value:%H%M%S}"
    return WITHOUT_VALUE if value in (None, "") else str(value)


def _is_personal(item: Any, fields: tuple[str, ...]) -> bool:
    return any(name in item.personal_fields for name in fields)
