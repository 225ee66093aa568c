"""Owns what Prometheus reads at `/metrics`: the text format of prometheus_client, out of the database at each scrape.

Nothing is counted in this process: the listener, the SCP and several web servers would each know a part. Counters are
totals of rows that are never taken back, so that they only grow. Nobody's data is in a label; AE titles are those of
configured modalities, as anybody can make up any.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple

from django.conf import settings
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from core.contract import TEMPORARY_ERRORS, ErrorCode, ItemStatus
from core.database import UNAVAILABLE
from core.heartbeat import DAEMONS, STALE_AFTER
from core.instance import version
from core.models import Heartbeat
from dashboard.daemons import LISTENER, SERVER, relay_part
from dicom.models import Modality
from relay.models import ReceivedAction, Reprocessing, Resend
from worklist.models import (
    ItemAlarm,
    ItemChange,
    MppsException,
    OutboxReader,
    PerformedProcedureStep,
    QueryTally,
    WorklistItem,
)
from worklist.models.queries import DURATIONS, at_most

#: What is counted over all actions is counted so often at most. Seconds.
REMEMBERED_SECONDS = 15.0
#: Of AE titles that are not configured.
OTHERS = "other"
#: The states of a listener, and `absent` where none lives.
RELAY_STATES = ("online", "connecting", "suspect", "offline", "absent")


# Actions: what is counted over all of them ------------------------------------------------------------------------


class Durations:
    """How many took how long: a histogram in the making."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.milliseconds = 0

    def add(self, limit: int, count: int, milliseconds: int) -> None:
        """So many of at most `limit` milliseconds (one of DURATIONS) took so many together."""
        self.counts[limit] += count
        self.milliseconds += milliseconds

    def buckets(self) -> list[tuple[str, float]]:
        """Prometheus's: seconds → how many took no longer."""
        total, made = 0, []
        for limit in DURATIONS:
            total += self.counts[limit]
            made.append(("+Inf" if limit == DURATIONS[-1] else str(limit / 1000), float(total)))
        return made


class Outcome(NamedTuple):
    """What became of an action."""

    action_type: str
    outcome: str


@dataclass
class Actions:
    """Totals over all actions there have ever been."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    durations: dict[str, Durations] = field(default_factory=lambda: defaultdict(Durations))
    resends: Counter[str] = field(default_factory=Counter)


def count_actions() -> Actions:
    """One pass over an index that has all of it; two more over the resends, which are few.

    An action that failed in passing and was tried again has changed its outcome: each such try counts as the failure
    that it was, or a counter would go back. For the same reason only what is final goes into the durations.
    """
    found = Actions()
    rows = ReceivedAction.objects.order_by().values_list("action_type", "outcome", "is_final", "duration_ms")
    for action_type, outcome, is_final, duration, count in rows.annotate(found=Count("*")):
        found.outcomes[Outcome(action_type, outcome)] += count
        if is_final:
            found.durations[action_type].add(at_most(duration), count, duration * count)
    resends = Resend.objects.order_by()
    retried = resends.filter(answer=Resend.Answer.RETRIED).values_list("action__action_type").annotate(found=Count("*"))
    for action_type, count in retried:
        found.outcomes[Outcome(action_type, ErrorCode.INTERNAL_ERROR.value)] += count
    for action_type, before, outcome, count in _reprocessings():
        found.outcomes[Outcome(action_type, outcome if outcome in TEMPORARY_ERRORS else before)] += count
    found.resends.update(dict(resends.values_list("answer").annotate(found=Count("*"))))
    return found


def _reprocessings() -> Iterable[tuple[str, str, str, int]]:
    """The tries that no row of an action tells of: what failed before a person had it executed again, or since."""
    kinds = Reprocessing.objects.order_by().values_list("action__action_type", "outcome_before", "outcome")
    return kinds.annotate(found=Count("*"))


class Remembered:
    """The last count, as long as it is not older than REMEMBERED_SECONDS; those who ask at once wait for one count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._actions: Actions | None = None
        self._counted_at = 0.0

    def actions(self) -> Actions:
        """Not older than that."""
        with self._lock:
            if self._actions is None or self._clock() - self._counted_at > REMEMBERED_SECONDS:
                self._actions, self._counted_at = count_actions(), self._clock()
            return self._actions


# Families: each yields the metrics of one thing -------------------------------------------------------------------


def _gauge(name: str, what: str, value: float | None) -> Iterator[Metric]:
    """A gauge without labels; none where there is no value."""
    if value is not None:
        yield GaugeMetricFamily(f"gateway_{name}", what, value=value)


