"""Owns how a support engineer's question is put: a query of the log, keys that are typed in, or a file, and an item."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.conf import settings
from django.db.models import QuerySet, prefetch_related_objects
from django.utils import timezone
from pydicom import config
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from dicom.association_policy import NOT_ALLOWED, UNKNOWN_TITLE, AssociationPolicy
from dicom.modality_policy import UNKNOWN, ModalityPolicy
from dicom.models import Modality
from worklist.configuration import matching_options, server_config
from worklist.models import Delivery, WorklistItem, WorklistQuery
from worklist.query.explanation import (
    ITEM,
    MODALITY,
    Explanation,
    Fact,
    Question,
    Reason,
    Verdict,
    explain,
    in_row,
    obstacle,
)
from worklist.query.information_model import STEP, STEP_SEQUENCE
from worklist.query.kept_keys import HiddenKey, hidden_keys, identifier_of, ignored_keys, kept_keys, keyed_hash
from worklist.query.matching import BadKey, MatchingKeys, apply_policy, parse_matching_keys
from worklist.query.response import Unshowable, response_for

ILLEGAL_VALUE = "without a value that its VR allows an item cannot be shown: PS3.5 section 6.2"
#: On one page: askers at most, queries of each, and how many of the latest queries are looked at for who asked.
ASKERS, OF_EACH, LATEST = 10, 3, 200
STEP_KEYWORDS = {row.keyword for row in STEP}


class NoQuestion(Exception):
    """What was given is no query; the text says why."""


@dataclass(frozen=True)
class Asked:
    """A query, who asked it, and what the log knows of it; `query` None for one that is typed in."""

    identifier: Dataset
    calling_ae_title: str
    hidden: tuple[HiddenKey, ...] = ()
    ignored: tuple[str, ...] = ()
    query: WorklistQuery | None = None


def logged(query: WorklistQuery) -> Asked:
    """A query of the log, as far as its keys were kept."""
    hidden = tuple(hidden_keys(query.keys, keyed_hash(settings.SECRET_KEY), matching_options()))
    identifier, ignored = identifier_of(query.keys), tuple(ignored_keys(query.keys))
    return Asked(identifier, query.calling_ae_title, hidden, ignored, query)


def asked_with(identifier: Dataset, calling_ae_title: str) -> Asked:
    """A query that nobody has sent yet."""
    kept = kept_keys(identifier, keyed_hash(settings.SECRET_KEY))
    return Asked(identifier, calling_ae_title, (), tuple(ignored_keys(kept)))


def identifier_with(keys: Mapping[str, str]) -> Dataset:
    """Keyword → value as an identifier, those of the step in the step; NoQuestion for a keyword that is none."""
    identifier, step = Dataset(), Dataset()
    with config.disable_value_validation():
        for keyword, value in keys.items():
            if tag_for_keyword(keyword) is None or keyword == STEP_SEQUENCE:
                raise NoQuestion(f"{keyword} is no keyword of DICOM, or of one value; such as PatientName, Modality")
            target = step if keyword in STEP_KEYWORDS else identifier
            setattr(target, keyword, value.split("\\") if "\\" in value else value)
        if len(step):
            setattr(identifier, STEP_SEQUENCE, Sequence([step]))
    return identifier


def explained(item: WorklistItem, asked: Asked) -> Explanation:
    """Why this query shows the item, or why it does not; of one of the log, why it did or did not."""
    modality = Modality.objects.filter(ae_title=asked.calling_ae_title).first()
    return _explained(item, asked, modality, shown=asked.query is not None and was_shown(item, asked.query))


def _explained(item: WorklistItem, asked: Asked, modality: Modality | None, *, shown: bool) -> Explanation:
    """The same, with what is known already: how the asker is treated now, and what the log says."""
    policy = modality.policy if modality else UNKNOWN
    keys, bad_key = _keys_of(asked.identifier)
    question = Question(
        keys=keys,
        hidden=asked.hidden,
        ignored=asked.ignored,
        calling_ae_title=asked.calling_ae_title,
        policy=policy,
        refused=_refusal_of(policy) if asked.query is None else "",
        bad_key=bad_key,
        fact=_fact(item, asked.query, modality, shown=shown) if asked.query else None,
    )
    found = explain(item, question, keyed_hash(settings.SECRET_KEY))
    if asked.query:
        return found.with_more(*_noted(item, asked.query, found))
    found = found.with_more(*_unshowable(item, asked))
    if not found.shown:
        return found
    return found.with_more(_position(item, apply_policy(keys, policy, asked.calling_ae_title), policy))


def _fact(item: WorklistItem, query: WorklistQuery, modality: Modality | None, *, shown: bool) -> Fact:
    known = ((ITEM, item), (MODALITY, modality))
    changed = tuple(name for name, row in known if row and row.updated_at > query.asked_at)
    return Fact(shown, _moment(query.asked_at), changed)


def _moment(at: datetime) -> str:
    """On the clinic's clock."""
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S %Z}"


