"""The gateway's state at one moment: daemons, rooms, and what it costs to read."""

from datetime import date, time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.concerns import Severity
from core.heartbeat import STALE_AFTER
from core.models import Heartbeat
from dashboard.rooms import ANY_ROOM, Room, Stage, name_for_people
from dashboard.snapshot import take_snapshot
from relay.models import ReceivedAction
from tests.dashboard.records import (
    beat,
    configure_modality,
    deliver,
    item_of_today,
    perform,
    record_query,
    run_all_daemons,
)
from tests.factories import create
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db


def received(outcome: str, **values: Any) -> ReceivedAction:
    """An action of just now."""
    return ReceivedAction.objects.create(
        action_type="worklist.create_item",
        payload="{}",
        fingerprint="f",
        connection="c",
        correlation_id="c",
        outcome=outcome,
        **{"received_at": timezone.now(), **values},
    )


def only_room() -> Room:
    """The one room there is."""
    (room,) = take_snapshot().rooms
    return room


class TestDaemons:
    def test_without_heartbeats_neither_of_them_runs(self) -> None:
        found = take_snapshot()
        assert (found.relay.words, found.worklist.words) == ("Not running", "Not running")
        assert found.severity is Severity.PROBLEM

    def test_with_both_at_work_nothing_needs_attention(self) -> None:
        run_all_daemons()
        found = take_snapshot()
        assert (found.relay.words, found.worklist.words) == ("Connected", "Working")
        assert (found.concerns, found.severity) == ((), Severity.OK)

    def test_one_that_has_been_silent_for_long_is_not_running_and_its_last_sign_of_life_is_told(self) -> None:
        dead = beat("relay_listener", "online", ago=STALE_AFTER * 2)
        found = take_snapshot().relay
        assert (found.words, found.since) == ("Not running", dead.beat_at)

    @pytest.mark.parametrize("state", ["suspect", "connecting", "offline"])
    def test_a_listener_that_is_not_online_is_a_problem_and_says_what_to_do(self, state: str) -> None:
        run_all_daemons()
        Heartbeat.objects.filter(role="relay_listener").update(state=state, details={"why": "closed by the relay"})
        found = take_snapshot()
        assert found.relay.severity is Severity.PROBLEM
        assert found.relay.what_to_do
        assert [concern.key for concern in found.concerns] == ["relay_connection"]
        assert found.severity is Severity.PROBLEM

    def test_the_last_action_and_the_last_echo_are_told(self) -> None:
        beat("relay_listener", "online", last_echo_ms=84, last_echo_at="2026-11-24T10:00:00+00:00")
        received("created")
        found = take_snapshot()
        assert found.relay.last_echo_ms == 84
        assert found.last_action
        assert (found.last_action.outcome, found.last_action.failed) == ("created", False)

    def test_an_identity_that_may_only_listen_has_no_echo_and_that_is_told(self) -> None:
        beat("relay_listener", "online", echo="forbidden")
        assert take_snapshot().relay.why_no_echo == "not possible, the listener has no Send right"
        Heartbeat.objects.update(details={"echo": "here"})
        assert take_snapshot().relay.why_no_echo == ""


