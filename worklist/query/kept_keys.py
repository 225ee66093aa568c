"""Owns what is kept of a query's keys, and how a key that was kept is held against an item. Pure.

A value that can be a patient's is kept as a keyed hash: one who knows a name can ask whether it was that one, and
nobody can read or guess one from the table. Of a pattern or a range only that there was one is kept.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydicom import config
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

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
    Condition,
    NameMatch,
    OneOf,
    Range,
    is_universal,
    step_item,
    values_of,
)
from worklist.query.person_names import Fold, is_universal_name, name_groups, wild_card, without_accents

#: Keyword, canonical text → its hash.
Mac = Callable[[str, str], str]

UNIVERSAL = "*"
#: As long as an NHS number that wants its last digit, whatever stands between the digits: nothing that tells of no
#: patient is that long, but for moments and UIDs, whose own shapes are strict.
LONG_NUMBER = re.compile(r"[0-9](?:[ .*?\\-]*[0-9]){8}")
ID = r"(?=.*[0-9])[!-+\--\[\]_-~]{1,16}"  # no spaces, commas and carets, and a digit: a name has it the other way
DAY = r"[0-9]{4}\.?[0-9]{2}\.?[0-9]{2}"
MOMENT = r"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?"
#: Keys that tell of no patient, and what their values look like: anything else in them may be a slip of the hand.
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


def keyed_hash(secret: str) -> Mac:
    """HMAC-SHA-256 under a key of its own, made from the secret."""
    key = hmac.digest(secret.encode(), b"worklist.query.kept_keys", "sha256")

    def mac(keyword: str, text: str) -> str:
        return hmac.new(key, f"{keyword}\0{text}".encode(errors="replace"), hashlib.sha256).hexdigest()[:32]

    return mac


def kept_keys(request: Dataset, mac: Mac) -> dict[str, Any]:
    """What is kept of every key that has a value: keyword → the text, its hashes, or that there was one. It is JSON.

    It never fails, whatever was sent: a query that is refused is kept, too.
    """
    kept = dict(_kept(request, ROOT, mac))
    try:
        kept |= _kept(step_item(request), STEP, mac)
    except BadKey:
        kept[STEP_SEQUENCE] = {}
    return kept


def _kept(dataset: Dataset, table: tuple[Attribute, ...], mac: Mac) -> Iterator[tuple[str, Any]]:
    rows = {row.keyword: row for row in table}
    for element in dataset:
        keyword = element.keyword
        if not keyword or keyword in NOT_KEYS or not element.value or keyword == STEP_SEQUENCE:
            continue
        if keyword not in rows or element.VR == "SQ":
            yield keyword, {}
        elif values := values_of(element.value):
            yield keyword, _kept_values(rows[keyword], values, mac)


def _kept_values(attribute: Attribute, values: list[str], mac: Mac) -> Any:
    if is_universal(values) or (attribute.matching is Matching.NAME and any(map(is_universal_name, values))):
        return UNIVERSAL
    if _tells_of_no_patient(attribute.keyword, values):
        return "\\".join(values)
    hashes = _hashes(attribute, values, mac)
    return {"hashed": hashes, "with": _key_check(mac)} if hashes else {}


def _tells_of_no_patient(keyword: str, values: list[str]) -> bool:
    """By its looks; several values are one number, too, that was cut in pieces."""
    if keyword == STATUS:
        return all(_is_state(value) for value in values)
    shape = SHAPES.get(keyword)
    if not shape or not all(shape.fullmatch(value) for value in values):
        return False
    return keyword in MAY_BE_LONG or not LONG_NUMBER.search("\\".join(values))


def _is_state(value: str) -> bool:
    """A state of a step, or a pattern of one."""
    return any(wild_card(value).fullmatch(word) for words in STATUS_WORDS.values() for word in words)


def _hashes(attribute: Attribute, values: list[str], mac: Mac) -> list[Any]:
    """None at all for what cannot be compared by its hash. Of a name those of its groups, with accents and without."""
    make = CONDITIONS.get(attribute.matching)
    try:
        condition = make(values) if make else None
    except ValueError:
        return []
    match condition:
        case OneOf(texts):
            return sorted(mac(attribute.keyword, text) for text in texts)
        case NameMatch(names) if not any(set("*?") & set(name) for name in names):
            return [
                [_group_hashes(attribute, name, fold, mac) for fold in (str.casefold, without_accents)]
                for name in names
            ]
        case AnyOf(conditions):
            days = [_single_day(one) for one in conditions]
            return [mac(attribute.keyword, day) for day in days] if all(days) else []
    return []


def _group_hashes(attribute: Attribute, name: str, fold: Fold, mac: Mac) -> list[str]:
    return [mac(attribute.keyword, group) if group else "" for group in name_groups(name, fold)]


def _single_day(condition: Condition) -> str:
    if isinstance(condition, Range) and condition.low == condition.high and isinstance(condition.low, date):
        return condition.low.isoformat()
    return ""


def _key_check(mac: Mac) -> str:
    """By which an old hash is known when the secret has changed."""
    return mac("", "")[:8]


# And back again -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HiddenKey:
    """A key whose value is not kept in clear: its hashes, none of them where there is nothing to compare."""

    attribute: Attribute
    hashes: list[Any]
    alternative_fields: tuple[str, ...] = ()
    folds_accents: bool = False

    @property
    def name(self) -> str:
        """The attribute's keyword."""
        return self.attribute.keyword

    @property
    def rule(self) -> str:
        """The rule by which it is compared, where it can be."""
        return SINGLE_VALUE

    @property
    def fields(self) -> tuple[str, ...]:
        """The item's fields of which one must meet it."""
        return self.attribute.field, *self.alternative_fields

    def matches(self, item: Any, mac: Mac) -> bool | None:
        """Whether the item meets it; None where that cannot be told any more."""
        verdicts = [self._matches(getattr(item, field), mac) for field in self.fields]
        return True if True in verdicts else None if None in verdicts else False

    def _matches(self, value: Any, mac: Mac) -> bool | None:
        if value in (None, ""):
            return self.attribute.empty_matches
        if not self.hashes:
            return None
        if self.attribute.matching is Matching.NAME:
            return any(self._name_fits(folded, str(value), mac) for folded in self.hashes)
        text = value.isoformat() if isinstance(value, date) else str(value).strip(" ")
        return mac(self.attribute.keyword, text) in self.hashes

    def _name_fits(self, folded: list[list[str]], name: str, mac: Mac) -> bool:
        foldings: tuple[Fold, ...] = (str.casefold, without_accents) if self.folds_accents else (str.casefold,)
        return any(
            all(not one or one == has for one, has in zip(wanted, self._groups(name, fold, mac), strict=False))
            for wanted, fold in zip(folded, foldings, strict=False)
        )

    def _groups(self, name: str, fold: Fold, mac: Mac) -> list[str]:
        return [*_group_hashes(self.attribute, name, fold, mac), "", "", ""]


