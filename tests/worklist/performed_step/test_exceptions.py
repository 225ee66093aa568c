"""A person resolves MPPS exceptions; the items change and the audit log names the person."""

import pytest
from django.db import transaction

from core.contract import ItemStatus
from core.models import AuditLog
from tests.factories import WorklistItemFactory
from tests.worklist.performed_step.reports import (
    by_number,
    create_step,
    final_change,
    scheduled_step,
    set_step,
    unscheduled_step,
)
from worklist.models import ItemChange, MppsException, WorklistItem
from worklist.performed_step.exceptions import CannotResolve, dismiss, link_to_item, put_back, put_item_back
from worklist.performed_step.item_status_update import recompute_status

pytestmark = pytest.mark.django_db

JANE = "admin:jane"
UID = "1.2.3.9"


def manage_reports(item: WorklistItem, status: str) -> None:
    """Report a status from Manage."""
    with transaction.atomic():
        recompute_status(WorklistItem.objects.select_for_update().get(pk=item.pk), "relay:manage", from_manage=status)


def status_of(item: WorklistItem) -> str:
    """Return the present status."""
    return WorklistItem.objects.get(pk=item.pk).status


def statuses_sent(item: WorklistItem) -> list[str]:
    """Return the statuses in the outbox, in order."""
    return [change.status for change in ItemChange.objects.filter(item=item)]


def resolution() -> tuple[str, str, str]:
    """Return how the only exception was resolved, by whom and why."""
    exception = MppsException.objects.get()
    return exception.resolution, exception.resolved_by, exception.note


def actors_of_changes(record: WorklistItem | MppsException) -> list[str]:
    """Return the actors of its changes in the audit log."""
    changes = AuditLog.objects.filter(object_id=record.pk, operation="update").order_by("created_at")
    return [change.actor for change in changes]


@pytest.fixture
def item() -> WorklistItem:
    """Create an item."""
    return WorklistItemFactory.create(accession_number="ACC1")


class TestLinkingToAnItem:
    @pytest.mark.parametrize("state", [ItemStatus.IN_PROGRESS, ItemStatus.COMPLETED, ItemStatus.DISCONTINUED])
    def test_makes_it_stand_as_the_step_does(self, item: WorklistItem, state: str) -> None:
        create_step(UID, unscheduled_step())
        if state != ItemStatus.IN_PROGRESS:
            set_step(UID, final_change(state))
        assert status_of(item) == ItemStatus.SCHEDULED
        exception = MppsException.objects.get()
        link_to_item(exception, item, JANE, "typed by hand")
        assert status_of(item) == state
        assert statuses_sent(item) == [state]
        assert resolution() == ("linked", JANE, "typed by hand")
        assert actors_of_changes(item) == actors_of_changes(exception) == [JANE]

    def test_lets_the_step_work_on_it_from_then_on(self, item: WorklistItem) -> None:
        create_step(UID, unscheduled_step())
        link_to_item(MppsException.objects.get(), item, JANE)
        set_step(UID, final_change(ItemStatus.COMPLETED))
        assert statuses_sent(item) == [ItemStatus.IN_PROGRESS, ItemStatus.COMPLETED]

    def test_ends_the_alarm_of_a_wrong_patient(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PatientID="9990000099")
        assert MppsException.objects.alarms().count() == 1
        assert status_of(item) == ItemStatus.SCHEDULED
        link_to_item(MppsException.objects.get(), item, JANE)
        assert MppsException.objects.alarms().count() == 0
        assert status_of(item) == ItemStatus.IN_PROGRESS

    def test_tells_a_person_when_manage_had_discontinued_the_item(self, item: WorklistItem) -> None:
        manage_reports(item, ItemStatus.DISCONTINUED)
        create_step(UID, unscheduled_step())
        link_to_item(MppsException.objects.get(), item, JANE)
        assert [each.reason for each in MppsException.objects.open()] == ["contradicts_cloud"]
        assert status_of(item) == ItemStatus.DISCONTINUED

    def test_makes_a_step_count_again_that_was_put_back(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), by_number("GONE"))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        put_item_back(item, JANE)
        link_to_item(MppsException.objects.get(), item, JANE)
        assert status_of(item) == ItemStatus.DISCONTINUED


