"""Export the list of a day as a CSV file, and the outcomes of days as JSON."""

import csv
import io
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from core.models import AuditLog
from tests.factories import WorklistItemFactory
from tests.users import client_of, page
from tests.worklist.test_admin import LIST
from tests.worklist_fixtures import SHOWN
from worklist.admin.export import cell
from worklist.models import ItemChange, OutboxReader, WorklistItem
from worklist.services.create_test_item import create_test_item

pytestmark = pytest.mark.django_db

EXPORT = reverse("admin:worklist_worklistitem_export")
OUTCOMES = reverse("admin:worklist_worklistitem_outcomes")


def exported(client: Client, day: str = "2026-11-23") -> list[list[str]]:
    """Export a day; return the rows of the file."""
    response = client.post(EXPORT, {"day": day})
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == f'attachment; filename="worklist-{day}.csv"'
    return list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))


def permit(*codenames: str) -> Client:
    """Log in a user with permission to see items, and with these permissions."""
    user = User.objects.create_user("somebody", is_staff=True)
    permitted = Permission.objects.filter(codename__in=("view_worklistitem", *codenames))
    user.user_permissions.set(permitted.filter(content_type__app_label="worklist"))
    client = Client()
    client.force_login(user)
    return client


class TestTheFile:
    def test_has_the_items_of_the_day_in_order_of_time(self, clinic: Client, item: WorklistItem) -> None:
        WorklistItemFactory.create(accession_number="ACC0", scheduled_time="09:00")
        WorklistItemFactory.create(accession_number="ACC2", scheduled_date="2026-11-24")
        rows = exported(clinic)
        assert [row[0] for row in rows] == ["Accession Number", "ACC0", "ACC1"]
        assert "O'BRIEN-ŁUKASZ^ZOË" in rows[2]

    def test_has_test_items_only_if_they_are_asked_for(self, clinic: Client, item: WorklistItem) -> None:
        WorklistItemFactory.create(accession_number="TEST1", is_test=True)
        assert [row[:2] for row in exported(clinic)[1:]] == [["ACC1", "False"]]
        response = clinic.post(EXPORT, {"day": "2026-11-23", "with_test_items": "on"})
        rows = list(csv.reader(io.StringIO(response.content.decode("utf-8-sig"))))
        assert [row[:2] for row in rows] == [["Accession Number", "Test Item"], ["ACC1", "False"], ["TEST1", "True"]]

    def test_begins_with_a_byte_order_mark_for_excel(self, clinic: Client) -> None:
        assert clinic.post(EXPORT, {"day": "2026-11-23"}).content.startswith(b"\xef\xbb\xbf")

    def test_has_no_personal_data_without_permission_to_see_it(self, item: WorklistItem) -> None:
        rows = exported(permit("export_worklist"))
        assert rows[1][0] == "ACC1"
        text = "\n".join(",".join(row) for row in rows)
        assert [shown for shown in SHOWN if shown in text] == []

    @pytest.mark.parametrize(
        "value",
        ["=1+1", "+44", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20A1"],
    )
    def test_has_no_formulas(self, value: str) -> None:
        assert cell(value) == f"'{value}"

    def test_has_no_formulas_if_read_with_semicolons(self, clinic: Client) -> None:
        WorklistItemFactory.create(patient_comments="x;=1\n=2")
        text = clinic.post(EXPORT, {"day": "2026-11-23"}).content.decode("utf-8-sig")
        cells = [value for row in csv.reader(io.StringIO(text), delimiter=";") for value in row]
        assert [value for value in cells if value.startswith("=")] == []

    def test_quotes_every_value(self, clinic: Client) -> None:
        assert clinic.post(EXPORT, {"day": "2026-11-23"}).content.decode("utf-8-sig").startswith('"Accession Number","')

    def test_leaves_other_values_as_they_are(self, clinic: Client) -> None:
        WorklistItemFactory.create(patient_comments="=HYPERLINK", patient_address='1 "Long" Lane, Leeds')
        (row,) = exported(clinic)[1:]
        assert "'=HYPERLINK" in row
        assert '1 "Long" Lane, Leeds' in row


class TestExporting:
    def test_is_audited_without_personal_data(self, clinic: Client, item: WorklistItem) -> None:
        exported(clinic)
        note = AuditLog.objects.get()
        assert (note.actor, note.operation, note.object_type, note.object_id) == (
            "admin:clinic",
            "export",
            "worklist.worklistitem",
            None,
        )
        assert note.after == {"day": "2026-11-23", "rows": 1, "with_persons": True}

    def test_needs_a_form_and_is_not_done_by_a_link(self, clinic: Client, item: WorklistItem) -> None:
        assert EXPORT in page(clinic, LIST)
        assert 'type="date"' in page(clinic, EXPORT, day="2026-11-23")
        assert AuditLog.objects.count() == 0

    def test_with_an_invalid_day_is_refused(self, clinic: Client) -> None:
        assert "Enter a valid date" in clinic.post(EXPORT, {"day": "soon"}).content.decode()

    def test_needs_permission(self, item: WorklistItem) -> None:
        for client in (client_of("support"), permit("view_patient_data")):
            assert EXPORT not in page(client, LIST)
            assert client.post(EXPORT, {"day": "2026-11-23"}).status_code == 403
        assert AuditLog.objects.count() == 0


def change(item: WorklistItem, day: int, hour: int = 12, status: str = "COMPLETED") -> ItemChange:
    """Record a change of status on a day in November 2026, by the clinic's clock."""
    at = timezone.make_aware(datetime(2026, 11, day, hour, 59))
    return ItemChange.objects.create(item=item, status=status, performed={"status": status, "images": 4}, at=at)


def outcomes(client: Client, first: str = "2026-11-23", last: str = "2026-11-24", **more: str) -> dict[str, Any]:
    """Export the outcomes of days."""
    response = client.post(OUTCOMES, {"first": first, "last": last, **more})
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Content-Disposition"] == f'attachment; filename="outcomes-{first}-to-{last}.json"'
    exported: dict[str, Any] = response.json()
    return exported


class TestOutcomes:
    def test_are_what_manage_would_have_learnt_on_these_days_in_order(self, clinic: Client, item: WorklistItem) -> None:
        change(item, 22, 23)
        chosen = [change(item, 23, 0, "IN PROGRESS"), change(item, 24, 23)]
        change(item, 25, 0)
        exported = outcomes(clinic)
        assert (exported["first"], exported["last"]) == ("2026-11-23", "2026-11-24")
        assert exported["changes"] == [
            {
                "accession_number": "ACC1",
                "worklist_status": each.status,
                "at": each.at.isoformat(),
                "performed": each.performed,
            }
            for each in chosen
        ]

    def test_have_test_items_only_if_asked_for(self, clinic: Client) -> None:
        change(create_test_item("MAMMO1", "MG", "admin:jane"), 23)
        assert outcomes(clinic)["changes"] == []
        assert len(outcomes(clinic, with_test_items="on")["changes"]) == 1

    def test_contain_no_patient_data(self, clinic: Client, item: WorklistItem) -> None:
        change(item, 23)
        text = str(outcomes(clinic))
        assert [shown for shown in SHOWN if shown in text] == []

    def test_are_not_taken_for_read_by_manage(self, clinic: Client, item: WorklistItem) -> None:
        change(item, 23)
        outcomes(clinic)
        assert not OutboxReader.objects.exists()

    def test_are_audited(self, clinic: Client, item: WorklistItem) -> None:
        change(item, 23)
        outcomes(clinic)
        note = AuditLog.objects.get()
        assert (note.actor, note.operation, note.object_type) == ("admin:clinic", "export", "worklist.itemchange")
        assert note.after == {"first": "2026-11-23", "last": "2026-11-24", "changes": 1}

    def test_of_days_in_the_wrong_order_are_refused(self, clinic: Client) -> None:
        response = clinic.post(OUTCOMES, {"first": "2026-11-24", "last": "2026-11-23"})
        assert "The last day is before the first" in response.content.decode()

    def test_need_permission(self) -> None:
        for client in (client_of("support"), permit("view_patient_data")):
            assert OUTCOMES not in page(client, LIST)
            assert client.post(OUTCOMES, {"first": "2026-11-23", "last": "2026-11-23"}).status_code == 403
