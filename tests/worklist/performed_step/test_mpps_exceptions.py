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
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.mpps_exceptions import DecisionRefused, dismiss, link_to_item, put_back, put_item_back

pytestmark = [pytest.mark.django_db, pytest.mark.once]

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
    def test_gives_the_item_the_status_of_the_step(self, item: WorklistItem, state: str) -> None:
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

    def test_lets_later_reports_of_the_step_change_the_item(self, item: WorklistItem) -> None:
        create_step(UID, unscheduled_step())
        link_to_item(MppsException.objects.get(), item, JANE)
        set_step(UID, final_change(ItemStatus.COMPLETED))
        assert statuses_sent(item) == [ItemStatus.IN_PROGRESS, ItemStatus.COMPLETED]

    def test_ends_a_wrong_patient_alarm(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PatientID="9990000099")
        assert MppsException.objects.alarms().count() == 1
        assert status_of(item) == ItemStatus.SCHEDULED
        link_to_item(MppsException.objects.get(), item, JANE)
        assert MppsException.objects.alarms().count() == 0
        assert status_of(item) == ItemStatus.IN_PROGRESS

    def test_opens_an_exception_if_manage_had_discontinued_the_item(self, item: WorklistItem) -> None:
        manage_reports(item, ItemStatus.DISCONTINUED)
        create_step(UID, unscheduled_step())
        link_to_item(MppsException.objects.get(), item, JANE)
        assert [each.reason for each in MppsException.objects.open()] == ["contradicts_cloud"]
        assert status_of(item) == ItemStatus.DISCONTINUED

    def test_makes_a_step_count_again_after_it_was_put_back(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), by_number("GONE"))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        put_item_back(item, JANE)
        link_to_item(MppsException.objects.get(), item, JANE)
        assert status_of(item) == ItemStatus.DISCONTINUED


class TestPuttingBackTheItemOfAStep:
    def test_stops_the_step_counting_for_its_item(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), by_number("GONE"))
        exception = MppsException.objects.get()
        assert status_of(item) == ItemStatus.IN_PROGRESS
        put_back(exception, JANE, "the wrong button")
        assert status_of(item) == ItemStatus.SCHEDULED
        assert statuses_sent(item) == [ItemStatus.IN_PROGRESS, ItemStatus.SCHEDULED]
        assert resolution() == ("put_back", JANE, "the wrong button")

    def test_is_refused_if_manage_has_closed_the_item(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PerformedStationAETitle="")
        manage_reports(item, ItemStatus.COMPLETED)
        with pytest.raises(DecisionRefused, match="Manage has closed ACC1: only Manage can send a new item"):
            put_back(MppsException.objects.get(), JANE)
        assert MppsException.objects.open().count() == 1

    def test_is_refused_if_the_exception_fits_several_items(self, item: WorklistItem) -> None:
        create_step(
            UID,
            scheduled_step(item),
            scheduled_step(WorklistItemFactory.create(patient_id=item.patient_id)),
            by_number("GONE"),
        )
        with pytest.raises(DecisionRefused, match="Its step is linked with several items"):
            put_back(MppsException.objects.get(), JANE)
        assert status_of(item) == ItemStatus.IN_PROGRESS

    def test_is_refused_for_a_step_without_an_item(self) -> None:
        create_step(UID, unscheduled_step())
        with pytest.raises(DecisionRefused, match="No step has taken it off the list"):
            put_back(MppsException.objects.get(), JANE)
        assert MppsException.objects.open().count() == 1

    def test_opens_an_exception_if_the_step_is_completed_afterwards(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PerformedStationAETitle="")
        put_back(MppsException.objects.get(), JANE)
        set_step(UID, final_change(ItemStatus.COMPLETED))
        assert [each.reason for each in MppsException.objects.open()] == ["done_after_put_back"]
        assert status_of(item) == ItemStatus.SCHEDULED


