"""What is counted for monitors as it happens."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.contract import GatewayAction
from core.database import borrowed_connection
from dicom.models import Modality
from worklist.models import OutboxReader, QueryTally, WorklistQuery
from worklist.models.queries import DURATIONS, at_most
from worklist.services import ChangesSince


def query(**values: Any) -> WorklistQuery:
    """A query that need not be kept to be counted."""
    return WorklistQuery(**{"asked_at": timezone.now(), "calling_ae_title": "MAMMO1", "outcome": "answered"} | values)


class TestDurations:
    @pytest.mark.parametrize(("milliseconds", "limit"), [(0, 5), (5, 5), (6, 10), (30_001, DURATIONS[-1])])
    def test_are_counted_up_to_the_first_limit_that_is_not_shorter(self, milliseconds: int, limit: int) -> None:
        assert at_most(milliseconds) == limit


@pytest.mark.django_db
class TestQueries:
    def test_those_alike_are_one_row(self) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        QueryTally.objects.add([query(duration_ms=3, matched=2), query(duration_ms=4, matched=5)])
        QueryTally.objects.add([query(duration_ms=1)])
        tally = QueryTally.objects.get()
        assert (tally.ae_title, tally.at_most_ms) == ("MAMMO1", 5)
        assert (tally.queries, tally.milliseconds, tally.rows) == (3, 8, 7)

    def test_a_later_one_moves_the_last_moment_and_an_earlier_one_does_not(self) -> None:
        now = timezone.now()
        for at in (now, now - timedelta(hours=1)):
            QueryTally.objects.add([query(asked_at=at)])
        assert QueryTally.objects.get().last_at == now

    def test_titles_that_are_not_configured_make_no_row_of_their_own(self) -> None:
        QueryTally.objects.add([query(calling_ae_title=f"ANY{number}") for number in range(20)])
        assert QueryTally.objects.get().ae_title == ""


@pytest.mark.django_db(transaction=True)
class TestTwoAtOnce:
    def test_both_are_counted(self) -> None:
        def count() -> None:
            with borrowed_connection():
                for _ in range(10):
                    QueryTally.objects.add([query(duration_ms=1), query(duration_ms=100)])

        threads = [threading.Thread(target=count) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(QueryTally.objects.values_list("queries", flat=True)) == [20, 20]


@pytest.mark.django_db
class TestOutboxReader:
    def test_asking_for_changes_notes_how_far_they_are_read(self) -> None:
        ChangesSince()(GatewayAction({}, "worklist.changes_since", None))
        assert OutboxReader.objects.get().number == 0

    def test_the_furthest_counts(self) -> None:
        for number in (7, 3):
            OutboxReader.objects.note(number)
        assert OutboxReader.objects.get().number == 7

    def test_who_asks_often_is_noted_seldom(self, django_assert_num_queries: Any) -> None:
        OutboxReader.objects.note(7)
        with django_assert_num_queries(1):
            OutboxReader.objects.note(7)
