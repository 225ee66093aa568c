"""The checks MP8 to MP13 and MP24 to MP27: which items a step moves, over real sockets and in a real database."""

from typing import Any

import pytest
from django.db import transaction

from tests.dicom.requests import Unit
from tests.factories import create as create_item
from tests.worklist.performed_step.reports import creation, final_change, scheduled_step
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import lock_items

FIRST, SECOND = "2.25.1001", "2.25.1002"
SUCCESS, DUPLICATE = 0x0000, 0x0111
Reason = MppsException.Reason


@pytest.fixture
def item(unit: Unit) -> WorklistItem:
    """Create an item."""
    return create_item(accession_number="A001")


def states(*items: WorklistItem) -> list[str]:
    """As they are now."""
    for item in items:
        item.refresh_from_db()
    return [item.status for item in items]


def exceptions() -> list[tuple[str, str]]:
    """Those that there are: the reason and the accession number of each."""
    return sorted(MppsException.objects.values_list("reason", "accession_number"))


class TestAnUnknownAccessionNumber:
    def test_mp8_is_stored_as_an_exception(self, unit: Unit, item: WorklistItem) -> None:
        named = scheduled_step(WorklistItem(accession_number="A999", study_instance_uid="1.2.3"))
        assert unit.create(FIRST, creation(named)).Status == SUCCESS
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert unit.create(FIRST, creation(named)).Status == DUPLICATE
        assert exceptions() == [(Reason.UNKNOWN_ITEM, "A999")]
        assert states(item) == ["SCHEDULED"]

    def test_mp10_does_not_keep_the_others_of_the_group(self, unit: Unit, item: WorklistItem) -> None:
        another = create_item(accession_number="A002", patient_id=item.patient_id)
        unknown = scheduled_step(WorklistItem(accession_number="A999", study_instance_uid="1.2.3"))
        assert unit.create(FIRST, creation(item, another, unknown)).Status == SUCCESS
        assert states(item, another) == ["IN PROGRESS", "IN PROGRESS"]
        assert exceptions() == [(Reason.UNKNOWN_ITEM, "A999")]
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert states(item, another) == ["COMPLETED", "COMPLETED"]


class TestSeveral:
    def test_mp9_items_of_one_step_move_together(self, unit: Unit, item: WorklistItem) -> None:
        another = create_item(accession_number="A002", patient_id=item.patient_id)
        assert unit.create(FIRST, creation(item, another)).Status == SUCCESS
        assert states(item, another) == ["IN PROGRESS", "IN PROGRESS"]
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert states(item, another) == ["COMPLETED", "COMPLETED"]

    def test_mp11_steps_at_once_keep_the_item_in_progress_until_the_last_has_ended(
        self, unit: Unit, item: WorklistItem
    ) -> None:
        for uid in (FIRST, SECOND):
            assert unit.create(uid, creation(item)).Status == SUCCESS
        assert unit.set(SECOND, final_change()).Status == SUCCESS
        assert states(item) == ["IN PROGRESS"]
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert states(item) == ["COMPLETED"]

    def test_mp12_steps_one_after_the_other_open_the_item_again(self, unit: Unit, item: WorklistItem) -> None:
        unit.create(FIRST, creation(item))
        unit.set(FIRST, final_change())
        assert states(item) == ["COMPLETED"]
        assert unit.create(SECOND, creation(item)).Status == SUCCESS
        assert states(item) == ["IN PROGRESS"]
        assert unit.set(SECOND, final_change()).Status == SUCCESS
        assert states(item) == ["COMPLETED"]

    @pytest.mark.parametrize("outcomes", [("DISCONTINUED", "COMPLETED"), ("COMPLETED", "DISCONTINUED")])
    def test_mp13_steps_of_which_one_was_completed_complete_the_item(
        self, unit: Unit, item: WorklistItem, outcomes: tuple[str, str]
    ) -> None:
        for uid, outcome in zip((FIRST, SECOND), outcomes, strict=True):
            unit.create(uid, creation(item))
            unit.set(uid, final_change(outcome))
        assert states(item) == ["COMPLETED"]


class TestWhatElseMovesAnItem:
    def test_mp24_an_item_that_manage_has_put_in_progress_is_completed_by_its_step(
        self, unit: Unit, item: WorklistItem
    ) -> None:
        with transaction.atomic():
            recompute_status(lock_items([item.pk])[0], "relay:manage", from_manage="IN PROGRESS")
        assert unit.create(FIRST, creation(item)).Status == SUCCESS
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert states(item) == ["COMPLETED"]


class TestAnotherWoman:
    def test_mp25_is_an_alarm_and_the_item_stays_as_it_is(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(FIRST, creation(item, PatientID="9990000018")).Status == SUCCESS
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert states(item) == ["SCHEDULED"]
        assert MppsException.objects.alarms().get().item == item
        assert PerformedProcedureStep.objects.get().status == "COMPLETED"

    def test_mp25_is_not_one_whose_number_is_written_in_groups(self, unit: Unit, item: WorklistItem) -> None:
        number = item.patient_id
        grouped = f"{number[:3]} {number[3:6]} {number[6:]}"
        assert unit.create(FIRST, creation(item, PatientID=grouped)).Status == SUCCESS
        assert states(item) == ["IN PROGRESS"]


class TestAnItemIsFound:
    @pytest.mark.parametrize(
        "lost",
        [
            {"AccessionNumber": ""},
            {"AccessionNumber": "", "ScheduledProcedureStepID": "", "RequestedProcedureID": ""},
            {"AccessionNumber": "", "StudyInstanceUID": "1.2.3", "RequestedProcedureID": ""},
            {"AccessionNumber": "", "StudyInstanceUID": "1.2.3", "ScheduledProcedureStepID": ""},
            {"StudyInstanceUID": "1.2.3", "ScheduledProcedureStepID": "", "RequestedProcedureID": ""},
        ],
        ids=["without accession number", "by study", "by step", "by procedure", "by accession number"],
    )
    def test_mp26_by_whatever_is_left(self, unit: Unit, item: WorklistItem, lost: dict[str, Any]) -> None:
        create_item(patient_id=item.patient_id)
        report = creation(scheduled_step(item, **lost), PatientID=item.patient_id)
        assert unit.create(FIRST, report).Status == SUCCESS
        assert states(item) == ["IN PROGRESS"]
        assert exceptions() == []

    def test_mp27_whichever_station_says_that_it_did_it(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(FIRST, creation(item, PerformedStationAETitle="VAN7")).Status == SUCCESS
        assert states(item) == ["IN PROGRESS"]
        step = PerformedProcedureStep.objects.get()
        assert (step.station_ae_title, step.calling_ae_title) == ("VAN7", "MAMMO1")