class TestPuttingBack:
    def test_makes_the_step_not_count_for_its_item(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), by_number("GONE"))
        exception = MppsException.objects.get()
        assert status_of(item) == ItemStatus.IN_PROGRESS
        put_back(exception, JANE, "the wrong button")
        assert status_of(item) == ItemStatus.SCHEDULED
        assert statuses_sent(item) == [ItemStatus.IN_PROGRESS, ItemStatus.SCHEDULED]
        assert resolution() == ("put_back", JANE, "the wrong button")

    def test_of_an_item_that_manage_has_closed_is_not_possible_and_changes_nothing(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PerformedStationAETitle="")
        manage_reports(item, ItemStatus.COMPLETED)
        with pytest.raises(CannotResolve, match="Manage has closed ACC1: only Manage can send a new item"):
            put_back(MppsException.objects.get(), JANE)
        assert MppsException.objects.open().count() == 1

    def test_of_a_step_of_several_items_is_not_possible_where_none_is_meant(self, item: WorklistItem) -> None:
        create_step(
            UID,
            scheduled_step(item),
            scheduled_step(WorklistItemFactory.create(patient_id=item.patient_id)),
            by_number("GONE"),
        )
        with pytest.raises(CannotResolve, match="Its step is linked with several items"):
            put_back(MppsException.objects.get(), JANE)
        assert status_of(item) == ItemStatus.IN_PROGRESS

    def test_of_a_step_without_an_item_is_not_possible(self) -> None:
        create_step(UID, unscheduled_step())
        with pytest.raises(CannotResolve, match="No step has taken it off the list"):
            put_back(MppsException.objects.get(), JANE)
        assert MppsException.objects.open().count() == 1

    def test_is_told_to_a_person_when_the_step_is_completed_afterwards(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PerformedStationAETitle="")
        put_back(MppsException.objects.get(), JANE)
        set_step(UID, final_change(ItemStatus.COMPLETED))
        assert [each.reason for each in MppsException.objects.open()] == ["done_after_put_back"]
        assert status_of(item) == ItemStatus.SCHEDULED


class TestDismissing:
    def test_says_who_and_why_and_leaves_the_item_as_it_is(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PatientID="9990000099")
        exception = MppsException.objects.get()
        dismiss(exception, JANE, "a phantom was imaged")
        assert resolution() == ("dismissed", JANE, "a phantom was imaged")
        assert actors_of_changes(exception) == [JANE]
        assert MppsException.objects.get().resolved_at
        assert status_of(item) == ItemStatus.SCHEDULED

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_takes_a_reason(self, reason: str) -> None:
        create_step(UID, unscheduled_step())
        with pytest.raises(CannotResolve, match="Give a reason"):
            dismiss(MppsException.objects.get(), JANE, reason)
        assert MppsException.objects.open().count() == 1


class TestWhatSomebodyHasDealtWith:
    def test_cannot_be_dealt_with_again(self, item: WorklistItem) -> None:
        create_step(UID, unscheduled_step())
        exception = MppsException.objects.get()
        dismiss(exception, JANE, "a phantom")
        stale = MppsException(**{field.attname: getattr(exception, field.attname) for field in exception._meta.fields})
        stale.resolution = ""
        with pytest.raises(CannotResolve, match="Somebody has already resolved it"):
            dismiss(stale, "admin:joe", "mine")
        with pytest.raises(CannotResolve, match="Somebody has already resolved it"):
            link_to_item(stale, item, "admin:joe")
        assert resolution() == ("dismissed", JANE, "a phantom")
        assert status_of(item) == ItemStatus.SCHEDULED


class TestPuttingAnItemBack:
    def test_brings_a_discontinued_one_onto_the_list_again(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        put_item_back(item, JANE)
        assert status_of(item) == ItemStatus.SCHEDULED
        assert statuses_sent(item) == [ItemStatus.IN_PROGRESS, ItemStatus.DISCONTINUED, ItemStatus.SCHEDULED]
        assert actors_of_changes(item)[-1] == JANE

    def test_leaves_it_as_another_step_has_it(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        create_step("1.2.3.10", scheduled_step(item))
        with pytest.raises(CannotResolve, match="It is IN PROGRESS: only a discontinued item can be put back"):
            put_item_back(item, JANE)
        set_step("1.2.3.10", final_change(ItemStatus.DISCONTINUED))
        assert status_of(item) == ItemStatus.DISCONTINUED

    @pytest.mark.parametrize("closed", [ItemStatus.COMPLETED, ItemStatus.DISCONTINUED])
    def test_that_manage_has_closed_is_not_possible(self, item: WorklistItem, closed: str) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        manage_reports(item, closed)
        with pytest.raises(CannotResolve, match="Manage has closed ACC1"):
            put_item_back(item, JANE)
        assert status_of(item) == closed

    def test_that_is_completed_is_not_possible(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.COMPLETED))
        with pytest.raises(CannotResolve, match="It is COMPLETED: only a discontinued item can be put back"):
            put_item_back(item, JANE)
        assert status_of(item) == ItemStatus.COMPLETED


class TestTheAuditLog:
    def test_says_which_item_was_linked_even_where_its_state_stays(self, item: WorklistItem) -> None:
        manage_reports(item, ItemStatus.COMPLETED)
        create_step(UID, unscheduled_step())
        link_to_item(MppsException.objects.get(), item, JANE)
        assert AuditLog.objects.get(actor=JANE, object_type="worklist.steplink").after["item_id"] == str(item.pk)
        assert MppsException.objects.get(reason="unscheduled").item == item

    def test_says_which_step_no_longer_counts(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        put_item_back(item, JANE)
        assert AuditLog.objects.get(actor=JANE, object_type="worklist.steplink").after == {"counts": "False"}

    def test_says_from_what_to_what_and_nobodys_data(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PatientID="9990000099")
        dismiss(MppsException.objects.get(), JANE, "a phantom")
        record = AuditLog.objects.get(actor=JANE)
        assert record.before["resolution"] == ""
        assert (record.after["resolution"], record.after["note"]) == ("dismissed", "a phantom")
        assert not [each for each in AuditLog.objects.all() if "9990000099" in f"{each.before}{each.after}"]
