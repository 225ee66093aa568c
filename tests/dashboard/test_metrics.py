"""What Prometheus is told."""

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest

from core.contract import ActionRefused, ErrorCode, GatewayAction, Reply
from core.heartbeat import STALE_AFTER
from core.models import Heartbeat
from dashboard.metrics import CACHE_SECONDS, CachedTotals, GatewayCollector, may_read, registry
from dicom.models import Modality
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction
from relay.reprocessing import execute_again
from tests.factories import create, payload
from worklist.models import (
    ItemAlarm,
    ItemChange,
    MppsException,
    OutboxReader,
    PerformedProcedureStep,
    QueryTally,
    WorklistQuery,
)

NAME, NUMBER = "SECRETARY^ZOË", "9990123456"


class Gateway:
    """A dispatcher whose one action fails as often as it is told to."""

    def __init__(self) -> None:
        self.fails_with: Exception | None = None
        self.dispatcher = Dispatcher({"worklist.create_item": self.do}, {})
        self.content = payload(participant__name=NAME, participant__nhs_number=NUMBER)

    def do(self, action: GatewayAction) -> Reply:
        """Done, or not."""
        if self.fails_with:
            raise self.fails_with
        return {"status": "created", "action_id": action.action_id}

    def send(self, action_id: str) -> None:
        """One action."""
        self.dispatcher.dispatch(json.dumps({**self.content, "action_id": action_id}), "test#1")


def beat(role: str, state: str, seconds_ago: float = 0, **details: Any) -> None:
    """A heartbeat."""
    at = timezone.now() - timedelta(seconds=seconds_ago)
    times = {"state_since": at, "started_at": at, "beat_at": at}
    Heartbeat.objects.create(
        role=role, instance=f"host:{Heartbeat.objects.count()}", state=state, details=details, **times
    )


def action(outcome: str = "created", duration_ms: int = 12, **changes: Any) -> ReceivedAction:
    """A row as the dispatcher leaves it."""
    values = {"action_type": "worklist.create_item", "received_at": timezone.now(), "is_final": True}
    return ReceivedAction.objects.create(outcome=outcome, duration_ms=duration_ms, **(values | changes))


def query(title: str = "MAMMO1", outcome: str = "answered", duration_ms: int = 30, delivered: int = 2) -> None:
    """A query, kept and counted."""
    at = timezone.now()
    values: dict[str, Any] = {"calling_ae_title": title, "outcome": outcome, "duration_ms": duration_ms}
    QueryTally.objects.add([WorklistQuery.objects.create(asked_at=at, delivered=delivered, **values)])


def exception(reason: MppsException.Reason, **changes: Any) -> MppsException:
    """One about a step of its own."""
    uid = f"2.25.{PerformedProcedureStep.objects.count() + 1}"
    step = PerformedProcedureStep.objects.create(sop_instance_uid=uid, patient_id=NUMBER, data_set="{}")
    return MppsException.objects.create(step=step, reason=reason, **changes)


def everything_there_is() -> None:
    """Something of each thing that is counted."""
    echo_at = timezone.now().isoformat()
    beat("relay_listener", "online", online_since=echo_at, last_echo_at=echo_at, last_echo_ms=40)
    beat("mwl_scp", "listening", associations=3)
    Modality.objects.create(ae_title="MAMMO1")
    action()
    query()
    item = create(scheduled_date=timezone.localdate(), patient_name=NAME, patient_id=NUMBER)
    exception(MppsException.Reason.WRONG_PATIENT, item=item)
    ItemAlarm.objects.create(item=item, attribute="PatientName", first_at=timezone.now(), last_at=timezone.now())
    OutboxReader.objects.note(0)
    ItemChange.objects.create(item=item, status="IN PROGRESS")


def sample(name: str, **labels: str) -> float | None:
    """The value of one sample now."""
    fresh = CollectorRegistry(auto_describe=False)
    fresh.register(GatewayCollector())
    return fresh.get_sample_value(f"gateway_{name}", labels)


