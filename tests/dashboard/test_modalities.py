"""When a machine is silent for longer than usual."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from core.concerns import Severity
from dashboard.concerns import modality_concerns
from dashboard.modalities import (
    UNLEARNT,
    Hours,
    ModalityActivity,
    is_silent,
    known_modalities,
    longest_usual,
    modality_activity,
)
from tests.dashboard.records import configure_modality, item_of_today, record_query

pytestmark = pytest.mark.once

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MORNING = Hours(NOON - timedelta(hours=3), NOON + timedelta(hours=1))


def every(minutes: int, *, until: datetime = NOON, times: int = 10) -> list[datetime]:
    """Moments at which a machine has asked, the latest first."""
    return [until - timedelta(minutes=minutes * number) for number in range(times)]


class TestUsual:
    def test_it_is_a_few_times_the_usual_gap(self) -> None:
        assert longest_usual(every(10)) == timedelta(minutes=40)

    def test_it_is_never_so_short_that_a_pause_for_tea_is_a_warning(self) -> None:
        assert longest_usual(every(1)) == timedelta(minutes=15)

    def test_a_night_tells_nothing_of_it(self) -> None:
        yesterday = NOON - timedelta(days=1)
        assert longest_usual([*every(10), *every(10, until=yesterday)]) == timedelta(minutes=40)

    def test_of_a_machine_that_has_hardly_asked_nothing_is_known_yet(self) -> None:
        assert longest_usual(every(1, times=2)) == UNLEARNT

    def test_order_does_not_matter(self) -> None:
        assert longest_usual(every(10)[::-1]) == longest_usual(every(10))


class TestSilent:
    def test_within_what_is_usual_it_is_not(self) -> None:
        assert not is_silent(every(10), MORNING, NOON + timedelta(minutes=39))

    def test_after_that_it_is(self) -> None:
        assert is_silent(every(10), MORNING, NOON + timedelta(minutes=41))

    @pytest.mark.parametrize("hours", [None, Hours(NOON + timedelta(hours=3), NOON + timedelta(hours=5))])
    def test_without_women_now_it_may_be(self, hours: Hours | None) -> None:
        assert not is_silent(every(10), hours, NOON + timedelta(hours=2))

    def test_long_after_its_last_woman_it_may_be(self) -> None:
        assert not is_silent(every(10), MORNING, MORNING.last + timedelta(hours=2))

    def test_what_it_did_not_ask_before_its_hours_does_not_count(self) -> None:
        yesterday = every(10, until=NOON - timedelta(days=1))
        assert not is_silent(yesterday, MORNING, MORNING.first)
        assert is_silent(yesterday, MORNING, MORNING.first + timedelta(hours=1))

    def test_one_that_has_never_asked_is_silent_once_women_are_waiting(self) -> None:
        assert is_silent([], MORNING, NOON)


def at(hour: int) -> datetime:
    """Today, by the clinic's clock."""
    return timezone.localtime().replace(hour=hour, minute=0, second=0, microsecond=0)


def seen(now: datetime) -> dict[str, ModalityActivity]:
    """What is told of each."""
    return {each.ae_title: each for each in modality_activity(known_modalities(), now)}


@pytest.mark.django_db
class TestWomenForAnyMachine:
    def test_every_machine_that_may_ask_is_expected_to_while_they_wait(self) -> None:
        configure_modality("MAMMO1")
        configure_modality("MAMMO2", is_allowed=False)
        item_of_today(station_ae_title="", scheduled_time="10:00")
        found = seen(at(11))
        assert (found["MAMMO1"].is_silent, found["MAMMO2"].is_silent) == (True, False)
        assert not seen(at(8))["MAMMO1"].is_silent

    def test_they_are_counted_beside_its_own(self) -> None:
        configure_modality()
        item_of_today(station_ae_title="MAMMO1")
        assert seen(at(8))["MAMMO1"].waiting_words == "1"
        item_of_today(station_ae_title="")
        assert seen(at(8))["MAMMO1"].waiting_words == "1, and 1 for any machine"


@pytest.mark.django_db
def test_one_that_nobody_has_configured_is_a_warning_but_not_silent() -> None:
    record_query("STRANGER", timezone.now())
    found = seen(timezone.now())["STRANGER"]
    assert (found.severity, found.words, found.is_silent) == (Severity.WARNING, "Not configured", False)


@pytest.mark.django_db
class TestTestMachines:
    def test_have_no_women_waiting_and_are_never_silent(self) -> None:
        configure_modality("TEST1", is_test_machine=True)
        item_of_today(station_ae_title="", scheduled_time="12:00")
        item_of_today(station_ae_title="TEST1", scheduled_time="12:00", is_test=True)
        found = seen(at(12))["TEST1"]
        assert (found.waiting, found.waiting_for_any, found.is_silent) == (0, 0, False)
        assert found.words == "Test machine: no query yet"

    def test_make_no_other_ae_title_unknown(self) -> None:
        configure_modality("TEST1", is_test_machine=True)
        record_query("MAMMO1", timezone.now())
        assert [each.key for each in modality_concerns(timezone.now()) if each.count] == []
