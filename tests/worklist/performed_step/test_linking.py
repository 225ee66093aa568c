"""Which items a step belongs to, and what a person is told where that is not clear."""

from typing import Any

import pytest
from django.db import transaction
from pydicom.dataset import Dataset

from core.models import AuditLog
from tests.dicom.requests import dataset
from tests.factories import WorklistItemFactory, item_of_an_action
from tests.worklist.performed_step.reports import by_number, create_step, final_change, scheduled_step, set_step
from worklist.models import ItemChange, MppsException, PerformedProcedureStep, StepLink, WorklistItem
from worklist.performed_step.linking import LINKING_ORDER, item_of, open_exception
from worklist.performed_step.report import ScheduledStep

pytestmark = pytest.mark.django_db

Reason = MppsException.Reason


def exceptions() -> list[tuple[str, str, str]]:
    """Reason, accession number and resolution of each, the oldest first."""
    rows = MppsException.objects.order_by("created_at")
    return list(rows.values_list("reason", "accession_number", "resolution"))


def status_of(item: WorklistItem) -> str:
    """As it is stored."""
    return WorklistItem.objects.values_list("status", flat=True).get(pk=item.pk)


class TestAnItemIsFound:
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
    def test_by_each_of_these_alone(self, named: set[str]) -> None:
        item = WorklistItemFactory.create()
        WorklistItemFactory.create()
        whole = scheduled_step(item)
        step = dataset(**{keyword: whole[keyword].value if keyword in named else "" for keyword in whole.dir()})
        create_step("1.1", step, PatientID=item.patient_id)
        assert StepLink.objects.get().item_id == item.pk

    @pytest.mark.parametrize("stronger", range(len(LINKING_ORDER)))
    def test_by_the_strongest_that_finds_one(self, stronger: int) -> None:
        """Whatever the weaker ones say: each of them names an item of its own."""
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

    def test_by_the_accession_number_where_the_machine_has_made_the_study(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        assert item_of(ScheduledStep("1.2.3", "A1"), "") == item

    @pytest.mark.parametrize("patient_id", ["", "P2"])
    def test_by_a_short_id_only_together_with_the_patient(self, patient_id: str) -> None:
        WorklistItemFactory.create(requested_procedure_id="RP1", patient_id="P1")
        assert item_of(ScheduledStep("1.2.3", requested_procedure_id="RP1"), patient_id) is None

    def test_by_nothing_that_two_items_have(self) -> None:
        for _ in range(2):
            WorklistItemFactory.create(study_instance_uid="1.2.3")
        assert item_of(ScheduledStep("1.2.3"), "") is None

    def test_by_nothing_that_is_empty(self) -> None:
        WorklistItemFactory.create()
        assert item_of(ScheduledStep(), "") is None


class TestSeveralItems:
    def test_of_one_step_all_change(self) -> None:
        items = [WorklistItemFactory.create(patient_id="P1") for _ in range(2)]
        create_step("1.1", *map(scheduled_step, items), PatientID="P1")
        assert [status_of(item) for item in items] == ["IN PROGRESS"] * 2
        set_step("1.1", final_change())
        assert [status_of(item) for item in items] == ["COMPLETED"] * 2

    def test_of_which_one_is_not_known_the_others_change_and_that_one_is_told(self) -> None:
        items = [WorklistItemFactory.create() for _ in range(2)]
        create_step("1.1", *map(scheduled_step, items), by_number("GONE"))
        assert [status_of(item) for item in items] == ["IN PROGRESS"] * 2
        assert exceptions() == [("unknown_item", "GONE", "")]

    def test_that_are_one_and_the_same_are_linked_once(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item), by_number("A1"))
        assert StepLink.objects.count() == 1