class TestRooms:
    def test_a_woman_is_in_the_room_of_her_machine(self) -> None:
        configure_modality("MAMMO1", room="Room 1")
        item_of_today(station_ae_title="MAMMO1")
        assert [(room.name, len(room.rows)) for room in take_snapshot().rooms] == [("Room 1", 1)]

    def test_without_a_room_it_is_the_ae_title_and_without_that_any_room_which_comes_last(self) -> None:
        item_of_today(station_ae_title="ZULU")
        item_of_today(station_ae_title="")
        assert [room.name for room in take_snapshot().rooms] == ["ZULU", ANY_ROOM]

    def test_when_she_arrived_is_told_until_the_examination_begins(self) -> None:
        at = timezone.localtime().replace(hour=9, minute=3)
        item = item_of_today(status="ARRIVED", arrived_at=at)
        assert (only_room().rows[0].stage, only_room().rows[0].detail) == (Stage.ARRIVED, "09:03")
        WorklistItem.objects.update(status="READY")
        assert (only_room().rows[0].stage, only_room().rows[0].detail) == (Stage.READY, "arrived 09:03")
        deliver(item)
        assert only_room().rows[0].detail == "arrived 09:03, on the list of MAMMO1"
        assert only_room().open == 1

    def test_a_test_item_is_marked_and_not_counted(self) -> None:
        item_of_today(is_test=True)
        item_of_today()
        room = only_room()
        assert sorted(row.is_test for row in room.rows) == [False, True]
        assert (room.open, room.total, room.counts[Stage.SCHEDULED]) == (1, 1, 1)

    def test_two_machines_in_a_room_share_it(self) -> None:
        configure_modality("MAMMO1")
        configure_modality("MAMMO2")
        item_of_today(station_ae_title="MAMMO1")
        item_of_today(station_ae_title="MAMMO2")
        assert only_room().counts[Stage.SCHEDULED] == 2

    def test_women_of_other_days_are_not_there(self) -> None:
        create(scheduled_date=timezone.localdate() + timedelta(days=1))
        create(scheduled_date=date(2020, 1, 1))
        assert take_snapshot().rooms == ()

    def test_who_was_shown_to_a_machine_is_on_the_list_since_then(self) -> None:
        deliver(item_of_today())
        (row,) = only_room().rows
        assert row.stage is Stage.SHOWN
        assert row.detail.startswith("MAMMO1 since ")

    @pytest.mark.parametrize(
        ("status", "stage"),
        [
            ("IN PROGRESS", Stage.IN_PROGRESS),
            ("COMPLETED", Stage.DONE),
            ("DISCONTINUED", Stage.DISCONTINUED),
        ],
    )
    def test_what_the_machine_reports_is_how_far_she_is(self, status: str, stage: Stage) -> None:
        perform(item_of_today(status), status)
        assert only_room().rows[0].stage is stage

    def test_whom_manage_took_off_the_list_before_any_machine_began_did_not_attend(self) -> None:
        deliver(item_of_today("DISCONTINUED"))
        assert only_room().rows[0].stage is Stage.DID_NOT_ATTEND

    def test_a_step_that_was_put_back_counts_no_longer(self) -> None:
        item = item_of_today()
        perform(item, "DISCONTINUED").links.update(counts=False)
        assert only_room().rows[0].stage is Stage.SCHEDULED

    def test_the_reason_for_stopping_is_told_without_its_code(self) -> None:
        item = item_of_today("DISCONTINUED")
        perform(item, "DISCONTINUED", discontinuation_reason="Patient refused (110513, DCM)")
        assert only_room().rows[0].detail == "MAMMO1, Patient refused"

    def test_an_end_that_was_assumed_is_marked(self) -> None:
        perform(item_of_today("COMPLETED"), "COMPLETED", end_time=time(14, 40), end_is_assumed=True)
        assert only_room().rows[0].detail == "MAMMO1 at 14:40 (assumed)"

    def test_rows_are_in_the_order_of_the_day(self) -> None:
        for hour in (11, 9, 10):
            item_of_today(scheduled_time=f"{hour}:00")
        assert [row.at.hour for row in only_room().rows] == [9, 10, 11]

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("SMITH^JANE", "SMITH, JANE"),
            ("SMITH^JANE^MARY^DR", "SMITH, JANE MARY"),
            ("SMITH", "SMITH"),
            ("Yamada^Tarou=山田^太郎", "Yamada, Tarou"),
            ("=山田^太郎", "=山田^太郎"),
        ],
    )
    def test_a_name_is_written_as_people_do(self, name: str, shown: str) -> None:
        assert name_for_people(name) == shown


class TestCost:
    def test_the_number_of_queries_does_not_depend_on_women_and_machines(self, django_assert_num_queries: Any) -> None:
        with django_assert_num_queries(18):
            take_snapshot()
        for number in range(5):
            configure_modality(f"MAMMO{number}", room=f"Room {number}")
            record_query(f"MAMMO{number}", timezone.now())
            item = item_of_today("COMPLETED", station_ae_title=f"MAMMO{number}")
            deliver(item)
            perform(item, "COMPLETED")
        with django_assert_num_queries(18):
            take_snapshot()
