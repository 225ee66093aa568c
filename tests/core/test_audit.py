"""Every change with its audit row."""

import re
from pathlib import Path

import pytest

from core.audit import Auditor
from core.correlation import correlated
from core.models import AuditLog
from tests.factories import WorklistItemFactory
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db


class TestCreate:
    def test_a_new_object_leaves_a_row_with_who_what_and_the_correlation_id(self) -> None:
        item = WorklistItemFactory.build()
        with correlated("c1"):
            assert Auditor("relay:manage").create_unless_known(item)
        row = AuditLog.objects.get()
        assert (row.actor, row.operation, row.object_id, row.correlation_id) == (
            "relay:manage",
            "create",
            item.pk,
            "c1",
        )
        assert row.after["accession_number"] == item.accession_number

    def test_no_personal_value_stands_in_it(self) -> None:
        item = WorklistItemFactory.build(patient_name="SECRET^NAME", patient_id="9990000018")
        Auditor("test").create_unless_known(item)
        row = AuditLog.objects.get()
        assert "SECRET" not in str(row.after)
        assert "9990000018" not in str(row.after)
        assert not WorklistItem.personal_fields & row.after.keys()

    def test_a_known_object_is_left_alone_and_leaves_no_row(self) -> None:
        known = WorklistItemFactory.create()
        same = WorklistItemFactory.build(accession_number=known.accession_number)
        assert not Auditor("test").create_unless_known(same)
        assert not AuditLog.objects.exists()


class TestUpdate:
    def test_before_and_after_of_what_changed_are_kept(self) -> None:
        item = WorklistItemFactory.create()
        assert Auditor("test").update(item, status="IN PROGRESS")
        row = AuditLog.objects.get()
        assert (row.before, row.after) == ({"status": "SCHEDULED"}, {"status": "IN PROGRESS"})
        assert WorklistItem.objects.get().status == item.status == "IN PROGRESS"

    def test_of_a_personal_field_only_the_name_is_kept(self) -> None:
        Auditor("test").update(WorklistItemFactory.create(), patient_name="SECRET^NAME")
        row = AuditLog.objects.get()
        assert (row.before, row.after, row.personal_fields_changed) == ({}, {}, ["patient_name"])

    def test_what_somebody_else_changed_meanwhile_is_not_overwritten(self) -> None:
        item = WorklistItemFactory.create()
        WorklistItem.objects.update(status="COMPLETED")
        assert not Auditor("test").update(item, status="IN PROGRESS")
        assert WorklistItem.objects.get().status == "COMPLETED"
        assert not AuditLog.objects.exists()

    def test_the_row_tells_when_it_was_changed(self) -> None:
        item = WorklistItemFactory.create()
        Auditor("test").update(item, status="COMPLETED")
        assert WorklistItem.objects.get().updated_at > item.updated_at


class TestNobodyElseWrites:
    def test_outside_the_auditor_no_production_code_writes_worklist_items(self) -> None:
        writes = re.compile(r"WorklistItem\.objects\.(\w+_or_|bulk_)?(create|update|delete)\b|item\.(save|delete)\(")
        apps = ("core", "relay", "worklist", "images", "gateway_project")
        sources = [path for app in apps for path in Path(app).rglob("*.py")]
        assert len(sources) > 30
        assert [str(path) for path in sources if writes.search(path.read_text())] == []
