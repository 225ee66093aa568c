"""Compute the status of an item, and report it to Manage by item_status and by the outbox."""

import itertools

import pytest
from django.db import transaction
from jsonschema import Draft202012Validator

from core.contract import ActionRefused, GatewayAction, ItemStatus, Reply, load_schema
from core.models import AuditLog
from nonprod.manage_emulator import item_status_action, update_status_action
from tests.dicom.requests import dataset
from tests.factories import WorklistItemFactory
from tests.worklist.performed_step.reports import create_step, final_change, scheduled_step, series, set_step
from worklist.models import ItemChange, StepLink, WorklistItem
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import lock_items
from worklist.services.item_status import worklist_item_status
from worklist.services.update_worklist_item_status import update_worklist_item_status

pytestmark = pytest.mark.django_db

DONE = {
    "status": "COMPLETED",
    "started_at": "2026-11-23T14:31:07",
    "ended_at": "2026-11-23T14:36:40",
    "station_ae_title": "MAMMO1",
    "images": 4,
    "discontinuation_reason": None,
}


@pytest.fixture
def item() -> WorklistItem:
    return WorklistItemFactory.create(accession_number="A1")


def manage_reports(status: str) -> None:
    """Execute a worklist.update_status."""
    content = update_status_action("A1", status)
    with transaction.atomic():
        update_worklist_item_status(GatewayAction(content, content["action_type"], content["action_id"]))


def item_status() -> Reply:
    """Return the reply to a worklist.item_status after validating it."""
    content = item_status_action("A1")
    reply = worklist_item_status(GatewayAction(content, content["action_type"], content["action_id"]))
    Draft202012Validator(load_schema("gateway_reply")).validate(reply)
    return reply


def outbox() -> list[tuple[str, str | None]]:
    """Return the statuses in the outbox, each of the item and of its step."""
    return [(row.status, row.performed and row.performed["status"]) for row in ItemChange.objects.order_by("number")]