class TestAPersonIsTold:
    @pytest.mark.parametrize(
        "steps",
        [(), (dataset(StudyInstanceUID="1.2.3"),), (dataset(StudyInstanceUID="1.2.3", AccessionNumber=""),)],
    )
    def test_of_a_step_that_names_no_item(self, steps: tuple[Dataset, ...]) -> None:
        WorklistItemFactory.create()
        create_step("1.1", *steps)
        assert ("unscheduled", "", "") in exceptions()
        assert not StepLink.objects.exists()

    def test_of_an_accession_number_that_no_item_has(self) -> None:
        create_step("1.1", by_number("A1"))
        set_step("1.1", final_change())
        assert exceptions() == [("unknown_item", "A1", "")]
        assert PerformedProcedureStep.objects.get().status == "COMPLETED"

    def test_of_another_womans_item_and_the_item_does_not_change(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1", patient_id="9990000018")
        create_step("1.1", scheduled_step(item), PatientID="9990000026")
        set_step("1.1", final_change())
        assert exceptions() == [("wrong_patient", "A1", "")]
        assert (status_of(item), StepLink.objects.exists(), ItemChange.objects.exists()) == ("SCHEDULED", False, False)
        assert MppsException.objects.alarms().get().item == item

    def test_of_nothing_where_the_nhs_number_has_spaces_or_is_not_given(self) -> None:
        item = WorklistItemFactory.create(patient_id="9990000018")
        create_step("1.1", scheduled_step(item), PatientID="999 000 0018")
        create_step("1.2", scheduled_step(item), PatientID="")
        assert (exceptions(), StepLink.objects.count()) == ([], 2)

    def test_of_an_item_that_manage_has_discontinued_and_it_stays_so(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1", status="DISCONTINUED", cloud_status="DISCONTINUED")
        create_step("1.1", scheduled_step(item))
        assert (exceptions(), status_of(item)) == ([("contradicts_cloud", "A1", "")], "DISCONTINUED")

    def test_once_for_each_reason(self) -> None:
        step = create_step("1.1", by_number("A1"))
        open_exception(step, Reason.UNKNOWN_ITEM, accession_number="A1")
        assert MppsException.objects.count() == 1

    def test_without_anybodys_data_in_the_audit_log(self) -> None:
        item = WorklistItemFactory.create(patient_id="9990000018")
        create_step("1.1", scheduled_step(item), by_number("GONE"), PatientID="9990000026", PatientName="SECRETARY^ZOE")
        written = str(list(AuditLog.objects.values()))
        assert not [word for word in ("SECRETARY", "9990000018", "9990000026") if word in written]


class TestAnItemThatComesAfterItsStep:
    def arrive(self, **changes: Any) -> WorklistItem:
        """Manage's action comes at last."""
        return item_of_an_action(accession_number="A1", participant__nhs_number="9990000018", **changes)

    @pytest.mark.parametrize("status", ["COMPLETED", "DISCONTINUED"])
    def test_is_linked_and_stands_as_the_step_does(self, status: str) -> None:
        create_step("1.1", by_number("A1"), PatientID="9990000018")
        set_step("1.1", final_change(status))
        item = self.arrive()
        assert (status_of(item), exceptions()) == (status, [("unknown_item", "A1", "settled")])
        assert list(ItemChange.objects.values_list("status", "performed__status")) == [(status, status)]

    def test_follows_what_the_step_still_becomes(self) -> None:
        create_step("1.1", by_number("A1"))
        item = self.arrive()
        assert status_of(item) == "IN PROGRESS"
        set_step("1.1", final_change())
        assert status_of(item) == "COMPLETED"

    def test_is_linked_with_all_steps_that_have_named_it(self) -> None:
        for uid in ("1.1", "1.2"):
            create_step(uid, by_number("A1"))
        set_step("1.1", final_change())
        assert status_of(self.arrive()) == "IN PROGRESS"
        assert StepLink.objects.count() == 2

    def test_of_another_woman_is_not_linked_and_a_person_is_told(self) -> None:
        create_step("1.1", by_number("A1"), PatientID="9990000026")
        item = self.arrive()
        assert status_of(item) == "SCHEDULED"
        assert exceptions() == [("unknown_item", "A1", "settled"), ("wrong_patient", "A1", "")]

    def test_is_not_linked_with_a_step_that_a_person_has_dealt_with(self) -> None:
        create_step("1.1", by_number("A1"))
        MppsException.objects.update(resolution="dismissed")
        assert status_of(self.arrive()) == "SCHEDULED"

    def test_stands_as_if_it_had_come_before(self) -> None:
        create_step("1.1", by_number("A1"))
        set_step("1.1", final_change())
        late = self.arrive()
        early = WorklistItemFactory.create()
        create_step("1.2", scheduled_step(early))
        set_step("1.2", final_change())
        assert status_of(late) == status_of(early)

    def test_leaves_nothing_linked_where_the_action_is_undone(self) -> None:
        create_step("1.1", by_number("A1"))
        with transaction.atomic():
            self.arrive()
            transaction.set_rollback(True)
        assert (exceptions(), StepLink.objects.exists()) == ([("unknown_item", "A1", "")], False)


class TestWhoItWas:
    """Where the machine gives no Patient ID."""

    @pytest.mark.parametrize("said", [{"PatientName": "JONES^MARY"}, {"PatientBirthDate": "19500101"}])
    def test_another_name_or_birth_date_is_another_woman(self, said: dict[str, Any]) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item), **said)
        assert exceptions() == [("wrong_patient", "A1", "")]
        assert not StepLink.objects.exists()

    @pytest.mark.parametrize("name", ["Smith^J", "SMITH", "smith^jane=x", ""])
    def test_the_same_name_in_another_spelling_is_not(self, name: str) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item), PatientName=name, PatientBirthDate="19700321")
        assert exceptions() == []

    def test_an_accession_number_that_is_not_the_items_is_told_to_a_person(self) -> None:
        item = WorklistItemFactory.create(accession_number="A1")
        create_step("1.1", scheduled_step(item, AccessionNumber="A2"))
        assert exceptions() == [("ignored_attributes", "A1", "")]
        assert MppsException.objects.get().detail == "AccessionNumber"


class TestAReportOfVeryManyItems:
    def test_is_linked_with_the_first_hundred_and_told_to_a_person(self) -> None:
        create_step("1.1", *(by_number(f"N{number}") for number in range(105)))
        assert len(exceptions()) == 101
        assert MppsException.objects.get(reason="missing_attributes").detail == "ScheduledStepAttributesSequence"
