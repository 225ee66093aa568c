"""Serve `/metrics` in Prometheus's text format, from the database at each scrape.

Nothing is counted in this process, because the listener, the worklist server and several web servers would each know
only a part. Counters are totals of rows that are never deleted, so they only grow; only refused images, which leave no
row, are counted by the server that refuses them. No label holds personal data. AE
titles in labels are those of configured modalities, because anybody can make up others.
"""

import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple

from django.conf import settings
from django.db.models import Count, Max, Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from core.concerns import open_concerns
from core.contract import TEMPORARY_ERRORS, ActionType, ErrorCode, ItemStatus
from core.database import UNAVAILABLE
from core.heartbeat import DAEMONS, STALE_AFTER
from core.instance import version
from dashboard.daemons import RELAY_WORDS, SERVER, heartbeats, relay_listener
from dashboard.images import RECEIVER, are_images_on, free_bytes_for_images, received_images
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

#: How long the totals over all actions are kept before they are counted again.
CACHE_SECONDS = 15.0
#: Upper bounds of the time from C-STORE to Manage's 201, in milliseconds; the last is for all longer ones.
UPLOAD_LIMITS = (1000, 2000, 5000, 10_000, 30_000, 60_000, 300_000, 1_800_000, sys.maxsize)
BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
#: An image may be marked as taken a little before the others can see it.
NOT_YET_COMMITTED = timedelta(minutes=1)
#: The label of all AE titles that are not configured.
OTHERS = "other"
#: The states of a listener, and `absent` when none is running.
RELAY_STATES = tuple(str(state) or "absent" for state in RELAY_WORDS)


# Totals over all actions ---------------------------------------------------------------------------------------------


class Durations:
    """How many actions or queries took how long, for a histogram."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.milliseconds = 0

    def add(self, limit: int, count: int, milliseconds: int) -> None:
        """Add `count` durations of at most `limit` (one of DURATIONS), which took `milliseconds` in total."""
        self.counts[limit] += count
        self.milliseconds += milliseconds

    def buckets(self, limits: Sequence[int] = DURATIONS) -> list[tuple[str, float]]:
        """Return Prometheus's cumulative buckets: upper bound in seconds, and how many took no longer."""
        total, found = 0, []
        for limit in limits:
            total += self.counts[limit]
            found.append(("+Inf" if limit == limits[-1] else str(limit / 1000), float(total)))
        return found


class UploadTimes:
    """How long the images took that Manage has ever taken. Only those that are new since the last scrape are read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled, self._settled_until = Durations(), BEGINNING

    def until(self, now: datetime) -> Durations:
        """Return the durations of all images that were taken until now."""
        with self._lock:
            until = max(now - NOT_YET_COMMITTED, self._settled_until)
            self._add(self._settled, self._settled_until, until)
            self._settled_until = until
            found = Durations()
            found.counts, found.milliseconds = self._settled.counts.copy(), self._settled.milliseconds
        self._add(found, until, now)
        return found

    def _add(self, durations: Durations, after: datetime, until: datetime) -> None:
        taken = received_images().filter(is_test=False, uploaded_at__gt=after, uploaded_at__lte=until).order_by()
        for received_at, uploaded_at in taken.values_list("received_at", "uploaded_at").iterator():
            took = max(int((uploaded_at - received_at).total_seconds() * 1000), 0)
            durations.add(next(limit for limit in UPLOAD_LIMITS if took <= limit), 1, took)


class ActionOutcome(NamedTuple):
    """The labels of `gateway_actions_total`."""

    action_type: str
    outcome: str


@dataclass
class ActionTotals:
    """Totals over all actions that were ever received."""

    outcomes: Counter[ActionOutcome] = field(default_factory=Counter)
    durations: dict[str, Durations] = field(default_factory=lambda: defaultdict(Durations))
    resends: Counter[str] = field(default_factory=Counter)


def count_actions() -> ActionTotals:
    """Count all actions in one pass over an index, then the resends and reprocessings, which are few.

    An action that failed temporarily and was tried again has a new outcome. Each earlier try still counts as the
    failure that it was; otherwise a counter would decrease. For the same reason durations count final answers only.
    """
    found = ActionTotals()
    rows = ReceivedAction.objects.order_by().values_list("action_type", "outcome", "is_final", "duration_ms")
    for action_type, outcome, is_final, duration, count in rows.annotate(found=Count("*")):
        found.outcomes[ActionOutcome(action_type, outcome)] += count
        if is_final:
            found.durations[action_type].add(at_most(duration), count, duration * count)
    resends = Resend.objects.order_by()
    retried = resends.filter(answer=Resend.Answer.RETRIED).values_list("action__action_type").annotate(found=Count("*"))
    for action_type, count in retried:
        found.outcomes[ActionOutcome(action_type, ErrorCode.INTERNAL_ERROR.value)] += count
    # No action's row has these tries: a reprocessing overwrote the outcome, or failed temporarily itself.
    reprocessings = Reprocessing.objects.order_by().values_list("action__action_type", "outcome_before", "outcome")
    for action_type, before, outcome, count in reprocessings.annotate(found=Count("*")):
        found.outcomes[ActionOutcome(action_type, outcome if outcome in TEMPORARY_ERRORS else before)] += count
    found.resends.update(dict(resends.values_list("answer").annotate(found=Count("*"))))
    return found


class CachedTotals:
    """The totals over all actions, at most CACHE_SECONDS old. Simultaneous scrapes wait for a single count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._actions: ActionTotals | None = None
        self._counted_at = 0.0

    def actions(self) -> ActionTotals:
        """Return the totals, counting them again if they are too old."""
        with self._lock:
            if self._actions is None or self._clock() - self._counted_at > CACHE_SECONDS:
                self._actions, self._counted_at = count_actions(), self._clock()
            return self._actions


