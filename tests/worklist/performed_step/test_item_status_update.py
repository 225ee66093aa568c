"""How an item comes to its state, and that Manage gets to know: by its own question, and by the outbox."""

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
from worklist.services import UpdateWorklistItemStatus, WorklistItemStatus

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
    """Create an item."""
    return WorklistItemFactory.create(accession_number="A1")


def manage_says(status: str) -> None:
    """A worklist.update_status for her."""
    content = update_status_action("A1", status)
    with transaction.atomic():
        UpdateWorklistItemStatus()(GatewayAction(content, content["action_type"], content["action_id"]))


def answer() -> Reply:
    """What Manage is told when it asks after her; it keeps its schema."""
    content = item_status_action("A1")
    reply = WorklistItemStatus()(GatewayAction(content, content["action_type"], content["action_id"]))
    Draft202012Validator(load_schema("gateway_reply")).validate(reply)
    return reply


def told() -> list[tuple[str, str | None]]:
    """The states in the outbox, the item's and its step's."""
    return [(row.status, row.performed and row.performed["status"]) for row in ItemChange.objects.order_by("number")]


class TestTheStateOfAnItem:
    def test_is_in_progress_until_every_step_has_ended(self, item: WorklistItem) -> None:
        for uid in ("1.1", "1.2"):
            create_step(uid, scheduled_step(item))
        set_step("1.2", final_change())
        assert answer()["worklist_status"] == "IN PROGRESS"
        set_step("1.1", final_change())
        assert answer()["worklist_status"] == "COMPLETED"

    def test_is_in_progress_again_when_more_is_done(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        create_step("1.2", scheduled_step(item))
        assert answer()["worklist_status"] == "IN PROGRESS"
        set_step("1.2", final_change(ItemStatus.DISCONTINUED))
        assert answer()["worklist_status"] == "COMPLETED"

    @pytest.mark.parametrize("order", list(itertools.permutations(["1.1", "1.2", "1.3"])))
    def test_is_the_same_in_whichever_order_its_steps_end(self, item: WorklistItem, order: tuple[str, ...]) -> None:
        ends = {"1.1": "COMPLETED", "1.2": "DISCONTINUED", "1.3": "DISCONTINUED"}
        for uid in ends:
            create_step(uid, scheduled_step(item))
        for uid in order:
            set_step(uid, final_change(ends[uid]))
        assert answer()["worklist_status"] == "COMPLETED"

    @pytest.mark.parametrize("word", ["COMPLETED", "DISCONTINUED"])
    @pytest.mark.parametrize("first", ["Manage", "the machine"])
    def test_is_the_clouds_last_word_whoever_was_first(self, item: WorklistItem, word: str, first: str) -> None:
        create_step("1.1", scheduled_step(item))
        if first == "Manage":
            manage_says(word)
        set_step("1.1", final_change(word))
        if first != "Manage":
            manage_says(word)
        assert answer()["worklist_status"] == word

    @pytest.mark.parametrize("word", ["COMPLETED", "DISCONTINUED"])
    def test_that_manage_has_closed_is_not_opened_by_a_step(self, item: WorklistItem, word: str) -> None:
        manage_says(word)
        create_step("1.1", scheduled_step(item))
        assert answer()["worklist_status"] == word

    def test_that_a_machine_has_closed_is_not_changed_by_manage(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        with pytest.raises(ActionRefused, match="from COMPLETED to DISCONTINUED"):
            manage_says("DISCONTINUED")

    def test_does_not_come_of_a_step_that_counts_no_longer(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change(ItemStatus.DISCONTINUED))
        StepLink.objects.update(counts=False)
        with transaction.atomic():
            (locked,) = lock_items([item.pk])
            recompute_status(locked, "admin:jane")
        assert (answer()["worklist_status"], answer()["performed"]) == ("SCHEDULED", None)

    def test_is_audited_under_who_has_made_the_difference(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        row = AuditLog.objects.filter(object_id=item.pk).get()
        assert (row.actor, row.before, row.after) == (
            "modality:MAMMO1",
            {"status": "SCHEDULED"},
            {"status": "IN PROGRESS"},
        )


class TestWhatWasPerformed:
    def test_is_nothing_before_a_machine_has_reported(self, item: WorklistItem) -> None:
        manage_says("IN PROGRESS")
        assert answer()["performed"] is None

    def test_is_told_when_it_begins(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        assert answer()["performed"] == {**DONE, "status": "IN PROGRESS", "ended_at": None, "images": 0}

    def test_is_told_when_it_is_done(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        assert answer()["performed"] == DONE

    def test_is_told_with_the_reason_when_it_is_broken_off(self, item: WorklistItem) -> None:
        reason = dataset(CodeValue="110505", CodingSchemeDesignator="DCM", CodeMeaning="Patient refused")
        create_step("1.1", scheduled_step(item))
        set_step(
            "1.1",
            final_change(ItemStatus.DISCONTINUED, PerformedProcedureStepDiscontinuationReasonCodeSequence=[reason]),
        )
        told_of = answer()["performed"]
        assert (told_of["status"], told_of["discontinuation_reason"]) == (
            "DISCONTINUED",
            "Patient refused (110505 DCM)",
        )

    def test_of_several_steps_is_the_one_that_decides(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), PerformedStationAETitle="FIRST")
        set_step("1.1", final_change())
        create_step("1.2", scheduled_step(item), PerformedStationAETitle="SECOND")
        assert answer()["performed"]["station_ae_title"] == "SECOND"
        set_step("1.2", final_change(ItemStatus.DISCONTINUED))
        assert answer()["performed"]["station_ae_title"] == "FIRST"

    def test_has_a_start_that_is_null_where_the_machine_does_not_say(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), PerformedProcedureStepStartDate="", PerformedProcedureStepStartTime="")
        assert answer()["performed"]["started_at"] is None

    def test_has_nobodys_data_in_it(self, item: WorklistItem) -> None:
        by_whom = [series(OperatorsName="SECRETARY^ZOE")]
        create_step(
            "1.1",
            scheduled_step(item),
            PatientName=item.patient_name,
            PatientID=item.patient_id,
            PerformedSeriesSequence=by_whom,
        )
        told_of = f"{ItemChange.objects.get().performed} {answer()}"
        assert not [word for word in ("SECRETARY", item.patient_name, item.patient_id) if word in told_of]


class TestTheOutbox:
    def test_has_a_row_for_each_change_of_state(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        assert told() == [("IN PROGRESS", "IN PROGRESS"), ("COMPLETED", "COMPLETED")]

    def test_has_none_for_a_report_that_changes_no_state(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", dataset(PerformedProcedureStepStatus="IN PROGRESS"))
        manage_says("IN PROGRESS")
        assert len(told()) == 1

    def test_has_what_manage_has_said_itself(self, item: WorklistItem) -> None:
        manage_says("DISCONTINUED")
        manage_says("DISCONTINUED")
        assert told() == [("DISCONTINUED", None)]

    def test_has_what_a_machine_does_of_an_item_that_manage_has_closed(self, item: WorklistItem) -> None:
        manage_says("DISCONTINUED")
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        assert told() == [("DISCONTINUED", None), ("DISCONTINUED", "IN PROGRESS"), ("DISCONTINUED", "COMPLETED")]

    def test_has_nothing_of_what_was_undone(self, item: WorklistItem) -> None:
        with transaction.atomic():
            create_step("1.1", scheduled_step(item))
            transaction.set_rollback(True)
        assert told() == []
