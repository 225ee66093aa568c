"""Explain to a support engineer why a query's answer holds a worklist item or does not.

The query may come from the log, from keys that are typed in, or from a DICOM file. The rules are in
worklist/query/explanation.py; this module gathers what they need: policies, settings, the log and alarms.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.conf import settings
from django.db.models import prefetch_related_objects
from django.utils import timezone
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from dicom.association_policy import NOT_ALLOWED, UNKNOWN_TITLE, AssociationPolicy
from dicom.modality_policy import UNKNOWN, ModalityPolicy
from dicom.models import Modality
from worklist.configuration import matching_options, row_limit, server_config
from worklist.models import ItemAlarm, WorklistItem, WorklistQuery
from worklist.models.items import MatchingRows
from worklist.query.explanation import (
    ITEM,
    MODALITY,
    Explanation,
    LoggedOutcome,
    ParsedQuery,
    RuleResult,
    Verdict,
    explain,
    row_limit_result,
)
from worklist.query.information_model import STEP_SEQUENCE
from worklist.query.kept_keys import HashedKey, hashed_keys, identifier_of, ignored_keys, kept_keys, keyed_hash
from worklist.query.matching import BadKey, MatchingKeys, apply_policy, build_identifier, parse_matching_keys
from worklist.query.response import IllegalValue, ResponseOptions, response_for

ILLEGAL_VALUE = "an item with a value that its VR does not allow cannot be shown: PS3.5 section 6.2"
#: Limits of one page: AE titles, and queries of each.
MAX_AE_TITLES, QUERIES_OF_EACH = 10, 3


class InvalidQuery(Exception):
    """The input is not a query; the text says why."""


@dataclass(frozen=True)
class QueryToExplain:
    """A query and its requestor. `record` is its row in the log, or None if it has not been sent."""

    identifier: Dataset
    calling_ae_title: str
    hashed: tuple[HashedKey, ...] = ()
    ignored: tuple[str, ...] = ()
    record: WorklistQuery | None = None


def logged_query(query: WorklistQuery) -> QueryToExplain:
    """Return a logged query, with the keys that were kept."""
    hashed = tuple(hashed_keys(query.keys, keyed_hash(settings.SECRET_KEY), matching_options()))
    identifier, ignored = identifier_of(query.keys), tuple(ignored_keys(query.keys))
    return QueryToExplain(identifier, query.calling_ae_title, hashed, ignored, query)


def unsent_query(identifier: Dataset, calling_ae_title: str) -> QueryToExplain:
    """Take an identifier that no modality has sent yet."""
    kept = kept_keys(identifier, keyed_hash(settings.SECRET_KEY))
    return QueryToExplain(identifier, calling_ae_title, (), tuple(ignored_keys(kept)))


def identifier_from(keys: Mapping[str, str]) -> Dataset:
    """Build an identifier from keyword → value, keys of the step in the step sequence.

    Raise InvalidQuery for a keyword that DICOM does not have.
    """
    for keyword in keys:
        if tag_for_keyword(keyword) is None or keyword == STEP_SEQUENCE:
            raise InvalidQuery(
                f"{keyword} is not the DICOM keyword of a key; use keywords such as PatientName or Modality"
            )
    return build_identifier(keys)


def explain_query(item: WorklistItem, query: QueryToExplain) -> Explanation:
    """Explain why the query shows the item or does not; for a logged query, why it did or did not."""
    modality = Modality.objects.filter(ae_title=query.calling_ae_title).first()
    shown = query.record is not None and query.record.items.filter(pk=item.pk).exists()
    return _explain(item, query, modality, shown=shown)


def latest_queries(item: WorklistItem) -> list[tuple[WorklistQuery, str]]:
    """Return the latest queries of each AE title, newest first, with `shown` or the summary of why not."""
    titles = ae_titles_for(item)
    queries = [
        query for title in titles for query in WorklistQuery.objects.filter(calling_ae_title=title)[:QUERIES_OF_EACH]
    ]
    shown = set(item.queries.filter(pk__in=[query.pk for query in queries]).values_list("pk", flat=True))
    modalities = {modality.ae_title: modality for modality in Modality.objects.filter(ae_title__in=titles)}
    prefetch_related_objects([item], "alarms")

    def summary(query: WorklistQuery) -> str:
        if query.pk in shown:
            return "shown"
        return _explain(item, logged_query(query), modalities.get(query.calling_ae_title), shown=False).summary

    return [(query, summary(query)) for query in sorted(queries, key=lambda query: query.asked_at, reverse=True)]


def ae_titles_for(item: WorklistItem) -> list[str]:
    """Return the AE titles to show queries of: those the item was delivered to, then all others known."""
    delivered = item.deliveries.order_by("-last_shown_at").values_list("ae_title", flat=True)[:MAX_AE_TITLES]
    return list(dict.fromkeys([*delivered, *WorklistQuery.objects.known_ae_titles()]))[:MAX_AE_TITLES]


def _explain(item: WorklistItem, query: QueryToExplain, modality: Modality | None, *, shown: bool) -> Explanation:
    policy = modality.policy if modality else UNKNOWN
    try:
        keys, bad_key = parse_matching_keys(query.identifier, matching_options()), ""
    except BadKey as problem:
        keys, bad_key = MatchingKeys(hidden_statuses=frozenset()), str(problem)
    outcome = None
    if query.record:
        asked_at, known = query.record.asked_at, ((ITEM, item), (MODALITY, modality))
        changed = tuple(name for name, row in known if row and row.updated_at > asked_at)
        outcome = LoggedOutcome(shown, _moment(asked_at), changed)
    parsed = ParsedQuery(
        keys=keys,
        hashed=query.hashed,
        ignored=query.ignored,
        calling_ae_title=query.calling_ae_title,
        policy=policy,
        refused="" if query.record else _refusal_of(policy),  # a logged query had an association
        bad_key=bad_key,
        outcome=outcome,
    )
    found = explain(item, parsed, keyed_hash(settings.SECRET_KEY)).with_more(*_superseded(item, query))
    if query.record:
        return found.with_more(*_results_from_log(item, query.record, found))
    zone, options = timezone.get_default_timezone(), matching_options()
    try:
        response_for(item, query.identifier, ResponseOptions(query.calling_ae_title, zone, matching=options))
    except IllegalValue as error:
        found = found.with_more(RuleResult(error.keyword, Verdict.NOT_MATCHED, ILLEGAL_VALUE))
    if not found.shown:
        return found
    limit = row_limit(policy)
    matching_now = apply_policy(keys, policy, query.calling_ae_title)
    matches = islice(MatchingRows(matching_now, "pk"), limit)
    position = next((number for number, other in enumerate(matches, start=1) if other.pk == item.pk), limit + 1)
    return found.with_more(row_limit_result(position, limit))


def _superseded(item: WorklistItem, query: QueryToExplain) -> Iterator[RuleResult]:
    """Yield which newer item is on the list instead, and since when; whatever the keys, a query does not find it."""
    if item.superseded_by and item.superseded_at:
        name = f"superseded at {timezone.localtime(item.superseded_at):%H:%M} by {item.superseded_by}"
        was_so = query.record is not None and item.superseded_at <= query.record.asked_at
        rule = "the newer item of the same appointment is on the list in its place"
        yield RuleResult(name, Verdict.NOT_MATCHED, rule, is_historical=was_so)


def _moment(at: datetime) -> str:
    return f"{timezone.localtime(at):%Y-%m-%d %H:%M:%S %Z}"


def _refusal_of(policy: ModalityPolicy) -> str:
    """Return why the requestor would get no association now; empty if it would."""
    if not policy.is_known:
        return UNKNOWN_TITLE.sentence if AssociationPolicy(server_config()).rejects_unknown() else ""
    return "" if policy.is_allowed else NOT_ALLOWED.sentence


def _results_from_log(item: WorklistItem, query: WorklistQuery, found: Explanation) -> Iterator[RuleResult]:
    """Yield the other reasons in the log why the item was not shown: its alarms, its arrival, the end of the answer."""
    # An alarm does not say which query it was raised by. It proves nothing against a query that showed the item.
    verdict = Verdict.UNDETERMINED if found.on_the_list else Verdict.NOT_MATCHED
    for attribute in sorted(each.attribute for each in item.alarms.all() if each.kind == ItemAlarm.Kind.NOT_SHOWN):
        yield RuleResult(attribute, verdict, ILLEGAL_VALUE)
    if found.on_the_list:
        return
    if item.created_at > query.asked_at:
        yield RuleResult(
            "Arrival",
            Verdict.NOT_MATCHED,
            "the item came after the query",
            f"of {_moment(query.asked_at)}",
            f"of {_moment(item.created_at)}",
            is_historical=True,
        )
    if query.outcome != "answered" and found.shown is not False:
        ended = " ".join(text for text in (query.outcome, query.status, query.comment) if text)
        rule = f"it ended before the item's turn: {ended}"
        yield RuleResult("Answer", Verdict.NOT_MATCHED, rule, is_historical=True)
