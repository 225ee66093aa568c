"""What needs attention: one table, which the page, the admin, `status`, `/metrics` and the health rule all render."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils import timezone
from django.utils.functional import Promise

from core.concerns import COUNTED, LISTED, Concern, Severity, is_healthy, open_concerns
from core.heartbeat import DAEMONS
from core.models import Heartbeat
from dashboard.snapshot import take_snapshot
from dashboard.viewer_permissions import PagePermission
from relay.models import ReceivedAction
from tests.dashboard.records import (
    configure_modality,
    item_of_today,
    perform,
    record_query,
    run_all_daemons,
    wrong_patient_exception,
)
from tests.dashboard.test_metrics import sample
from tests.factories import create
from worklist.models import ItemAlarm, MppsException, WorklistItem

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _both_daemons_work() -> None:
    run_all_daemons()


def received(outcome: str, **values: Any) -> ReceivedAction:
    """Record an action received just now."""
    return ReceivedAction.objects.create(outcome=outcome, payload="{}", **{"received_at": timezone.now(), **values})


def alarm(item: WorklistItem, attribute: str = "PatientName") -> None:
    """Record that an item could not be sent to a machine."""
    ItemAlarm.objects.create(item=item, attribute=attribute, first_at=timezone.now(), last_at=timezone.now())


def unknown_ae_title() -> None:
    """Record a query from an AE title that is not configured."""
    configure_modality()
    record_query("STRANGER", timezone.now())


def stop_the_listener() -> None:
    """Forget the heartbeats of all daemons."""
    Heartbeat.objects.all().delete()


def found() -> list[Concern]:
    """Return the open concerns."""
    return open_concerns(timezone.now())


def lines() -> list[str]:
    """Return the lines of all open concerns, as the live page shows them."""
    return [line.words for concern in found() for line in concern.lines()]


class TestConcerns:
    def test_a_wrong_patient_comes_first_and_is_a_problem(self) -> None:
        received("internal_error")
        wrong_patient_exception("ACC77")
        first, second = found()
        assert (first.severity, second.severity) == (Severity.PROBLEM, Severity.WARNING)
        assert "ACC77" in lines()[0]
        assert "internal error" in second.title

    def test_failed_actions_of_today_are_counted_by_error_code(self) -> None:
        received("not_found")
        received("not_found")
        received("created")
        received("not_found", received_at=timezone.now() - timedelta(days=2))
        received("invalid_action")
        assert lines() == [
            "2 actions from Manage failed today (not found)",
            "1 action from Manage failed today (invalid data)",
        ]

    def test_a_woman_who_is_not_on_the_lists_is_identified_by_accession_number_only(self) -> None:
        alarm(item_of_today(accession_number="ACC88", patient_name="SECRET^NAME"))
        (concern,) = found()
        assert (concern.key, concern.severity) == ("item_not_shown", Severity.PROBLEM)
        assert "ACC88" in lines()[0]
        assert "SECRET" not in repr(concern)

    def test_items_that_are_done_or_of_earlier_days_need_no_attention(self) -> None:
        alarm(item_of_today("COMPLETED"))
        alarm(create(scheduled_date=timezone.localdate() - timedelta(days=1)))
        assert found() == []

    def test_mpps_exceptions_are_counted_by_reason(self) -> None:
        for reason in ("unscheduled", "abandoned", "abandoned"):
            MppsException.objects.create(step=perform(None), reason=reason)
        assert [(each.count, each.title) for each in found()] == [
            (2, "2 reports from machines: abandoned: not ended after a day"),
            (1, "1 report from machines: unscheduled: the machine names no item"),
        ]

    def test_an_unknown_ae_title_needs_attention_once_a_modality_is_configured(self) -> None:
        record_query("STRANGER", timezone.now())
        assert found() == []
        configure_modality()
        assert "STRANGER" in lines()[0]

    def test_an_unknown_ae_title_needs_none_where_any_may_connect(self, settings: Any) -> None:
        settings.MWL_UNKNOWN_AE_TITLES = "accept"
        unknown_ae_title()
        assert found() == []

    def test_each_has_what_to_do_and_a_link(self) -> None:
        wrong_patient_exception()
        received("not_found")
        unknown_ae_title()
        assert len(found()) == 3
        assert all(concern.what_to_do and concern.link for concern in found())
        assert all(line.link for concern in found() for line in concern.lines())

    def test_the_address_of_a_page_is_looked_up_only_when_it_is_shown(self) -> None:
        """Looking it up imports every page, and those who show none find concerns, too."""
        wrong_patient_exception()
        received("not_found")
        unknown_ae_title()
        stop_the_listener()
        links = [link for each in found() for link in (each.link, *(one.link for one in each.latest))]
        assert len(links) == 10
        assert all(isinstance(link, Promise) for link in links)

    def test_every_link_leads_to_a_page_and_needs_a_permission_that_the_live_page_checks(
        self, admin_client: Client
    ) -> None:
        wrong_patient_exception()
        MppsException.objects.create(step=perform(None), reason="unknown_item")
        received("not_found")
        alarm(item_of_today())
        ItemAlarm.objects.raise_for(item_of_today(), ItemAlarm.Kind.REPAIRED, "PatientName", "shortened")
        unknown_ae_title()
        stop_the_listener()
        assert len(found()) == 6 + len(DAEMONS)
        every = [line for concern in found() for line in (*concern.lines(), *concern.latest)]
        links = {line.link for line in every} | {concern.link for concern in found()}
        assert {admin_client.get(link).status_code for link in links} == {200}
        permissions = {line.permission for line in every} | {concern.permission for concern in found()}
        assert permissions - {""} <= set(PagePermission)

    def test_of_many_cases_the_latest_are_listed_and_the_rest_counted(self) -> None:
        for number in range(LISTED + 2):
            wrong_patient_exception(f"ACC{number}")
        (concern,) = found()
        assert (len(concern.latest), concern.count) == (LISTED, LISTED + 2)
        assert lines()[-1] == "Wrong patient: 2 more"

    def test_counting_stops_at_a_limit(self) -> None:
        for _ in range(COUNTED + 1):
            received("not_found")
        assert lines() == [f"{COUNTED}+ actions from Manage failed today (not found)"]


class TestOneRuleOfHealth:
    @pytest.mark.parametrize(
        ("cause", "healthy"),
        [
            (lambda: None, True),
            (lambda: received("not_found"), True),
            (unknown_ae_title, True),
            (wrong_patient_exception, False),
            (lambda: alarm(item_of_today()), False),
            (stop_the_listener, False),
        ],
    )
    def test_page_and_status_and_health_agree(self, cause: Callable[[], object], healthy: bool) -> None:
        cause()
        assert is_healthy(found()) is healthy
        assert (take_snapshot().severity is not Severity.PROBLEM) is healthy
        if healthy:
            call_command("status")
        else:
            with pytest.raises(SystemExit, match="1"):
                call_command("status")

    @pytest.mark.parametrize(
        ("causes", "summary"),
        [
            ([], "Everything is working"),
            (["not_found"], "Working: 1 warning"),
            (["not_found", "internal_error"], "Working: 2 warnings"),
            (["not_found", "wrong_patient"], "Act now: 1 problem, 1 warning"),
        ],
    )
    def test_the_summary_counts_problems_and_warnings(self, causes: list[str], summary: str) -> None:
        for cause in causes:
            wrong_patient_exception() if cause == "wrong_patient" else received(cause)
        assert take_snapshot().summary == summary

    def test_metrics_have_the_same_concerns(self) -> None:
        received("not_found")
        received("internal_error")
        wrong_patient_exception()
        assert sample("concerns", concern="failed_actions", severity="warning") == 2
        assert sample("concerns", concern="wrong_patient", severity="problem") == 1