def was_shown(item: WorklistItem, query: WorklistQuery) -> bool:
    """What the log says, whatever is explained."""
    return query.items.filter(pk=item.pk).exists()


def _keys_of(identifier: Dataset) -> tuple[MatchingKeys, str]:
    try:
        return parse_matching_keys(identifier, matching_options()), ""
    except BadKey as problem:
        return MatchingKeys(hidden_states=frozenset()), str(problem)


def _refusal_of(policy: ModalityPolicy) -> str:
    """Why an asker gets no association now; of a logged query it has had one."""
    if not policy.is_known:
        return UNKNOWN_TITLE.sentence if AssociationPolicy(server_config()).rejects_unknown() else ""
    return "" if policy.is_allowed else NOT_ALLOWED.sentence


def _noted(item: WorklistItem, query: WorklistQuery, found: Explanation) -> Iterator[Reason]:
    """What else is noted that stood in its way. The alarms do not say which attributes a query asked for: they cannot
    speak against one that did show the item."""
    for attribute in sorted(alarm.attribute for alarm in item.alarms.all()):
        yield obstacle(attribute, ILLEGAL_VALUE, Verdict.UNTOLD if found.on_the_list else Verdict.NOT_MATCHED)
    if found.on_the_list:
        return
    if item.created_at > query.asked_at:
        when, came = f"of {_moment(query.asked_at)}", f"of {_moment(item.created_at)}"
        section = "the item came after the query"
        yield Reason("Arrival", when, came, Verdict.NOT_MATCHED, section, is_of_then=True)
    if query.outcome != "answered" and found.shown is not False:
        ended = " ".join(text for text in (query.outcome, query.status, query.comment) if text)
        yield obstacle("Answer", f"it ended before the item's turn: {ended}", is_of_then=True)


def _unshowable(item: WorklistItem, asked: Asked) -> Iterator[Reason]:
    """The attribute because of which no answer can be made."""
    try:
        response_for(
            item, asked.identifier, asked.calling_ae_title, timezone.get_default_timezone(), options=matching_options()
        )
    except Unshowable as keyword:
        yield obstacle(str(keyword), ILLEGAL_VALUE)


def _position(item: WorklistItem, keys: MatchingKeys, policy: ModalityPolicy) -> Reason:
    """How far down the item stands among those that match now."""
    most = policy.max_rows or settings.MWL_MAX_ROWS
    ahead = islice(WorklistItem.objects.matching(keys), most)
    place = next((number for number, other in enumerate(ahead, start=1) if other.pk == item.pk), most + 1)
    return in_row(place, most)


def lines_of(explanation: Explanation, *, with_persons: bool) -> list[str]:
    """Each rule in a line."""
    return [reason.text(with_persons=with_persons) for reason in explanation.reasons]


def latest_queries(item: WorklistItem) -> list[tuple[WorklistQuery, str]]:
    """Of each asker the latest queries, with what they say of the item: `shown` by the log, or the summary."""
    titles = known_titles(item)
    asked = [query for title in titles for query in WorklistQuery.objects.filter(calling_ae_title=title)[:OF_EACH]]
    shown = set(item.queries.filter(pk__in=[query.pk for query in asked]).values_list("pk", flat=True))
    modalities = {modality.ae_title: modality for modality in Modality.objects.filter(ae_title__in=titles)}
    prefetch_related_objects([item], "alarms")

    def said(query: WorklistQuery) -> str:
        modality = modalities.get(query.calling_ae_title)
        return "shown" if query.pk in shown else _explained(item, logged(query), modality, shown=False).summary

    return [(query, said(query)) for query in sorted(asked, key=lambda query: query.asked_at, reverse=True)]


def known_titles(item: WorklistItem) -> list[str]:
    """Who may be asked about: those that were shown the item, those that asked last, and those that are configured.

    Never by going through all queries: that is the largest table there is.
    """
    return list(dict.fromkeys([*_shown_to(item), *askers()]))[:ASKERS]


def askers() -> list[str]:
    """Those that asked last, and those that are configured."""
    latest = WorklistQuery.objects.values_list("calling_ae_title", flat=True)[:LATEST]
    return list(dict.fromkeys([*latest, *Modality.objects.values_list("ae_title", flat=True)[:LATEST]]))


def _shown_to(item: WorklistItem) -> QuerySet[Delivery, str]:
    return item.deliveries.order_by("-last_shown_at").values_list("ae_title", flat=True)[:ASKERS]