@pytest.mark.django_db
class TestProcesses:
    def test_a_listener_that_is_online_is_connected(self) -> None:
        beat("relay_listener", "offline")
        beat("relay_listener", "online", last_echo_ms=250)
        assert sample("relay_connected") == sample("relay_state", state="online") == 1
        assert sample("relay_state", state="offline") == 0
        assert sample("processes", role="relay_listener") == 2
        assert sample("relay_echo_round_trip_seconds") == 0.25

    @pytest.mark.parametrize(("echo", "possible"), [("", 1), ("here", 1), ("missed", 1), ("forbidden", 0), ("off", 0)])
    def test_whether_an_echo_can_come_at_all_is_known(self, echo: str, possible: int) -> None:
        assert sample("relay_echo_possible") is None
        beat("relay_listener", "online", echo=echo)
        assert sample("relay_echo_possible") == possible

    def test_one_that_has_been_silent_for_long_is_absent(self) -> None:
        beat("relay_listener", "online", seconds_ago=STALE_AFTER.seconds + 1)
        assert (sample("relay_connected"), sample("relay_state", state="absent")) == (0, 1)
        assert sample("processes", role="relay_listener") == 0
        assert sample("heartbeat_age_seconds", role="relay_listener") is None

    def test_the_associations_of_all_scps_are_counted(self) -> None:
        beat("mwl_scp", "listening", associations=2)
        beat("mwl_scp", "listening", associations=3)
        assert sample("associations") == 5


@pytest.mark.django_db
class TestActions:
    def test_are_counted_by_type_and_outcome(self) -> None:
        action()
        action()
        action("not_found", action_type="worklist.update_status")
        assert sample("actions_total", action_type="worklist.create_item", outcome="created") == 2
        assert sample("actions_total", action_type="worklist.update_status", outcome="not_found") == 1
        assert sample("action_failures_total", code="not_found") == 1
        assert sample("action_failures_total", code="internal_error") == 0

    def test_of_test_items_are_no_failures_of_real_work(self) -> None:
        action("invalid_action", action_type="worklist.create_test_item")
        assert sample("actions_total", action_type="worklist.create_test_item", outcome="invalid_action") == 1
        assert sample("action_failures_total", code="invalid_action") == 0

    def test_durations_are_a_histogram(self) -> None:
        for milliseconds in (0, 5, 6, 400, 90_000):
            action(duration_ms=milliseconds)
        buckets = {
            limit: sample("action_duration_seconds_bucket", action_type="worklist.create_item", le=limit)
            for limit in ("0.005", "0.01", "0.5", "30.0", "+Inf")
        }
        assert buckets == {"0.005": 2, "0.01": 3, "0.5": 4, "30.0": 4, "+Inf": 5}
        assert sample("action_duration_seconds_sum", action_type="worklist.create_item") == 90.411

    def test_a_failure_that_was_mended_stays_counted(self) -> None:
        gateway = Gateway()
        seen = []
        for fails_with in (RuntimeError(NAME), RuntimeError(NAME), None, None):
            gateway.fails_with = fails_with
            gateway.send("a1")
            created = sample("actions_total", action_type="worklist.create_item", outcome="created")
            seen.append((sample("action_failures_total", code="internal_error"), created))
        assert seen == [(1, None), (2, None), (2, 1), (2, 1)]
        assert sample("action_resends_total", answer="retried") == 2
        assert sample("action_resends_total", answer="repeated") == 1
        assert sample("action_duration_seconds_count", action_type="worklist.create_item") == 1

    def test_no_counter_goes_back_whatever_comes(self) -> None:
        gateway = Gateway()
        before: dict[tuple[str, str], float] = {}
        refusal = ActionRefused(ErrorCode.NOT_FOUND, "No.")
        for number, failure in enumerate((None, RuntimeError(), refusal, None, RuntimeError(), None)):
            gateway.fails_with = failure
            for action_id in ("a", "b", f"c{number}"):
                gateway.send(action_id)
            now = counters()
            assert {name: value for name, value in before.items() if now[name] < value} == {}
            before = now

    def test_what_a_person_had_executed_again_stays_counted_as_what_it_was(self) -> None:
        gateway = Gateway()
        gateway.fails_with = ActionRefused(ErrorCode.NOT_FOUND, "No.")
        gateway.send("a1")
        before = counters()
        for fails_with in (RuntimeError(), gateway.fails_with, None):
            gateway.fails_with = fails_with
            execute_again(gateway.dispatcher, ReceivedAction.objects.get(action_id="a1").pk, "admin:jane")
            now = counters()
            assert {name: value for name, value in before.items() if now[name] < value} == {}
            before = now
        assert sample("action_failures_total", code="not_found") == 2
        assert sample("action_failures_total", code="internal_error") == 1
        assert sample("actions_total", action_type="worklist.create_item", outcome="created") == 1

    def test_the_count_is_remembered_for_a_while(self) -> None:
        moment = [100.0]
        remembered = CachedTotals(clock=lambda: moment[0])
        assert not remembered.actions().outcomes
        action()
        assert not remembered.actions().outcomes
        moment[0] += CACHE_SECONDS + 1
        assert remembered.actions().outcomes.total() == 1