class TestDismissing:
    def test_records_who_and_why_and_leaves_the_item_alone(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PatientID="9990000099")
        exception = MppsException.objects.get()
        dismiss(exception, JANE, "a phantom was imaged")
        assert resolution() == ("dismissed", JANE, "a phantom was imaged")
        assert actors_of_changes(exception) == [JANE]
        assert MppsException.objects.get().resolved_at
        assert status_of(item) == ItemStatus.SCHEDULED

    @pytest.mark.parametrize("reason", ["", "  "])
    def test_requires_a_reason(self, reason: str) -> None:
        create_step(UID, unscheduled_step())
        with pytest.raises(DecisionRefused, match="Give a reason"):
            dismiss(MppsException.objects.get(), JANE, reason)
        assert MppsException.objects.open().count() == 1


class TestAResolvedException:
    def test_cannot_be_resolved_again(self, item: WorklistItem) -> None:
        create_step(UID, unscheduled_step())
        exception = MppsException.objects.get()
        dismiss(exception, JANE, "a phantom")
        stale = MppsException(**{field.attname: getattr(exception, field.attname) for field in exception._meta.fields})
        stale.resolution = ""
        with pytest.raises(DecisionRefused, match="Somebody has already resolved it"):
            dismiss(stale, "admin:joe", "mine")
        with pytest.raises(DecisionRefused, match="Somebody has already resolved it"):
            link_to_item(stale, item, "admin:joe")
        assert resolution() == ("dismissed", JANE, "a phantom")
        assert status_of(item) == ItemStatus.SCHEDULED


class TestPuttingBackAnItem:
    def test_returns_a_discontinued_item_to_the_list(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        put_item_back(item, JANE)
        assert status_of(item) == ItemStatus.SCHEDULED
        assert statuses_sent(item) == [ItemStatus.IN_PROGRESS, ItemStatus.DISCONTINUED, ItemStatus.SCHEDULED]
        assert actors_of_changes(item)[-1] == JANE

    def test_does_not_undo_another_step(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        create_step("1.2.3.10", scheduled_step(item))
        with pytest.raises(DecisionRefused, match="It is IN PROGRESS: only a discontinued item can be put back"):
            put_item_back(item, JANE)
        set_step("1.2.3.10", final_change(ItemStatus.DISCONTINUED))
        assert status_of(item) == ItemStatus.DISCONTINUED

    @pytest.mark.parametrize("closed", [ItemStatus.COMPLETED, ItemStatus.DISCONTINUED])
    def test_is_refused_if_manage_has_closed_it(self, item: WorklistItem, closed: str) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        manage_reports(item, closed)
        with pytest.raises(DecisionRefused, match="Manage has closed ACC1"):
            put_item_back(item, JANE)
        assert status_of(item) == closed

    def test_is_refused_if_it_is_completed(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.COMPLETED))
        with pytest.raises(DecisionRefused, match="It is COMPLETED: only a discontinued item can be put back"):
            put_item_back(item, JANE)
        assert status_of(item) == ItemStatus.COMPLETED


class TestTheAuditLog:
    def test_names_the_linked_item_even_if_its_status_stays(self, item: WorklistItem) -> None:
        manage_reports(item, ItemStatus.COMPLETED)
        create_step(UID, unscheduled_step())
        link_to_item(MppsException.objects.get(), item, JANE)
        assert AuditLog.objects.get(actor=JANE, object_type="worklist.steplink").after["item_id"] == str(item.pk)
        assert MppsException.objects.get(reason="unscheduled").item == item

    def test_records_that_a_step_no_longer_counts(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item))
        set_step(UID, final_change(ItemStatus.DISCONTINUED))
        put_item_back(item, JANE)
        assert AuditLog.objects.get(actor=JANE, object_type="worklist.steplink").after == {"counts": "False"}

    def test_has_the_old_and_new_values_without_personal_data(self, item: WorklistItem) -> None:
        create_step(UID, scheduled_step(item), PatientID="9990000099")
        dismiss(MppsException.objects.get(), JANE, "a phantom")
        record = AuditLog.objects.get(actor=JANE)
        assert record.before["resolution"] == ""
        assert (record.after["resolution"], record.after["note"]) == ("dismissed", "a phantom")
        assert not [each for each in AuditLog.objects.all() if "9990000099" in f"{each.before}{each.after}"]
