"""Queries are tallied for the metrics as they are stored."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from core.database import borrowed_connection
from dicom.models import Modality
from worklist.models import QueryTally, WorklistQuery
from worklist.models.queries import DURATIONS, at_most


def query(**values: Any) -> WorklistQuery:
    """Make a query, without storing it."""
    return WorklistQuery(**{"asked_at": timezone.now(), "calling_ae_title": "MAMMO1", "outcome": "answered"} | values)


class TestDurations:
    @pytest.mark.parametrize(("milliseconds", "limit"), [(0, 5), (5, 5), (6, 10), (30_001, DURATIONS[-1])])
    def test_are_counted_in_the_first_bucket_that_is_not_shorter(self, milliseconds: int, limit: int) -> None:
        assert at_most(milliseconds) == limit


@pytest.mark.django_db
class TestQueryTally:
    def test_has_one_row_for_queries_of_one_kind(self) -> None:
        Modality.objects.create(ae_title="MAMMO1")
        QueryTally.objects.add([query(duration_ms=3, delivered=2), query(duration_ms=4, delivered=5)])
        QueryTally.objects.add([query(duration_ms=1)])
        tally = QueryTally.objects.get()
        assert (tally.ae_title, tally.at_most_ms) == ("MAMMO1", 5)
        assert (tally.queries, tally.milliseconds, tally.rows) == (3, 8, 7)

    def test_notes_the_latest_moment_whatever_the_order(self) -> None:
        now = timezone.now()
        for at in (now, now - timedelta(hours=1)):
            QueryTally.objects.add([query(asked_at=at)])
        assert QueryTally.objects.get().last_at == now

    def test_has_one_row_for_all_ae_titles_that_are_not_configured(self) -> None:
        QueryTally.objects.add([query(calling_ae_title=f"ANY{number}") for number in range(20)])
        assert QueryTally.objects.get().ae_title == ""


@pytest.mark.django_db(transaction=True)
class TestConcurrentTallies:
    def test_are_all_counted(self) -> None:
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