def counters() -> dict[tuple[str, str], float]:
    """Every sample that may only grow."""
    fresh = CollectorRegistry(auto_describe=False)
    fresh.register(GatewayCollector())
    return {
        (each.name, str(each.labels)): each.value
        for family in fresh.collect()
        if family.type in ("counter", "histogram")
        for each in family.samples
    }


@pytest.mark.django_db
class TestQueries:
    def test_are_counted_by_ae_title_and_outcome(self) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        query(duration_ms=30, delivered=2)
        query(duration_ms=3000, delivered=5)
        query(outcome="failed")
        assert sample("queries_total", ae_title="MAMMO1", outcome="answered") == 2
        assert sample("queries_total", ae_title="MAMMO1", outcome="failed") == 1
        assert sample("query_rows_total", ae_title="MAMMO1") == 9
        assert sample("query_duration_seconds_bucket", ae_title="MAMMO1", le="0.05") == 2
        assert sample("query_duration_seconds_sum", ae_title="MAMMO1") == 3.06
        age = sample("last_query_age_seconds", ae_title="MAMMO1")
        assert age is not None and age < 60  # noqa: PT018

    def test_ae_titles_that_nobody_has_configured_are_one_label(self) -> None:
        for number in range(5):
            query(f"SCANNER{number}")
        assert sample("queries_total", ae_title="other", outcome="answered") == 5
        assert "SCANNER" not in generate_latest(registry()).decode()

    def test_of_test_machines_are_not_counted(self) -> None:
        Modality.objects.create(ae_title="TESTMACHINE", is_test_machine=True)
        query("TESTMACHINE")
        assert sample("queries_total", ae_title="TESTMACHINE", outcome="answered") is None
        assert sample("queries_total", ae_title="other", outcome="answered") is None
        assert "TESTMACHINE" not in generate_latest(registry()).decode()

    def test_those_that_are_forgotten_stay_counted(self) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        query()
        WorklistQuery.objects.delete_older_than(timedelta(0))
        assert not WorklistQuery.objects.exists()
        assert sample("queries_total", ae_title="MAMMO1", outcome="answered") == 1


