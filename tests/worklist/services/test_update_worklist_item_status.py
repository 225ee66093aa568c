"""Manage changes the status of an item along the transitions of the contract."""

import pytest

from core.contract import ActionRefused, ErrorCode, ItemStatus
from tests.factories import WorklistItemFactory
from tests.worklist.services.executing import update
from worklist.models import WorklistItem
from worklist.services.update_worklist_item_status import TRANSITIONS

pytestmark = pytest.mark.django_db


class TestUpdateWorklistItemStatus:
    @pytest.mark.parametrize("target", list(ItemStatus))
    @pytest.mark.parametrize("present", list(ItemStatus))
    def test_follows_the_transitions_and_no_others(self, present: str, target: str) -> None:
        item = WorklistItemFactory.create(status=present)
        if target == present or target in TRANSITIONS[present]:
            assert update(item.accession_number, target)["status"] == "updated"
        else:
            with pytest.raises(ActionRefused, match=f"from {present} to {target}") as refused:
                update(item.accession_number, target)
            assert refused.value.code is ErrorCode.INVALID_TRANSITION
            target = present
        item.refresh_from_db()
        assert item.status == target

    def test_has_the_transitions_of_the_contract(self) -> None:
        assert {present: set(targets) for present, targets in TRANSITIONS.items()} == {
            **{present: set(ItemStatus) for present in ("SCHEDULED", "ARRIVED", "READY")},
            "IN PROGRESS": {"COMPLETED", "DISCONTINUED"},
            "COMPLETED": set(),
            "DISCONTINUED": set(),
        }

    def test_replies_with_the_accession_number(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        reply = update("ACC1", "COMPLETED")
        assert (reply["status"], reply["accession_number"]) == ("updated", "ACC1")

    @pytest.mark.parametrize("status", ["in progress", "In Progress", "IN PROGRESS", "in_progress"])
    def test_accepts_a_status_in_any_case(self, status: str) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        update("ACC1", status)
        assert WorklistItem.objects.get().status == "IN PROGRESS"

    def test_ignores_spaces_around_the_accession_number(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        assert update(" ACC1 ", "COMPLETED")["accession_number"] == "ACC1"

    def test_is_refused_for_an_unknown_item(self) -> None:
        with pytest.raises(ActionRefused, match="ACC404") as refused:
            update("ACC404", "COMPLETED")
        assert refused.value.code is ErrorCode.NOT_FOUND

    def test_changes_the_statuses_and_the_time_of_the_update_only(self) -> None:
        item = WorklistItemFactory.create()
        before = WorklistItem.objects.values().get()
        update(item.accession_number, "COMPLETED")
        after = WorklistItem.objects.values().get()
        assert {name for name, value in after.items() if value != dict(before)[name]} == {
            "cloud_status",
            "status",
            "updated_at",
        }

    def test_keeps_when_she_arrived_until_the_arrival_is_undone(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        update("ACC1", "ARRIVED")
        arrived_at = WorklistItem.objects.get().arrived_at
        assert arrived_at
        for status in ("READY", "IN PROGRESS"):
            update("ACC1", status)
            assert WorklistItem.objects.get().arrived_at == arrived_at

        WorklistItemFactory.create(accession_number="ACC2")
        for status in ("READY", "SCHEDULED"):
            update("ACC2", status)
        assert WorklistItem.objects.get(accession_number="ACC2").arrived_at is None