# Families: each function yields the metrics of one subject -----------------------------------------------------------


def _gauge(name: str, what: str, value: float | None) -> Iterator[Metric]:
    """Yield a gauge without labels, or nothing if the value is None."""
    if value is not None:
        yield GaugeMetricFamily(f"gateway_{name}", what, value=value)


def _labelled(
    kind: type[GaugeMetricFamily | CounterMetricFamily], name: str, what: str, label: str, values: Mapping[str, float]
) -> Metric:
    family = kind(f"gateway_{name}", what, labels=[label])
    for label_value, value in values.items():
        family.add_metric([label_value], value)
    return family


def _histogram(name: str, what: str, label: str, values: Mapping[str, Durations]) -> Metric:
    family = HistogramMetricFamily(f"gateway_{name}", what, labels=[label])
    for label_value, durations in sorted(values.items()):
        family.add_metric([label_value], durations.buckets(), durations.milliseconds / 1000)
    return family


def _age(at: datetime | None, now: datetime) -> float | None:
    return max((now - at).total_seconds(), 0.0) if at else None


def concerns(now: datetime) -> Iterator[Metric]:
    """Yield what needs attention: the same concerns as on the live page."""
    counts: Counter[tuple[str, str]] = Counter()
    for concern in open_concerns(now):
        counts[concern.key, concern.severity] += concern.count
    family = GaugeMetricFamily(
        "gateway_concerns", "Open cases of what needs attention.", labels=["concern", "severity"]
    )
    for labels, count in counts.items():
        family.add_metric(labels, count)
    yield family


def daemons(now: datetime) -> Iterator[Metric]:
    """Yield the state of the daemons, from their heartbeats."""
    beats = [beat for beat in heartbeats() if now - beat.beat_at <= STALE_AFTER]
    running = Counter(beat.role for beat in beats)
    ages = {role: (now - max(beat.beat_at for beat in beats if beat.role == role)).total_seconds() for role in running}
    processes = {role: running[role] for role in DAEMONS}
    yield _labelled(GaugeMetricFamily, "processes", "Processes with a recent heartbeat.", "role", processes)
    yield _labelled(GaugeMetricFamily, "heartbeat_age_seconds", "Since the latest heartbeat of any.", "role", ages)
    relay = relay_listener(beats, now)
    state = relay.state or "absent"
    states = {each: each == state for each in RELAY_STATES}
    yield from _gauge("relay_connected", "1 when a listener is online at Azure Relay.", state == "online")
    yield _labelled(
        GaugeMetricFamily, "relay_state", "1 for the state of the best listener, 0 for the others.", "state", states
    )
    yield from _gauge("relay_echo_possible", "1 when the listener sends echoes and is allowed to.", relay.can_echo)
    echo_age = _age(relay.last_echo_at, now)
    yield from _gauge("relay_last_echo_age_seconds", "Since an echo came back through the relay.", echo_age)
    took = None if relay.last_echo_ms is None else relay.last_echo_ms / 1000
    yield from _gauge("relay_echo_round_trip_seconds", "How long the last echo took.", took)
    associations = sum(beat.details.get("associations") or 0 for beat in beats if beat.role == SERVER)
    yield from _gauge("associations", "Open associations with modalities.", associations)


