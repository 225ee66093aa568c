"""Reduce a query's keys to what the delivery log may keep, and compare what was kept with an item later. Pure.

A value that may be personal is kept as a keyed hash. An engineer who knows a name can check whether the query asked
for it; the table reveals none. Of a pattern or range that may be personal, only the fact is kept that there was one.
What is kept of a key, as JSON, is one of:

- `*`, if the key matches everything;
- the value in clear, if it has the shape of a value that cannot be personal (SHAPES);
- `{"hashed": [...], "with": ...}`, the hashes of its values and a check of the secret they were made with;
- `{}`, if it had a value that can neither be shown nor compared.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom.dataset import Dataset

from worklist.query.information_model import (
    NOT_KEYS,
    ROOT,
    STATUS_WORDS,
    STEP,
    STEP_SEQUENCE,
    Attribute,
    Matching,
    MatchingOptions,
)
from worklist.query.matching import (
    CONDITIONS,
    SINGLE_VALUE,
    AnyOf,
    BadKey,
    NameMatch,
    OneOf,
    Range,
    build_identifier,
    is_universal_key,
    step_item,
    values_of,
)
from worklist.query.person_names import Fold, has_wild_card, name_groups, wild_card, without_accents

#: Returns the keyed hash of a keyword and a canonical text.
KeyedHash = Callable[[str, str], str]

UNIVERSAL = "*"
#: Nine digits, whatever is between them: an NHS number, perhaps without its last digit. Of the keys in SHAPES only
#: times and UIDs may be this long, and their own shapes are strict.
LONG_NUMBER = re.compile(r"[0-9](?:[ .*?\\-]*[0-9]){8}")
ID = r"(?=.*[0-9])[!-+\--\[\]_-~]{1,16}"  # a digit, and no space, comma or caret: unlike a name
DAY = r"[0-9]{4}\.?[0-9]{2}\.?[0-9]{2}"
MOMENT = r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
#: Keys that are not personal, and the shape of their values. Another value may be personal data typed by mistake.
SHAPES = {
    keyword: re.compile(shape)
    for keyword, shape in {
        "ScheduledStationAETitle": r"[A-Za-z0-9_.*?-]{1,16}",
        "ScheduledProcedureStepStartDate": rf"{DAY}|{DAY} *- *({DAY})?| *- *{DAY}",
        "ScheduledProcedureStepStartTime": rf"{MOMENT}|{MOMENT} *- *({MOMENT})?| *- *{MOMENT}",
        "Modality": r"[A-Z]{2,4}|(?=.*[*?])[A-Z*?]{1,4}",
        "StudyInstanceUID": r"[0-2](\.(0|[1-9][0-9]*))+",
        "AccessionNumber": ID,
        "RequestedProcedureID": ID,
        "ScheduledProcedureStepID": ID,
    }.items()
}
STATUS = "ScheduledProcedureStepStatus"
MAY_BE_LONG = {"ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime", "StudyInstanceUID"}


def keyed_hash(secret: str) -> KeyedHash:
    """Return HMAC-SHA-256, 32 hexadecimal digits of it, under a key derived from the secret."""
    key = hmac.digest(secret.encode(), b"worklist.query.kept_keys", "sha256")

    def hash_value(keyword: str, text: str) -> str:
        return hmac.new(key, f"{keyword}\0{text}".encode(errors="replace"), hashlib.sha256).hexdigest()[:32]

    return hash_value


def kept_keys(request: Dataset, hash_value: KeyedHash) -> dict[str, Any]:
    """Return what to keep of every key that has a value: keyword → value, hashes or `{}`, as JSON.

    Never fail, whatever was sent: queries that are refused are logged too.
    """
    kept = dict(_kept(request, ROOT, hash_value))
    try:
        kept |= _kept(step_item(request), STEP, hash_value)
    except BadKey:
        kept[STEP_SEQUENCE] = {}
    return kept


def _kept(dataset: Dataset, table: tuple[Attribute, ...], hash_value: KeyedHash) -> Iterator[tuple[str, Any]]:
    rows = {row.keyword: row for row in table}
    for element in dataset:
        keyword = element.keyword
        if not keyword or keyword in NOT_KEYS or not element.value or keyword == STEP_SEQUENCE:
            continue
        if keyword not in rows or element.VR == "SQ":
            yield keyword, {}
        elif values := values_of(element.value):
            if is_universal_key(rows[keyword], values):
                yield keyword, UNIVERSAL
            elif _cannot_be_personal(keyword, values):
                yield keyword, "\\".join(values)
            elif hashes := _hashes(rows[keyword], values, hash_value):
                yield keyword, {"hashed": hashes, "with": _secret_check(hash_value)}
            else:
                yield keyword, {}


def _cannot_be_personal(keyword: str, values: list[str]) -> bool:
    """Judge by the shape. Several values count as one number: an NHS number may have been split."""
    if keyword == STATUS:
        words = {word for words in STATUS_WORDS.values() for word in words}
        return all(any(map(wild_card(value).fullmatch, words)) for value in values)
    shape = SHAPES.get(keyword)
    if not shape or not all(shape.fullmatch(value) for value in values):
        return False
    return keyword in MAY_BE_LONG or not LONG_NUMBER.search("\\".join(values))


def _hashes(attribute: Attribute, values: list[str], hash_value: KeyedHash) -> list[Any]:
    """Return a hash for each value, for each name those of its component groups with accents and without.

    Empty if the values cannot be compared by hash: a pattern, a range, or a key that is not matched or not valid.
    """
    make = CONDITIONS.get(attribute.matching)
    try:
        condition = make(values) if make else None
    except ValueError:
        return []
    match condition:
        case OneOf(texts):
            return sorted(hash_value(attribute.keyword, text) for text in texts)
        case NameMatch(names) if not any(map(has_wild_card, names)):
            return [
                [_group_hashes(attribute, name, fold, hash_value) for fold in (str.casefold, without_accents)]
                for name in names
            ]
        case AnyOf(conditions):
            days = [
                one.low.isoformat()
                for one in conditions
                if isinstance(one, Range) and one.low == one.high and isinstance(one.low, date)
            ]
            return [hash_value(attribute.keyword, day) for day in days] if len(days) == len(conditions) else []
    return []


def _group_hashes(attribute: Attribute, name: str, fold: Fold, hash_value: KeyedHash) -> list[str]:
    return [hash_value(attribute.keyword, group) if group else "" for group in name_groups(name, fold)]


def _secret_check(hash_value: KeyedHash) -> str:
    """Return a short value that differs once the secret has changed, so that old hashes are recognised."""
    return hash_value("", "")[:8]


# Reading what was kept ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HashedKey:
    """A key whose value was not kept in clear; without hashes it cannot be compared."""

    attribute: Attribute
    hashes: list[Any]
    alternative_fields: tuple[str, ...] = ()
    folds_accents: bool = False

    @property
    def name(self) -> str:
        return self.attribute.keyword

    @property
    def rule(self) -> str:
        return SINGLE_VALUE

    @property
    def fields(self) -> tuple[str, ...]:
        return self.attribute.field, *self.alternative_fields

    def matches(self, item: Any, hash_value: KeyedHash) -> bool | None:
        """Return whether the item matches the key; None if that cannot be determined any more."""
        verdicts = [self._matches(getattr(item, field), hash_value) for field in self.fields]
        return True if True in verdicts else None if None in verdicts else False

    def _matches(self, value: Any, hash_value: KeyedHash) -> bool | None:
        if value in (None, ""):
            return self.attribute.empty_matches
        if not self.hashes:
            return None
        if self.attribute.matching is Matching.NAME:
            return any(self._name_matches(folded, str(value), hash_value) for folded in self.hashes)
        text = value.isoformat() if isinstance(value, date) else str(value).strip(" ")
        return hash_value(self.attribute.keyword, text) in self.hashes

    def _name_matches(self, folded: list[list[str]], name: str, hash_value: KeyedHash) -> bool:
        """Compare the hashes of the component groups, in each folding that is configured."""
        foldings: tuple[Fold, ...] = (str.casefold, without_accents) if self.folds_accents else (str.casefold,)
        for wanted, fold in zip(folded, foldings, strict=False):
            groups = [*_group_hashes(self.attribute, name, fold, hash_value), "", "", ""]
            if all(not one or one == other for one, other in zip(wanted, groups, strict=False)):
                return True
        return False


def identifier_of(kept: Mapping[str, Any]) -> Dataset:
    """Return the keys that were kept in clear as an identifier.

    A status key that was not becomes a universal one, so that no state is hidden, just as in the original query.
    """
    rows = (*ROOT, *STEP)
    clear = {row.keyword: text for row in rows if isinstance(text := kept.get(row.keyword), str)}
    if isinstance(kept.get(STATUS), Mapping):
        clear[STATUS] = UNIVERSAL
    return build_identifier(clear)


def hashed_keys(kept: Mapping[str, Any], hash_value: KeyedHash, options: MatchingOptions) -> list[HashedKey]:
    """Return the keys that the gateway matches on and that were not kept in clear."""
    found = []
    for row in _matched():
        value = kept.get(row.keyword)
        if isinstance(value, Mapping):
            hashes = value.get("hashed", []) if value.get("with") == _secret_check(hash_value) else []
            alternatives = row.alternative_fields if options.procedure_id_finds_accession else ()
            found.append(HashedKey(row, hashes, alternatives, options.folds_accents))
    return found


def ignored_keys(kept: Mapping[str, Any]) -> list[str]:
    """Return the keywords of keys whose value the gateway does not match on."""
    matched = {row.keyword for row in _matched()}
    return [keyword for keyword in kept if keyword not in matched and keyword != STEP_SEQUENCE]


def _matched() -> list[Attribute]:
    return [row for row in (*ROOT, *STEP) if row.matching in CONDITIONS]