@pytest.mark.django_db
class TestWorklist:
    def test_todays_items_are_counted_by_status(self) -> None:
        create(scheduled_date=timezone.localdate())
        create(scheduled_date=timezone.localdate(), status="COMPLETED")
        create(scheduled_date=timezone.localdate() - timedelta(days=1))
        create(scheduled_date=timezone.localdate(), is_test=True)
        assert sample("items_today", status="SCHEDULED") == sample("items_today", status="COMPLETED") == 1
        assert sample("items_today", status="IN PROGRESS") == 0
        assert sample("items_open") == 2

    def test_an_item_that_cannot_be_shown_is_counted_once(self) -> None:
        today = timezone.localdate()
        for item in (create(scheduled_date=today), create(scheduled_date=today - timedelta(days=1))):
            for attribute in ("PatientName", "PatientID"):
                ItemAlarm.objects.add({item.pk: attribute}, timezone.now())
        assert sample("items_unshowable") == 1, "yesterday's clinic is over"

    def test_a_wrong_patient_is_an_alarm_until_somebody_deals_with_it(self) -> None:
        wrong = exception(MppsException.Reason.WRONG_PATIENT)
        assert sample("wrong_patient_alarms") == sample("mpps_exceptions_open", reason="wrong_patient") == 1
        MppsException.objects.filter(pk=wrong.pk).update(resolution="dismissed")
        assert sample("wrong_patient_alarms") == sample("mpps_exceptions_open", reason="wrong_patient") == 0
        assert sample("mpps_exceptions_total", reason="wrong_patient") == 1
        assert sample("mpps_steps_in_progress") == 1


@pytest.mark.django_db
class TestOutbox:
    def change(self, at: datetime) -> int:
        """A change of an item's state."""
        return ItemChange.objects.create(item=create(), status="COMPLETED", at=at).number

    def test_lag_is_the_age_of_what_nobody_has_asked_beyond(self) -> None:
        now = timezone.now()
        first, _, last = (self.change(now - timedelta(seconds=age)) for age in (900, 600, 300))
        OutboxReader.objects.note(first)
        assert sample("outbox_waiting_changes") == 2
        assert sample("outbox_lag_seconds") == pytest.approx(600, abs=30)
        OutboxReader.objects.note(last)
        assert (sample("outbox_waiting_changes"), sample("outbox_lag_seconds")) == (0, 0)

    def test_before_anybody_has_asked_there_is_no_lag(self) -> None:
        number = self.change(timezone.now())
        assert sample("outbox_lag_seconds") is None
        assert sample("outbox_changes_total") == number


class TestAccess:
    @pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
    def test_this_machine_always_may(self, address: str) -> None:
        assert may_read(address)

    @pytest.mark.parametrize("address", ["10.1.2.3", "fe80::1", "", "unix", "10.1.2.3, 127.0.0.1"])
    def test_others_may_not(self, address: str) -> None:
        assert not may_read(address)

    @pytest.mark.parametrize(("address", "may"), [("10.1.2.9", True), ("::ffff:10.1.2.9", True), ("10.1.3.9", False)])
    def test_networks_that_are_named_may(self, settings: Any, address: str, may: bool) -> None:
        settings.METRICS_ALLOWED_NETWORKS = ["10.1.2.0/24", "fd00::/8"]
        assert may_read(address) is may

    def test_whoever_may_not_is_told_so(self, client: Client) -> None:
        response = client.get("/metrics", REMOTE_ADDR="10.1.2.3")
        assert (response.status_code, b"METRICS_ALLOWED_NETWORKS" in response.content) == (403, True)

    @pytest.mark.django_db
    def test_the_page_is_what_prometheus_reads_and_has_nobody_in_it(self, client: Client) -> None:
        registry.cache_clear()
        everything_there_is()
        response = client.get("/metrics")
        text = response.content.decode()
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert "# TYPE gateway_actions_total counter" in text
        assert [secret for secret in ("SECRETARY", "ZOË", NUMBER, "\\u00cb") if secret in text] == []

    @pytest.mark.django_db
    def test_openmetrics_is_spoken_too(self, client: Client) -> None:
        response = client.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
        assert response.content.endswith(b"# EOF\n")