def actions(found: ActionTotals, now: datetime) -> Iterator[Metric]:
    """Yield what Manage has sent."""
    outcomes = CounterMetricFamily(
        "gateway_actions", "Actions by type and outcome; each try counts once.", labels=["action_type", "outcome"]
    )
    for kind, count in sorted(found.outcomes.items()):
        outcomes.add_metric(kind, count)
    yield outcomes
    # Include codes without failures: the first failure must be an increase.
    failures = {code.value: 0 for code in ErrorCode}
    for kind, count in found.outcomes.items():
        if kind.outcome in failures and kind.action_type != ActionType.CREATE_TEST_ITEM:
            failures[kind.outcome] += count
    yield _labelled(
        CounterMetricFamily,
        "action_failures",
        "Actions that failed, by code; not those for test items.",
        "code",
        failures,
    )
    yield _histogram(
        "action_duration_seconds", "From the frame to its reply, by action type.", "action_type", found.durations
    )
    resends = {answer.value: found.resends[answer.value] for answer in Resend.Answer}
    yield _labelled(CounterMetricFamily, "action_resends", "Actions received again, by answer.", "answer", resends)
    last = ReceivedAction.objects.order_by("-received_at").values_list("received_at", flat=True).first()
    yield from _gauge("last_action_age_seconds", "Since the last action was received.", _age(last, now))


def queries(now: datetime) -> Iterator[Metric]:
    """Yield the worklist queries of modalities; those of test machines are no real work."""
    outcomes = CounterMetricFamily(
        "gateway_queries", "Worklist queries by AE title and outcome.", labels=["ae_title", "outcome"]
    )
    known = list(Modality.objects.filter(is_test_machine=False).values_list("ae_title", flat=True))
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
    yield _labelled(CounterMetricFamily, "query_rows", "Items sent to modalities.", "ae_title", rows)
    yield _histogram(
        "query_duration_seconds", "From the query to its last response, by AE title.", "ae_title", durations
    )
    ages = {title: (now - at).total_seconds() for title, at in sorted(last.items())}
    yield _labelled(GaugeMetricFamily, "last_query_age_seconds", "Since the modality's last query.", "ae_title", ages)


def items(now: datetime) -> Iterator[Metric]:
    """Yield today's items by status, and the open items of all days; test items are not counted."""
    patients = WorklistItem.objects.not_superseded().of_patients()
    today = patients.order_by().filter(scheduled_date=timezone.localtime(now).date())
    counts = dict(today.values_list("status").annotate(found=Count("*")))
    by_status = {status.value: counts.get(status.value, 0) for status in ItemStatus}
    yield _labelled(GaugeMetricFamily, "items_today", "Today's items by status.", "status", by_status)
    yield from _gauge(
        "items_open", "Items of any day that are not yet completed or discontinued.", patients.open().count()
    )
    alarms = ItemAlarm.objects.not_shown().of_open_items_from(timezone.localtime(now).date())
    unshowable = alarms.values("item").distinct().count()
    yield from _gauge("items_unshowable", "Open items of today or later that cannot be sent to a modality.", unshowable)


def reports(now: datetime) -> Iterator[Metric]:
    """Yield what modalities have reported (MPPS)."""
    reasons = [reason.value for reason in MppsException.Reason]
    exceptions = MppsException.objects.of_patients().order_by()
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
        "Open MPPS exceptions by reason.",
        "reason",
        {reason: still.get(reason, 0) for reason in reasons},
    )
    alarms = still.get(MppsException.Reason.WRONG_PATIENT, 0)
    yield from _gauge("wrong_patient_alarms", "Open MPPS exceptions about a wrong patient.", alarms)
    steps = PerformedProcedureStep.objects.exclude(links__item__is_test=True)
    in_progress = steps.filter(status=ItemStatus.IN_PROGRESS).count()
    yield from _gauge("mpps_steps_in_progress", "Performed procedure steps in progress.", in_progress)


def outbox(now: datetime) -> Iterator[Metric]:
    """Yield the changes that Manage has not fetched. The lag is the age of the oldest of them."""
    newest = ItemChange.objects.aggregate(Max("number"))["number__max"] or 0
    yield CounterMetricFamily("gateway_outbox_changes", "The number of the latest change.", value=newest)
    reader = OutboxReader.objects.first()
    if reader is None:
        return
    waiting = ItemChange.objects.after(reader.number)
    oldest = waiting.values_list("at", flat=True).first()
    yield from _gauge("outbox_waiting_changes", "Changes that Manage has not fetched.", waiting.order_by().count())
    yield from _gauge("outbox_lag_seconds", "Age of the oldest of these changes, or 0.", _age(oldest, now) or 0.0)
    yield from _gauge(
        "outbox_last_poll_age_seconds", "Since Manage last asked for changes.", _age(reader.asked_at, now)
    )