def _labelled(
    kind: type[GaugeMetricFamily | CounterMetricFamily], name: str, what: str, label: str, values: Mapping[str, float]
) -> Metric:
    """A metric with one label."""
    family = kind(f"gateway_{name}", what, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family


def _histogram(name: str, what: str, label: str, values: Mapping[str, Durations]) -> Metric:
    family = HistogramMetricFamily(f"gateway_{name}", what, labels=[label])
    for of, durations in sorted(values.items()):
        family.add_metric([of], durations.buckets(), durations.milliseconds / 1000)
    return family


def _age(at: datetime | None, now: datetime) -> float | None:
    return max((now - at).total_seconds(), 0.0) if at else None


def daemons(now: datetime) -> Iterator[Metric]:
    """The processes, by their heartbeats."""
    beats = list(Heartbeat.objects.filter(role__in=DAEMONS))
    beats = [beat for beat in beats if now - beat.beat_at <= STALE_AFTER]
    living = Counter(beat.role for beat in beats)
    ages = {role: (now - max(beat.beat_at for beat in beats if beat.role == role)).total_seconds() for role in living}
    yield _labelled(
        GaugeMetricFamily,
        "processes",
        "Processes that have given a sign of life lately.",
        "role",
        {role: living[role] for role in (LISTENER, SERVER)},
    )
    yield _labelled(
        GaugeMetricFamily,
        "heartbeat_age_seconds",
        "Since the last sign of life of any living process.",
        "role",
        ages,
    )
    yield from connection_state(beats, now)
    associations = [beat.details.get("associations") or 0 for beat in beats if beat.role == SERVER]
    yield from _gauge("associations", "Associations of modalities that are open now.", sum(associations))


def connection_state(beats: Iterable[Heartbeat], now: datetime) -> Iterator[Metric]:
    """How the best of the listeners stands."""
    relay = relay_part(beats, now, None)
    state = relay.state or "absent"
    yield from _gauge("relay_connected", "1 when a listener is online at Azure Relay.", state == "online")
    yield _labelled(
        GaugeMetricFamily,
        "relay_state",
        "1 for the state of the best listener, 0 for the others.",
        "state",
        {each: each == state for each in RELAY_STATES},
    )
    last_echo, milliseconds = relay.last_echo_at, relay.last_echo_ms
    yield from _gauge("relay_last_echo_age_seconds", "Since an echo came through the relay.", _age(last_echo, now))
    took = None if milliseconds is None else milliseconds / 1000
    yield from _gauge("relay_echo_round_trip_seconds", "How long the last echo took.", took)


def actions(found: Actions, now: datetime) -> Iterator[Metric]:
    """What Manage has asked for."""
    outcomes = CounterMetricFamily(
        "gateway_actions", "Actions by type and outcome, each try once.", labels=["action_type", "outcome"]
    )
    for kind, count in sorted(found.outcomes.items()):
        outcomes.add_metric(kind, count)
    yield outcomes
    failures = {code.value: 0 for code in ErrorCode}  # those without any, too: a first one is seen as an increase
    for kind, count in found.outcomes.items():
        if kind.outcome in failures:
            failures[kind.outcome] += count
    yield _labelled(CounterMetricFamily, "action_failures", "Actions that failed, by code.", "code", failures)
    yield _histogram(
        "action_duration_seconds", "From the frame to its reply, by type of action.", "action_type", found.durations
    )
    resends = {answer.value: found.resends[answer.value] for answer in Resend.Answer}
    yield _labelled(CounterMetricFamily, "action_resends", "Actions that came again, by the answer.", "answer", resends)
    last = ReceivedAction.objects.order_by("-received_at").values_list("received_at", flat=True).first()
    yield from _gauge("last_action_age_seconds", "Since the last action came.", _age(last, now))


def queries(now: datetime) -> Iterator[Metric]:
    """What modalities have asked for."""
    outcomes = CounterMetricFamily(
        "gateway_queries", "Worklist queries by AE title and outcome.", labels=["ae_title", "outcome"]
    )
    known = list(Modality.objects.values_list("ae_title", flat=True))
    rows: Counter[str] = Counter(dict.fromkeys((*known, OTHERS), 0))
    durations: dict[str, Durations] = defaultdict(Durations)
    counts: Counter[tuple[str, str]] = Counter()
    last: dict[str, datetime] = {}
    for tally in QueryTally.objects.filter(ae_title__in=(*known, "")):
        title = tally.ae_title or OTHERS
        counts[title, tally.outcome] += tally.queries
        rows[title] += tally.rows
        durations[title].add(tally.at_most_ms, tally.queries, tally.milliseconds)
        last[title] = max(last.get(title, tally.last_at), tally.last_at)
    for labels, count in sorted(counts.items()):
        outcomes.add_metric(labels, count)
    yield outcomes
    yield _labelled(CounterMetricFamily, "query_rows", "Items that were shown to modalities.", "ae_title", rows)
    yield _histogram(
        "query_duration_seconds", "From the query to its last response, by AE title.", "ae_title", durations
    )
    ages = {title: (now - at).total_seconds() for title, at in sorted(last.items())}
    yield _labelled(GaugeMetricFamily, "last_query_age_seconds", "Since a modality last asked.", "ae_title", ages)


def items(now: datetime) -> Iterator[Metric]:
    """The worklist: today's, and all that is still to be done."""
    today = WorklistItem.objects.order_by().filter(scheduled_date=timezone.localtime(now).date())
    counts = dict(today.values_list("status").annotate(found=Count("*")))
    by_status = {status.value: counts.get(status.value, 0) for status in ItemStatus}
    yield _labelled(GaugeMetricFamily, "items_today", "Items of today by status.", "status", by_status)
    yield from _gauge("items_open", "Items of any day that are not imaged yet.", WorklistItem.objects.open().count())
    unshowable = ItemAlarm.objects.of_open_items().values("item").distinct().count()
    yield from _gauge("items_unshowable", "Open items that no modality can be shown: women are missing.", unshowable)


def reports(now: datetime) -> Iterator[Metric]:
    """What modalities have reported (MPPS)."""
    reasons = [reason.value for reason in MppsException.Reason]
    exceptions = MppsException.objects.order_by()
    ever = dict(exceptions.values_list("reason").annotate(found=Count("*")))
    still = dict(exceptions.open().values_list("reason").annotate(found=Count("*")))
    yield _labelled(
        CounterMetricFamily,
        "mpps_exceptions",
        "MPPS exceptions by reason.",
        "reason",
        {reason: ever.get(reason, 0) for reason in reasons},
    )
    yield _labelled(
        GaugeMetricFamily,
        "mpps_exceptions_open",
        "MPPS exceptions that nobody has dealt with, by reason.",
        "reason",
        {reason: still.get(reason, 0) for reason in reasons},
    )
    alarms = still.get(MppsException.Reason.WRONG_PATIENT, 0)
    yield from _gauge("wrong_patient_alarms", "Reports that may be about a wrong patient, still open.", alarms)
    in_progress = PerformedProcedureStep.objects.filter(status=ItemStatus.IN_PROGRESS).count()
    yield from _gauge("mpps_steps_in_progress", "Performed steps without an end.", in_progress)


def outbox(now: datetime) -> Iterator[Metric]:
    """Changes of state that Manage has to fetch. Lag is the age of the oldest that was never asked beyond."""
    newest = ItemChange.objects.aggregate(Max("number"))["number__max"] or 0
    yield CounterMetricFamily("gateway_outbox_changes", "The number of the newest change.", value=newest)
    reader = OutboxReader.objects.first()
    if reader is None:
        return
    waiting = ItemChange.objects.after(reader.number)
    oldest = waiting.values_list("at", flat=True).first()
    yield from _gauge("outbox_waiting_changes", "Changes that Manage has not fetched.", waiting.order_by().count())
    yield from _gauge("outbox_lag_seconds", "Age of the oldest of them; 0 without any.", _age(oldest, now) or 0.0)
    yield from _gauge(
        "outbox_last_poll_age_seconds", "Since Manage last asked for changes.", _age(reader.asked_at, now)
    )


class GatewayCollector(Collector):
    """Everything, at each scrape. Without a database it says that, and no more."""

    def __init__(self) -> None:
        self._remembered = Remembered()

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        build = GaugeMetricFamily("gateway_build_info", "1, with the gateway's version.", labels=["version"])
        build.add_metric([version()], 1)
        yield build
        try:
            found = list(self._out_of_the_database(timezone.now()))
        except UNAVAILABLE:
            found = []
        yield from _gauge("database_up", "1 when the database answers.", bool(found))
        yield from found

    def _out_of_the_database(self, now: datetime) -> Iterator[Metric]:
        yield from daemons(now)
        yield from actions(self._remembered.actions(), now)
        for family in (queries, items, reports, outbox):
            yield from family(now)


# The page ---------------------------------------------------------------------------------------------------------


@cache
def registry() -> CollectorRegistry:
    """This process's, which remembers the last count. What prometheus_client tells of Python itself is not in it: it
    would be of the web server alone."""
    made = CollectorRegistry(auto_describe=False)
    made.register(GatewayCollector())
    return made


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The metrics, for this machine and METRICS_ALLOWED_NETWORKS; 403 for anybody else."""
    if not may_read(str(request.META.get("REMOTE_ADDR", ""))):
        refusal = "Metrics are for this machine and METRICS_ALLOWED_NETWORKS\n"
        return HttpResponse(refusal, status=403, content_type="text/plain")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry()), content_type=content_type)


def may_read(address: str) -> bool:
    """Whether somebody at this address may."""
    try:
        asker = _plain(ip_address(address))
    except ValueError:
        return False
    return asker.is_loopback or any(asker in ip_network(network) for network in settings.METRICS_ALLOWED_NETWORKS)


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that came in over IPv6, as itself."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
