"""The admin's lists never read a whole table."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from core.large_tables import MAX_ROWS, MAX_VALUES, AtLeast, counted, matching_pks, midnight, values_in
from core.models import AuditLog
from tests.users import page

pytestmark = pytest.mark.django_db

LIST = reverse("admin:core_auditlog_changelist")


def log(count: int, **values: str) -> None:
    """So many rows of the audit log."""
    given = {"actor": "test", "operation": "create", "object_type": "a.b", **values}
    AuditLog.objects.bulk_create(AuditLog(object_id=uuid4(), **given) for _ in range(count))


class TestCounting:
    @pytest.mark.parametrize(("rows", "told"), [(0, "0"), (2, "2"), (3, "3"), (4, "3+")])
    def test_stops(self, rows: int, told: str) -> None:
        log(rows)
        assert str(counted(AuditLog.objects.all(), most=3)) == told

    def test_is_still_a_number(self) -> None:
        assert AtLeast(3) == 3


class TestValues:
    def test_are_found_each_once(self) -> None:
        for actor in ("b", "a", "b", "", "c"):
            log(1, actor=actor)
        assert values_in(AuditLog.objects.all(), "actor") == ["", "a", "b", "c"]

    def test_are_not_more_than_can_be_chosen_from(self) -> None:
        for number in range(MAX_VALUES + 5):
            log(1, actor=f"{number:03}")
        assert len(values_in(AuditLog.objects.all(), "actor")) == MAX_VALUES


class TestSearching:
    def test_takes_no_term_that_a_field_cannot_hold_amiss(self) -> None:
        log(1, correlation_id="C0FFEE")
        assert len(matching_pks(AuditLog.objects.all(), ("object_id", "correlation_id"), "c0ffee")) == 1


class TestDays:
    def test_begin_on_the_clinics_clock(self) -> None:
        assert midnight(datetime(2026, 7, 1, tzinfo=UTC).date()) == datetime(2026, 6, 30, 23, tzinfo=UTC)


class TestAList:
    def test_says_that_there_are_more_than_it_counts(self, admin_client: Client) -> None:
        log(MAX_ROWS + 1)
        text = page(admin_client, LIST)
        assert f"{MAX_ROWS}+ audit log" in text
        assert "p=10" in text
        assert "p=11" not in text

    def test_counts_and_gathers_nothing_of_the_whole_table(self, admin_client: Client) -> None:
        log(101)  # more than stand on a page
        with CaptureQueriesContext(connection) as queries:
            page(admin_client, LIST)
        asked = [query["sql"] for query in queries if '"core_auditlog"' in query["sql"]]
        assert len(asked) > 3
        assert [sql for sql in asked if "LIMIT" not in sql] == []
        assert [sql for sql in asked if "DISTINCT" in sql or "MIN(" in sql] == []

    def test_is_narrowed_by_what_an_object_is_linked_by(self, admin_client: Client) -> None:
        log(3)
        one = AuditLog.objects.all()[0]
        assert "1 audit log" in page(admin_client, LIST, object_type="a.b", object_id=str(one.object_id))

    @pytest.mark.parametrize("lookup", ["actor__startswith", "object_id__gt", "before__contains"])
    def test_is_narrowed_by_nothing_else(self, admin_client: Client, lookup: str) -> None:
        assert admin_client.get(LIST, {lookup: "a"}).status_code == 400
