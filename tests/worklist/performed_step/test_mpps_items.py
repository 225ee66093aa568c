"""The checks MP8 to MP13 and MP24 to MP27: which items a step changes, with a real server and database."""

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
    return create_item(accession_number="A001")


def statuses(*items: WorklistItem) -> list[str]:
    """Return the present statuses."""
    for item in items:
        item.refresh_from_db()
    return [item.status for item in items]


def exceptions() -> list[tuple[str, str]]:
    """Return the reason and the accession number of each exception."""
    return sorted(MppsException.objects.values_list("reason", "accession_number"))


class TestAnUnknownAccessionNumber:
    def test_mp8_becomes_an_exception(self, unit: Unit, item: WorklistItem) -> None:
        named = scheduled_step(WorklistItem(accession_number="A999", study_instance_uid="1.2.3"))
        assert unit.create(FIRST, creation(named)).Status == SUCCESS
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert unit.create(FIRST, creation(named)).Status == DUPLICATE
        assert exceptions() == [(Reason.UNKNOWN_ITEM, "A999")]
        assert statuses(item) == ["SCHEDULED"]

    def test_mp10_does_not_hold_up_the_other_items_of_the_step(self, unit: Unit, item: WorklistItem) -> None:
        another = create_item(accession_number="A002", patient_id=item.patient_id)
        unknown = scheduled_step(WorklistItem(accession_number="A999", study_instance_uid="1.2.3"))
        assert unit.create(FIRST, creation(item, another, unknown)).Status == SUCCESS
        assert statuses(item, another) == ["IN PROGRESS", "IN PROGRESS"]
        assert exceptions() == [(Reason.UNKNOWN_ITEM, "A999")]
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert statuses(item, another) == ["COMPLETED", "COMPLETED"]


class TestSeveral:
    def test_mp9_items_of_one_step_change_together(self, unit: Unit, item: WorklistItem) -> None:
        another = create_item(accession_number="A002", patient_id=item.patient_id)
        assert unit.create(FIRST, creation(item, another)).Status == SUCCESS
        assert statuses(item, another) == ["IN PROGRESS", "IN PROGRESS"]
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert statuses(item, another) == ["COMPLETED", "COMPLETED"]

    def test_mp11_steps_at_once_keep_the_item_in_progress_until_the_last_has_ended(
        self, unit: Unit, item: WorklistItem
    ) -> None:
        for uid in (FIRST, SECOND):
            assert unit.create(uid, creation(item)).Status == SUCCESS
        assert unit.set(SECOND, final_change()).Status == SUCCESS
        assert statuses(item) == ["IN PROGRESS"]
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert statuses(item) == ["COMPLETED"]

    def test_mp12_steps_one_after_the_other_open_the_item_again(self, unit: Unit, item: WorklistItem) -> None:
        unit.create(FIRST, creation(item))
        unit.set(FIRST, final_change())
        assert statuses(item) == ["COMPLETED"]
        assert unit.create(SECOND, creation(item)).Status == SUCCESS
        assert statuses(item) == ["IN PROGRESS"]
        assert unit.set(SECOND, final_change()).Status == SUCCESS
        assert statuses(item) == ["COMPLETED"]

    @pytest.mark.parametrize("outcomes", [("DISCONTINUED", "COMPLETED"), ("COMPLETED", "DISCONTINUED")])
    def test_mp13_steps_complete_the_item_if_one_is_completed(
        self, unit: Unit, item: WorklistItem, outcomes: tuple[str, str]
    ) -> None:
        for uid, outcome in zip((FIRST, SECOND), outcomes, strict=True):
            unit.create(uid, creation(item))
            unit.set(uid, final_change(outcome))
        assert statuses(item) == ["COMPLETED"]


class TestAnItemInProgressByManage:
    def test_mp24_is_completed_by_its_step(self, unit: Unit, item: WorklistItem) -> None:
        with transaction.atomic():
            recompute_status(lock_items([item.pk])[0], "relay:manage", from_manage="IN PROGRESS")
        assert unit.create(FIRST, creation(item)).Status == SUCCESS
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert statuses(item) == ["COMPLETED"]


class TestAnotherPatient:
    def test_mp25_raises_an_alarm_and_the_item_does_not_change(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(FIRST, creation(item, PatientID="9990000018")).Status == SUCCESS
        assert unit.set(FIRST, final_change()).Status == SUCCESS
        assert statuses(item) == ["SCHEDULED"]
        assert MppsException.objects.alarms().get().item == item
        assert PerformedProcedureStep.objects.get().status == "COMPLETED"

    def test_mp25_is_not_a_patient_whose_nhs_number_has_spaces(self, unit: Unit, item: WorklistItem) -> None:
        number = item.patient_id
        grouped = f"{number[:3]} {number[3:6]} {number[6:]}"
        assert unit.create(FIRST, creation(item, PatientID=grouped)).Status == SUCCESS
        assert statuses(item) == ["IN PROGRESS"]


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
    def test_mp26_by_the_identifiers_that_are_left(self, unit: Unit, item: WorklistItem, lost: dict[str, Any]) -> None:
        create_item(patient_id=item.patient_id)
        report = creation(scheduled_step(item, **lost), PatientID=item.patient_id)
        assert unit.create(FIRST, report).Status == SUCCESS
        assert statuses(item) == ["IN PROGRESS"]
        assert exceptions() == []

    def test_mp27_whatever_the_performed_station(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(FIRST, creation(item, PerformedStationAETitle="VAN7")).Status == SUCCESS
        assert statuses(item) == ["IN PROGRESS"]
        step = PerformedProcedureStep.objects.get()
        assert (step.station_ae_title, step.calling_ae_title) == ("VAN7", "MAMMO1")
