"""Explain why a query's answer holds an item or does not: rule by rule, with both values. Pure.

`explain` evaluates the same criteria as the C-FIND handler, so the two cannot disagree. A logged query differs
in two ways. Its personal keys are known only by their hashes (kept_keys.py). And the log, not the rules, says whether
the item was sent (`LoggedOutcome`): the rules, the item and the modality are today's, and show only what the same query
would return now.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, time
from enum import StrEnum
from typing import Any

from dicom.modality_policy import UNKNOWN, ModalityPolicy
from worklist.query.information_model import ROOT, STEP
from worklist.query.kept_keys import HashedKey, KeyedHash
from worklist.query.matching import Criterion, DateTimeRange, MatchingKey, MatchingKeys, apply_policy

REDACTED = "…"
OPTIONAL_KEY = "PS3.4 K.2.2.1.1.2: an optional key that is not matched on"
BY_HASH = "compared by its hash"
HASH_DIFFERS = "its hash differs, though the item was shown and is unchanged"
NO_KNOWN_CHANGE = "no change since is known, except perhaps of the settings"
NO_HASH = "a pattern or a range, which is not kept and cannot be compared"
WITHOUT_VALUE = "(no value)"
WITHOUT_KEYS = MatchingKeys()
ITEM, MODALITY = "the item", "the modality"


class Verdict(StrEnum):
    """Whether one rule lets the item into the answer."""

    MATCHED = "matched"
    NOT_MATCHED = "not matched"
    UNDETERMINED = "cannot be determined"

    @classmethod
    def of(cls, matches: bool | None) -> "Verdict":
        """Return the verdict for True, False or, undetermined, None."""
        return cls.UNDETERMINED if matches is None else cls.MATCHED if matches else cls.NOT_MATCHED


@dataclass(frozen=True)
class RuleResult:
    """One rule with its verdict, and the values that it compared.

    `is_personal`: both values may say who the patient is. `is_historical`: the rule applied when the query was
    answered, and does not count towards what would come of it now.
    """

    name: str
    verdict: Verdict
    rule: str
    query_value: str = ""
    item_value: str = ""
    is_personal: bool = False
    is_historical: bool = False

    def text(self, *, with_patient_data: bool) -> str:
        """Return one line: `Modality: query MG, item CT → not matched (PS3.4 C.2.2.2.1)`."""
        values = {"query": self.query_value, "item": self.item_value}
        if self.is_personal and not with_patient_data:
            values = dict.fromkeys(values, REDACTED)
        compared = ", ".join(f"{side} {value}" for side, value in values.items() if value)
        return f"{self.name}: {compared}{' ' if compared else ''}→ {self.verdict} ({self.rule})"


@dataclass(frozen=True)
class LoggedOutcome:
    """What the log says about an item and a query, and which of ITEM and MODALITY have changed since."""

    was_shown: bool
    asked_at: str
    changed: tuple[str, ...] = ()

    @property
    def change(self) -> str:
        verb = "have" if len(self.changed) > 1 else "has"
        return f"{' and '.join(self.changed)} {verb} changed since" if self.changed else NO_KNOWN_CHANGE


@dataclass(frozen=True)
class ParsedQuery:
    """A query that is explained, with its requestor and the requestor's policy.

    hashed: personal keys of a logged query, known by their hash only.
    ignored: keywords with a value that the gateway does not match on.
    refused: why the requestor gets no association; empty if it does.
    bad_key: why the identifier is not valid; empty if it is.
    outcome: what the log says; None for a query that has not been sent.
    """

    keys: MatchingKeys = WITHOUT_KEYS
    hashed: tuple[HashedKey, ...] = ()
    ignored: tuple[str, ...] = ()
    calling_ae_title: str = ""
    policy: ModalityPolicy = UNKNOWN
    refused: str = ""
    bad_key: str = ""
    outcome: LoggedOutcome | None = None


@dataclass(frozen=True)
class Explanation:
    """The results of all rules, in the order in which the server applies them, and what the log says."""

    results: tuple[RuleResult, ...]
    outcome: LoggedOutcome | None = None

    def with_more(self, *results: RuleResult) -> "Explanation":
        return replace(self, results=(*self.results, *results))

    def lines(self, *, with_patient_data: bool) -> list[str]:
        """Return one line for each rule."""
        return [result.text(with_patient_data=with_patient_data) for result in self.results]

    @property
    def on_the_list(self) -> bool:
        """Whether the answer holds the item: by the log if the query is a logged one, else by the rules."""
        return self.outcome.was_shown if self.outcome else self.shown is True

    @property
    def shown(self) -> bool | None:
        """Whether the same query would show the item now; None if that cannot be determined."""
        verdicts = {result.verdict for result in self.results if not result.is_historical}
        if Verdict.NOT_MATCHED in verdicts:
            return False
        return None if Verdict.UNDETERMINED in verdicts else True

    @property
    def against(self) -> list[RuleResult]:
        """The rules that keep the item out of the answer."""
        return [result for result in self.results if result.verdict is Verdict.NOT_MATCHED]

    @property
    def summary(self) -> str:
        """One sentence, without patient data."""
        if self.outcome:
            return self._logged_summary(self.outcome)
        if self.shown:
            return "shown: everything matches"
        if self.shown is None:
            return f"cannot be determined, because of {self._undetermined}"
        return f"not shown, because of {_names(self.against)}"

    def _logged_summary(self, outcome: LoggedOutcome) -> str:
        """State the fact first, then the reason or what would come of the query now."""
        historical = [result for result in self.against if result.is_historical]
        because = f"because of {_names(historical or self.against)}"
        if outcome.was_shown:
            now = f"; the same query now would not show it, {because}: {outcome.change}" if self.shown is False else ""
            return f"it was shown at {outcome.asked_at}{now}"
        not_shown = f"it was not shown at {outcome.asked_at}"
        if historical or (self.shown is False and not outcome.changed):
            return f"{not_shown}, {because}"
        if self.shown is False:
            return f"{not_shown}; the same query now would not show it either, {because}: {outcome.change}"
        if self.shown and outcome.changed:
            return f"{not_shown}; the same query now would show it: {outcome.change}"
        unknown = f", because of {self._undetermined}" if self._undetermined else f": {outcome.change}"
        return f"{not_shown}; the reason cannot be determined{unknown}"

    @property
    def _undetermined(self) -> str:
        return _names(result for result in self.results if result.verdict is Verdict.UNDETERMINED)


def explain(item: Any, query: ParsedQuery, hash_value: KeyedHash) -> Explanation:
    """Evaluate every rule of the query for the item. `hash_value` is the keyed hash that the log was written with."""
    return Explanation(tuple(_results(item, query, hash_value)), query.outcome)


def row_limit_result(position: int, limit: int) -> RuleResult:
    """Return whether the answer gets as far as the item that is the `position`th match."""
    verdict = Verdict.of(position <= limit)
    rule = "MWL_MAX_ROWS or the modality's own limit"
    return RuleResult("Rows", verdict, rule, f"at most {limit}", f"is number {position}")


def _results(item: Any, query: ParsedQuery, hash_value: KeyedHash) -> Iterator[RuleResult]:
    if query.refused:
        yield RuleResult("Association", Verdict.NOT_MATCHED, query.refused)
    if query.bad_key:
        yield RuleResult("Query", Verdict.NOT_MATCHED, f"A900: {query.bad_key}")
    for criterion in apply_policy(query.keys, query.policy, query.calling_ae_title).criteria:
        fields = _fields(criterion)
        yield RuleResult(
            criterion.name,
            Verdict.of(criterion.matches(item)),
            criterion.rule,
            criterion.query_value,
            _values(item, fields),
            is_personal=any(name in item.personal_fields for name in fields),
        )
    for key in query.hashed:
        yield _result_by_hash(item, key, query.outcome, hash_value)
    for keyword in query.ignored:
        yield RuleResult(keyword, Verdict.MATCHED, OPTIONAL_KEY, "a value")


def _result_by_hash(item: Any, key: HashedKey, outcome: LoggedOutcome | None, hash_value: KeyedHash) -> RuleResult:
    """Compare by hash. A hash that contradicts the log proves nothing if the item was shown and has not changed."""
    verdict = Verdict.of(key.matches(item, hash_value))
    rule = f"{key.rule}, {BY_HASH}" if key.hashes else NO_HASH
    if verdict is Verdict.NOT_MATCHED and outcome and outcome.was_shown and ITEM not in outcome.changed:
        verdict, rule = Verdict.UNDETERMINED, HASH_DIFFERS
    return RuleResult(key.name, verdict, rule, "a value", _values(item, key.fields), is_personal=True)


def _names(results: Iterable[RuleResult]) -> str:
    return ", ".join(result.name for result in results)


def _fields(criterion: Criterion) -> tuple[str, ...]:
    match criterion:
        case MatchingKey():
            return criterion.fields
        case DateTimeRange():
            return "scheduled_date", "scheduled_time"
    return tuple(row.field for row in (*ROOT, *STEP) if row.keyword == criterion.name)


def _values(item: Any, fields: tuple[str, ...]) -> str:
    """Return the values as DICOM writes them."""
    texts = []
    for value in (getattr(item, name) for name in fields):
        match value:
            case date():
                texts.append(f"{value:%Y%m%d}")
            case time():
                texts.append(f"{value:%H%M%S}")
            case _:
                texts.append(str(value) if value not in ("", None) else WITHOUT_VALUE)
    return " ".join(texts)
