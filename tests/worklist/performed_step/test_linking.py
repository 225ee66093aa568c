"""Link a step to its items, and open exceptions for staff if that fails."""

from typing import Any

import pytest
from django.db import transaction
from pydicom.dataset import Dataset

from core.models import AuditLog
from dicom.models import Modality
from tests.dicom.requests import dataset
from tests.factories import WorklistItemFactory, item_of_an_action
from tests.worklist.performed_step.reports import (
    MODALITY,
    by_number,
    create_step,
    final_change,
    scheduled_step,
    set_step,
)
from worklist.models import ItemChange, MppsException, PerformedProcedureStep, StepLink, WorklistItem
from worklist.performed_step.identity import ScheduledStep
from worklist.performed_step.linking import LINKING_ORDER, item_of, open_exception

pytestmark = pytest.mark.django_db

Reason = MppsException.Reason


def exceptions() -> list[tuple[str, str, str]]:
    """Return the reason, accession number and resolution of each, the oldest first."""
    rows = MppsException.objects.order_by("created_at")
    return list(rows.values_list("reason", "accession_number", "resolution"))


def status_of(item: WorklistItem) -> str:
    return WorklistItem.objects.values_list("status", flat=True).get(pk=item.pk)


class TestFindingAnItem:
    @pytest.mark.parametrize(
        "named",
        [
            {"StudyInstanceUID", "ScheduledProcedureStepID"},
            {"AccessionNumber"},
            {"StudyInstanceUID"},
            {"RequestedProcedureID"},
            {"ScheduledProcedureStepID"},
        ],
    )
    def test_succeeds_by_each_of_these_alone(self, named: set[str]) -> None:
        item = WorklistItemFactory.create()
        WorklistItemFactory.create()
        whole = scheduled_step(item)
        step = dataset(**{keyword: whole[keyword].value if keyword in named else "" for keyword in whole.dir()})
        create_step("1.1", step, PatientID=item.patient_id)
        assert StepLink.objects.get().item_id == item.pk

    @pytest.mark.parametrize("stronger", range(len(LINKING_ORDER)))
    def test_prefers_the_strongest_identifier(self, stronger: int) -> None:
        """The weaker identifiers name other items."""
        items = [WorklistItemFactory.create(patient_id="P1") for _ in LINKING_ORDER]
        one, other = items[stronger], items[stronger - 1]
        values = {
            "study_instance_uid": (one if stronger in (0, 2) else other if stronger < 2 else None, "1.2.3"),
            "accession_number": (one if stronger == 1 else other if stronger == 0 else None, ""),
            "requested_procedure_id": (one if stronger == 3 else other if stronger < 3 else None, ""),
            "scheduled_procedure_step_id": (one if stronger in (0, 4) else None, ""),
        }
        named = ScheduledStep(
            **{name: getattr(item, name) if item else other for name, (item, other) in values.items()}
        )
        assert item_of(named, "P1") == one

    def test_uses_the_accession_number_if_the_modality_made_the_study_uid(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        assert item_of(ScheduledStep("1.2.3", "A1"), "") == item

    @pytest.mark.parametrize("patient_id", ["", "P2"])
    def test_needs_the_patient_id_beside_a_short_identifier(self, patient_id: str) -> None:
        WorklistItemFactory.create(requested_procedure_id="RP1", patient_id="P1")
        assert item_of(ScheduledStep("1.2.3", requested_procedure_id="RP1"), patient_id) is None

    def test_fails_by_an_identifier_of_two_items(self) -> None:
        for _ in range(2):
            WorklistItemFactory.create(study_instance_uid="1.2.3")
        assert item_of(ScheduledStep("1.2.3"), "") is None

    def test_fails_by_empty_identifiers(self) -> None:
        WorklistItemFactory.create()
        assert item_of(ScheduledStep(), "") is None


class TestSeveralItems:
    def test_of_one_step_change_together(self) -> None:
        items = [WorklistItemFactory.create(patient_id="P1") for _ in range(2)]
        create_step("1.1", *map(scheduled_step, items), PatientID="P1")
        assert [status_of(item) for item in items] == ["IN PROGRESS"] * 2
        set_step("1.1", final_change())
        assert [status_of(item) for item in items] == ["COMPLETED"] * 2

    def test_change_even_if_one_more_is_unknown_and_becomes_an_exception(self) -> None:
        items = [WorklistItemFactory.create() for _ in range(2)]
        create_step("1.1", *map(scheduled_step, items), by_number("GONE"))
        assert [status_of(item) for item in items] == ["IN PROGRESS"] * 2
        assert exceptions() == [("unknown_item", "GONE", "")]

    def test_that_are_the_same_item_are_linked_once(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item), by_number("A1"))
        assert StepLink.objects.count() == 1