def identifier_of(kept: Mapping[str, Any]) -> Dataset:
    """The keys that were kept in clear, as an identifier. A status that was not is any one: no state is hidden then."""
    identifier, step = Dataset(), Dataset()
    with config.disable_value_validation():
        for target, table in ((identifier, ROOT), (step, STEP)):
            for row in table:
                if isinstance(text := kept.get(row.keyword), str):
                    setattr(target, row.keyword, text.split("\\") if "\\" in text else text)
        if isinstance(kept.get(STATUS), Mapping):
            setattr(step, STATUS, UNIVERSAL)
        if len(step):
            setattr(identifier, STEP_SEQUENCE, Sequence([step]))
    return identifier


def hidden_keys(kept: Mapping[str, Any], mac: Mac, options: MatchingOptions) -> list[HiddenKey]:
    """The keys that are matched on and were not kept in clear."""
    found = []
    for row in _matched():
        value = kept.get(row.keyword)
        if isinstance(value, Mapping):
            hashes = value.get("hashed", []) if value.get("with") == _key_check(mac) else []
            alternatives = row.alternative_fields if options.procedure_id_finds_accession else ()
            found.append(HiddenKey(row, hashes, alternatives, options.folds_accents))
    return found


def ignored_keys(kept: Mapping[str, Any]) -> list[str]:
    """The keywords of keys with a value that is not matched on."""
    matched = {row.keyword for row in _matched()}
    return [keyword for keyword in kept if keyword not in matched and keyword != STEP_SEQUENCE]


def _matched() -> list[Attribute]:
    return [row for row in (*ROOT, *STEP) if row.matching in CONDITIONS]