class TestTheStatusOfAnItem:
    def test_is_in_progress_until_every_step_has_ended(self, item: WorklistItem) -> None:
        for uid in ("1.1", "1.2"):
            create_step(uid, scheduled_step(item))
        set_step("1.2", final_change())
        assert item_status()["worklist_status"] == "IN PROGRESS"
        set_step("1.1", final_change())
        assert item_status()["worklist_status"] == "COMPLETED"

    def test_is_in_progress_again_when_another_step_begins(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        create_step("1.2", scheduled_step(item))
        assert item_status()["worklist_status"] == "IN PROGRESS"
        set_step("1.2", final_change(ItemStatus.DISCONTINUED))
        assert item_status()["worklist_status"] == "COMPLETED"

    @pytest.mark.parametrize("order", list(itertools.permutations(["1.1", "1.2", "1.3"])))
    def test_does_not_depend_on_the_order_in_which_steps_end(self, item: WorklistItem, order: tuple[str, ...]) -> None:
        ends = {"1.1": "COMPLETED", "1.2": "DISCONTINUED", "1.3": "DISCONTINUED"}
        for uid in ends:
            create_step(uid, scheduled_step(item))
        for uid in order:
            set_step(uid, final_change(ends[uid]))
        assert item_status()["worklist_status"] == "COMPLETED"

    @pytest.mark.parametrize("word", ["COMPLETED", "DISCONTINUED"])
    @pytest.mark.parametrize("first", ["Manage", "the modality"])
    def test_is_the_final_status_from_manage_whoever_was_first(self, item: WorklistItem, word: str, first: str) -> None:
        create_step("1.1", scheduled_step(item))
        if first == "Manage":
            manage_reports(word)
        set_step("1.1", final_change(word))
        if first != "Manage":
            manage_reports(word)
        assert item_status()["worklist_status"] == word

    @pytest.mark.parametrize("word", ["COMPLETED", "DISCONTINUED"])
    def test_stays_final_if_manage_closed_the_item_before_a_step(self, item: WorklistItem, word: str) -> None:
        manage_reports(word)
        create_step("1.1", scheduled_step(item))
        assert item_status()["worklist_status"] == word

    def test_cannot_be_changed_by_manage_after_a_step_has_completed_it(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        with pytest.raises(ActionRefused, match="from COMPLETED to DISCONTINUED"):
            manage_reports("DISCONTINUED")

    def test_ignores_a_step_that_no_longer_counts(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change(ItemStatus.DISCONTINUED))
        StepLink.objects.update(counts=False)
        with transaction.atomic():
            (locked,) = lock_items([item.pk])
            recompute_status(locked, "admin:jane")
        assert (item_status()["worklist_status"], item_status()["performed"]) == ("SCHEDULED", None)

    def test_is_audited_with_the_modality_that_changed_it(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        row = AuditLog.objects.filter(object_id=item.pk).get()
        assert (row.actor, row.before, row.after) == (
            "modality:MAMMO1",
            {"status": "SCHEDULED"},
            {"status": "IN PROGRESS"},
        )


class TestWhatWasPerformed:
    def test_is_null_before_a_modality_has_reported(self, item: WorklistItem) -> None:
        manage_reports("IN PROGRESS")
        assert item_status()["performed"] is None

    def test_is_reported_when_it_begins(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        assert item_status()["performed"] == {**DONE, "status": "IN PROGRESS", "ended_at": None, "images": 0}

    def test_is_reported_when_it_is_completed(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        assert item_status()["performed"] == DONE

    def test_is_reported_with_the_reason_when_it_is_discontinued(self, item: WorklistItem) -> None:
        reason = dataset(CodeValue="110505", CodingSchemeDesignator="DCM", CodeMeaning="Patient refused")
        create_step("1.1", scheduled_step(item))
        set_step(
            "1.1",
            final_change(ItemStatus.DISCONTINUED, PerformedProcedureStepDiscontinuationReasonCodeSequence=[reason]),
        )
        performed = item_status()["performed"]
        assert (performed["status"], performed["discontinuation_reason"]) == (
            "DISCONTINUED",
            "Patient refused (110505 DCM)",
        )

    def test_comes_from_the_step_that_decides_the_status(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), PerformedStationAETitle="FIRST")
        set_step("1.1", final_change())
        create_step("1.2", scheduled_step(item), PerformedStationAETitle="SECOND")
        assert item_status()["performed"]["station_ae_title"] == "SECOND"
        set_step("1.2", final_change(ItemStatus.DISCONTINUED))
        assert item_status()["performed"]["station_ae_title"] == "FIRST"

    def test_has_a_null_start_if_the_modality_reports_none(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), PerformedProcedureStepStartDate="", PerformedProcedureStepStartTime="")
        assert item_status()["performed"]["started_at"] is None

    def test_has_no_personal_data(self, item: WorklistItem) -> None:
        performed_series = [series(OperatorsName="SECRETARY^ZOE")]
        create_step(
            "1.1",
            scheduled_step(item),
            PatientName=item.patient_name,
            PatientID=item.patient_id,
            PerformedSeriesSequence=performed_series,
        )
        performed = f"{ItemChange.objects.get().performed} {item_status()}"
        assert not [word for word in ("SECRETARY", item.patient_name, item.patient_id) if word in performed]


class TestTheOutbox:
    def test_has_a_row_for_each_change_of_status(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        assert outbox() == [("IN PROGRESS", "IN PROGRESS"), ("COMPLETED", "COMPLETED")]

    def test_has_no_row_for_a_report_that_changes_no_status(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", dataset(PerformedProcedureStepStatus="IN PROGRESS"))
        manage_reports("IN PROGRESS")
        assert len(outbox()) == 1

    def test_has_the_changes_that_manage_made_itself(self, item: WorklistItem) -> None:
        manage_reports("DISCONTINUED")
        manage_reports("DISCONTINUED")
        assert outbox() == [("DISCONTINUED", None)]

    def test_has_steps_of_an_item_that_manage_has_closed(self, item: WorklistItem) -> None:
        manage_reports("DISCONTINUED")
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        assert outbox() == [("DISCONTINUED", None), ("DISCONTINUED", "IN PROGRESS"), ("DISCONTINUED", "COMPLETED")]

    def test_has_nothing_from_a_transaction_that_was_rolled_back(self, item: WorklistItem) -> None:
        with transaction.atomic():
            create_step("1.1", scheduled_step(item))
            transaction.set_rollback(True)
        assert outbox() == []