class TestATestMachine:
    @pytest.fixture(autouse=True)
    def machine(self) -> None:
        Modality.objects.create(ae_title=MODALITY.ae_title, is_test_machine=True)

    def test_takes_no_woman_off_the_list(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        assert status_of(item) == "SCHEDULED"
        assert exceptions() == [("test_machine", "A1", "")]
        assert not StepLink.objects.exists()

    def test_takes_none_off_the_list_that_arrives_after_its_report(self) -> None:
        create_step("1.1", by_number("A1"))
        item = item_of_an_action(accession_number="A1")
        assert status_of(item) == "SCHEDULED"
        assert ("test_machine", "A1", "") in exceptions()

    def test_performs_a_test_item(self) -> None:
        item = WorklistItemFactory.create(is_test=True)
        create_step("1.1", scheduled_step(item))
        assert status_of(item) == "IN PROGRESS"


class TestExceptions:
    @pytest.mark.parametrize(
        "steps",
        [(), (dataset(StudyInstanceUID="1.2.3"),), (dataset(StudyInstanceUID="1.2.3", AccessionNumber=""),)],
    )
    def test_include_a_step_that_names_no_item(self, steps: tuple[Dataset, ...]) -> None:
        WorklistItemFactory.create()
        create_step("1.1", *steps)
        assert ("unscheduled", "", "") in exceptions()
        assert not StepLink.objects.exists()

    def test_include_an_accession_number_without_an_item(self) -> None:
        create_step("1.1", by_number("A1"))
        set_step("1.1", final_change())
        assert exceptions() == [("unknown_item", "A1", "")]
        assert PerformedProcedureStep.objects.get().status == "COMPLETED"

    def test_include_an_item_of_another_patient_which_does_not_change(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1", patient_id="9990000018")
        create_step("1.1", scheduled_step(item), PatientID="9990000026")
        set_step("1.1", final_change())
        assert exceptions() == [("wrong_patient", "A1", "")]
        assert (status_of(item), StepLink.objects.exists(), ItemChange.objects.exists()) == ("SCHEDULED", False, False)
        assert MppsException.objects.alarms().get().item == item

    def test_do_not_include_an_nhs_number_with_spaces_or_a_missing_one(self) -> None:
        item = WorklistItemFactory.create(patient_id="9990000018")
        create_step("1.1", scheduled_step(item), PatientID="999 000 0018")
        create_step("1.2", scheduled_step(item), PatientID="")
        assert (exceptions(), StepLink.objects.count()) == ([], 2)

    def test_include_an_item_that_manage_discontinued_which_does_not_change(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1", status="DISCONTINUED", cloud_status="DISCONTINUED")
        create_step("1.1", scheduled_step(item))
        assert (exceptions(), status_of(item)) == ([("contradicts_cloud", "A1", "")], "DISCONTINUED")

    def test_are_opened_once_for_each_reason(self) -> None:
        step = create_step("1.1", by_number("A1"))
        open_exception(step, Reason.UNKNOWN_ITEM, accession_number="A1")
        assert MppsException.objects.count() == 1

    def test_put_no_personal_data_into_the_audit_log(self) -> None:
        item = WorklistItemFactory.create(patient_id="9990000018")
        create_step("1.1", scheduled_step(item), by_number("GONE"), PatientID="9990000026", PatientName="SECRETARY^ZOE")
        written = str(list(AuditLog.objects.values()))
        assert not [word for word in ("SECRETARY", "9990000018", "9990000026") if word in written]


class TestAnItemCreatedAfterItsStep:
    def create_item(self, **changes: Any) -> WorklistItem:
        """Create the item that the step has named, by an action of Manage."""
        return item_of_an_action(accession_number="A1", participant__nhs_number="9990000018", **changes)

    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
    def test_is_linked_and_gets_the_status_of_the_step(self, status: str) -> None:
        create_step("1.1", by_number("A1"), PatientID="9990000018")
        set_step("1.1", final_change(status))
        item = self.create_item()
        assert (status_of(item), exceptions()) == (status, [("unknown_item", "A1", "settled")])
        assert list(ItemChange.objects.values_list("status", "performed__status")) == [(status, status)]

    def test_follows_later_changes_of_the_step(self) -> None:
        create_step("1.1", by_number("A1"))
        item = self.create_item()
        assert status_of(item) == "IN PROGRESS"
        set_step("1.1", final_change())
        assert status_of(item) == "COMPLETED"

    def test_is_linked_with_every_step_that_named_it(self) -> None:
        for uid in ("1.1", "1.2"):
            create_step(uid, by_number("A1"))
        set_step("1.1", final_change())
        assert status_of(self.create_item()) == "IN PROGRESS"
        assert StepLink.objects.count() == 2

    def test_of_another_patient_is_not_linked_and_becomes_an_exception(self) -> None:
        create_step("1.1", by_number("A1"), PatientID="9990000026")
        item = self.create_item()
        assert status_of(item) == "SCHEDULED"
        assert exceptions() == [("unknown_item", "A1", "settled"), ("wrong_patient", "A1", "")]

    def test_is_not_linked_with_a_step_whose_exception_is_resolved(self) -> None:
        create_step("1.1", by_number("A1"))
        MppsException.objects.update(resolution="dismissed")
        assert status_of(self.create_item()) == "SCHEDULED"

    def test_has_the_same_status_as_one_created_before(self) -> None:
        create_step("1.1", by_number("A1"))
        set_step("1.1", final_change())
        late = self.create_item()
        early = WorklistItemFactory.create()
        create_step("1.2", scheduled_step(early))
        set_step("1.2", final_change())
        assert status_of(late) == status_of(early)

    def test_is_not_linked_if_the_action_is_rolled_back(self) -> None:
        create_step("1.1", by_number("A1"))
        with transaction.atomic():
            self.create_item()
            transaction.set_rollback(True)
        assert (exceptions(), StepLink.objects.exists()) == ([("unknown_item", "A1", "")], False)


class TestThePatientWithoutAPatientId:
    @pytest.mark.parametrize("patient", [{"PatientName": "JONES^MARY"}, {"PatientBirthDate": "19500101"}])
    def test_is_another_one_by_name_or_birth_date(self, patient: dict[str, Any]) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item), **patient)
        assert exceptions() == [("wrong_patient", "A1", "")]
        assert not StepLink.objects.exists()

    @pytest.mark.parametrize("name", ["Smith^J", "SMITH", "smith^jane=x", ""])
    def test_is_the_same_one_if_the_name_is_spelt_differently(self, name: str) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item), PatientName=name, PatientBirthDate="19700321")
        assert exceptions() == []

    def test_a_different_accession_number_is_flagged(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item, AccessionNumber="A2"))
        assert exceptions() == [("ignored_attributes", "A1", "")]
        assert MppsException.objects.get().detail == "AccessionNumber"


class TestAReportAboutManyItems:
    def test_is_linked_with_the_first_hundred_and_flagged(self) -> None:
        create_step("1.1", *(by_number(f"N{number}") for number in range(105)))
        assert len(exceptions()) == 101
        assert MppsException.objects.get(reason="missing_attributes").detail == "ScheduledStepAttributesSequence"