class GatewayCollector(Collector):
    """Collect all metrics at each scrape. Without the database there are only two: its absence, and the version."""

    def __init__(self) -> None:
        self._totals, self._uploads = CachedTotals(), UploadTimes()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now; prometheus_client calls this at each scrape."""
        build = GaugeMetricFamily("gateway_build_info", "1, with the gateway's version.", labels=["version"])
        build.add_metric([version()], 1)
        yield build
        now = timezone.now()
        try:
            found = [*daemons(now), *actions(self._totals.actions(), now)]
            for family in (concerns, queries, items, reports, outbox):
                found += family(now)
            if are_images_on():
                found += refused_images(now)
                found += images(self._uploads.until(now), now)
        except UNAVAILABLE:
            found = []
        yield from _gauge("database_up", "1 when the database answers.", bool(found))
        yield from found


def refused_images(now: datetime) -> Iterator[Metric]:
    """Yield how many images the running servers have refused since they were started."""
    refused: Counter[str] = Counter(
        dict.fromkeys(("A700 disk", "A700 database", "A900 mismatch", "C000 unreadable"), 0)
    )
    for beat in heartbeats():
        if beat.role == RECEIVER and now - beat.beat_at <= STALE_AFTER:
            refused.update(beat.details.get("refused", {}))
    what = "C-STOREs that were refused, by status and reason."
    family = CounterMetricFamily("gateway_images_refused", what, labels=["status", "reason"])
    for status_and_reason, count in refused.items():
        family.add_metric(status_and_reason.split(), count)
    yield family


def images(uploads: Durations, now: datetime) -> Iterator[Metric]:
    """Yield the images that machines have sent; those of test items count only as received, with their bytes."""
    rows = received_images().order_by()
    totals = rows.aggregate(images=Count("*"), bytes=Sum("size"))
    yield CounterMetricFamily("gateway_images_received", "Images that machines have sent.", value=totals["images"])
    yield CounterMetricFamily("gateway_image_bytes", "Bytes of these images.", value=totals["bytes"] or 0)
    of_patients = rows.filter(is_test=False)
    by_state = dict(of_patients.values_list("state").annotate(found=Count("*")))
    states = {state: by_state.get(state, 0) for state, _ in rows.model._meta.get_field("state").choices or ()}
    yield _labelled(GaugeMetricFamily, "images", "Images by what became of them.", "state", states)
    failed = dict(of_patients.filter(state="failed").values_list("reason").annotate(found=Count("*")))
    reasons = {reason: failed.get(reason, 0) for reason, _ in rows.model._meta.get_field("reason").choices or ()}
    yield _labelled(
        GaugeMetricFamily, "images_failed", "Images that Manage does not get, by reason.", "reason", reasons
    )
    yield from _gauge("images_waiting", "Images that wait for Manage.", states["waiting"])
    waiting = of_patients.filter(state="waiting").order_by("received_at").values_list("received_at", flat=True)
    age = _age(waiting.first(), now) or 0.0
    yield from _gauge("images_oldest_waiting_seconds", "Age of the oldest of these, or 0.", age)
    yield CounterMetricFamily(
        "gateway_images_uploaded", "Images that Manage has taken.", value=by_state.get("uploaded", 0)
    )
    family = HistogramMetricFamily("gateway_image_upload_seconds", "From the C-STORE of an image to Manage's 201.")
    family.add_metric([], uploads.buckets(UPLOAD_LIMITS), uploads.milliseconds / 1000)
    yield family
    yield from _gauge("image_spool_free_bytes", "Free space on the disk of the images.", free_bytes_for_images())


# The page ------------------------------------------------------------------------------------------------------------


@cache
def registry() -> CollectorRegistry:
    """Return this process's registry, which keeps the cached totals.

    It leaves out prometheus_client's metrics about Python, which would describe the web server alone.
    """
    made = CollectorRegistry(auto_describe=False)
    made.register(GatewayCollector())
    return made


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to this machine and to METRICS_ALLOWED_NETWORKS; 403 to all others."""
    if not may_read(str(request.META.get("REMOTE_ADDR", ""))):
        refusal = "Only this machine and METRICS_ALLOWED_NETWORKS may read the metrics\n"
        return HttpResponse(refusal, status=403, content_type="text/plain")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return HttpResponse(encode(registry()), content_type=content_type)


def may_read(remote: str) -> bool:
    """Tell whether a client at this address may read the metrics."""
    try:
        address = ip_address(remote)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address  # an IPv4 client of an IPv6 socket
    return address.is_loopback or any(address in ip_network(network) for network in settings.METRICS_ALLOWED_NETWORKS)
