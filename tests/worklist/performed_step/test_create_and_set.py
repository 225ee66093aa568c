"""N-CREATE and N-SET store everything about a step, or nothing."""

from datetime import date, time, timedelta

import pytest
from django.utils import timezone

from core.models import AuditLog
from tests.dicom.requests import dataset
from tests.factories import WorklistItemFactory
from tests.worklist.performed_step.reports import (
    by_number,
    create_step,
    creation,
    final_change,
    scheduled_step,
    sent_without_character_set,
    series,
    set_step,
)
from worklist.models import ItemChange, MppsException, PerformedProcedureStep, StepLink, WorklistItem
from worklist.performed_step.abandoned_steps import ABANDONED_AFTER, flag_abandoned
from worklist.performed_step.create_and_set import (
    DuplicateInstance,
    NoSuchInstance,
    ReportingModality,
    StepIsFinal,
)
from worklist.performed_step.report import STATUS, ReportRefused, from_json

pytestmark = pytest.mark.django_db

STRICT = ReportingModality("MAMMO1", "127.0.0.1", is_strict=True)
Reason = MppsException.Reason


@pytest.fixture
def item() -> WorklistItem:
    """Create an item."""
    return WorklistItemFactory.create(accession_number="A1")


def flagged(reason: MppsException.Reason) -> list[str]:
    """Return the details of the exceptions with this reason."""
    return list(MppsException.objects.filter(reason=reason).values_list("detail", flat=True))


def nothing_is_stored() -> bool:
    """Return whether nothing was stored."""
    return not any(model.objects.exists() for model in (PerformedProcedureStep, StepLink, MppsException, ItemChange))


class TestNCreate:
    def test_stores_the_step_and_the_modality_that_sent_it(self, item: WorklistItem) -> None:
        step = create_step("1.1", scheduled_step(item), PatientID=item.patient_id)
        assert (step.status, step.calling_ae_title, step.address) == ("IN PROGRESS", "MAMMO1", "127.0.0.1")
        assert (step.correlation_id, step.station_ae_title) == ("c0ffee", "MAMMO1")
        assert (step.start_date, step.start_time) == (date(2026, 11, 23), time(14, 31, 7))
        assert [each.pk for each in step.items.all()] == [item.pk]

    def test_with_a_known_uid_is_a_duplicate_and_changes_nothing(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        before = PerformedProcedureStep.objects.values().get()
        with pytest.raises(DuplicateInstance):
            create_step("1.1", by_number("A2"), PerformedStationAETitle="OTHER")
        assert PerformedProcedureStep.objects.values().get() == before
        assert (ItemChange.objects.count(), MppsException.objects.count()) == (1, 0)

    def test_that_is_refused_stores_nothing(self, item: WorklistItem) -> None:
        with pytest.raises(ReportRefused):
            create_step("1.1", scheduled_step(item), PerformedProcedureStepStatus="COMPLETED")
        assert nothing_is_stored()

    def test_with_missing_attributes_is_stored_and_flagged_without_values(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), Modality=None, PerformedProcedureStepStartDate="SMITH")
        assert flagged(Reason.MISSING_ATTRIBUTES) == ["Modality, PerformedProcedureStepStartDate"]

    def test_with_missing_attributes_is_refused_from_a_strict_modality(self, item: WorklistItem) -> None:
        with pytest.raises(ReportRefused):
            create_step("1.1", scheduled_step(item), modality=STRICT, Modality=None)
        assert nothing_is_stored()


class TestNSet:
    def test_of_an_unknown_uid_is_refused(self) -> None:
        with pytest.raises(NoSuchInstance):
            set_step("1.1", final_change())

    def test_without_a_final_status_leaves_the_step_in_progress(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        step = set_step("1.1", dataset(PerformedSeriesSequence=[series(images=2)]))
        assert (step.status, step.images, ItemChange.objects.count()) == ("IN PROGRESS", 2, 1)

    def test_without_attributes_is_refused_and_changes_nothing(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        with pytest.raises(ReportRefused, match="Every attribute is missing"):
            set_step("1.1", dataset())
        assert ItemChange.objects.count() == 1

    def test_that_first_names_another_patient_leaves_the_item_alone_and_raises_an_alarm(
        self, item: WorklistItem
    ) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change(PatientID="9990004444"))
        item.refresh_from_db()
        assert item.status == "SCHEDULED"
        assert MppsException.objects.alarms().get().item == item

    def test_that_contradicts_the_patient_of_the_n_create_raises_an_alarm(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), PatientID=item.patient_id)
        set_step("1.1", final_change(PatientID="9990004444"))
        item.refresh_from_db()
        assert item.status == "COMPLETED"
        assert MppsException.objects.alarms().get().item == item

    @pytest.mark.parametrize("name", ["ZZ^B\\", "\\", "A\\\\B"])
    def test_ends_a_step_whose_operators_have_empty_names(self, item: WorklistItem, name: str) -> None:
        create_step("1.1", scheduled_step(item), PerformedSeriesSequence=[series(OperatorsName=name)])
        assert set_step("1.1", dataset(PerformedProcedureStepStatus="DISCONTINUED")).status == "DISCONTINUED"

    def test_without_a_character_set_is_read_in_that_of_the_n_create(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), SpecificCharacterSet="ISO_IR 192")
        set_step("1.1", sent_without_character_set(dataset(PerformedProcedureStepDescription="Ü李")))
        assert "\\u00dc\\u674e" in PerformedProcedureStep.objects.get().data_set

    @pytest.mark.parametrize("last", ["COMPLETED", "DISCONTINUED"])
    def test_of_a_step_that_has_ended_is_refused(self, item: WorklistItem, last: str) -> None:
        create_step("1.1", scheduled_step(item))
        before = set_step("1.1", final_change(last))
        for received in (final_change(last), final_change("IN PROGRESS"), dataset()):
            with pytest.raises(StepIsFinal):
                set_step("1.1", received)
        assert PerformedProcedureStep.objects.get().updated_at == before.updated_at

    def test_that_is_refused_changes_nothing(self, item: WorklistItem) -> None:
        step = create_step("1.1", scheduled_step(item))
        with pytest.raises(ReportRefused):
            set_step("1.1", final_change("FOO"))
        assert PerformedProcedureStep.objects.get().data_set == step.data_set

    def test_without_series_or_end_is_flagged_and_ends_at_the_time_of_receipt(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        step = set_step("1.1", dataset(**{STATUS: "COMPLETED"}))
        assert step.end_date == timezone.localdate()
        assert flagged(Reason.MISSING_ATTRIBUTES) == [
            "PerformedProcedureStepEndDate, PerformedProcedureStepEndTime, PerformedSeriesSequence"
        ]

    @pytest.mark.parametrize(
        ("keyword", "value"),
        [("PerformedProcedureStepEndDate", "2026.03.17"), ("PerformedProcedureStepEndTime", "103209123")],
    )
    def test_with_a_broken_end_keeps_it_as_it_came_and_marks_what_is_assumed(
        self, item: WorklistItem, keyword: str, value: str
    ) -> None:
        create_step("1.1", scheduled_step(item))
        before = timezone.localtime().replace(microsecond=0, tzinfo=None)
        step = set_step("1.1", final_change(**{keyword: value}))
        assert from_json(step.data_set)[keyword].value == value
        assert step.ended_at is not None
        assert before <= step.ended_at <= timezone.localtime().replace(tzinfo=None)  # and no mixture of both clocks
        assert flagged(Reason.MISSING_ATTRIBUTES) == [keyword]
        assert step.report()["ended_at_is_assumed"] is True
        assert item.changes.get(status="COMPLETED").performed == step.report()

    def test_with_its_end_assumes_nothing(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        step = set_step("1.1", final_change())
        assert (step.end_is_assumed, "ended_at_is_assumed" in step.report()) == (False, False)

    def test_without_series_or_end_is_refused_from_a_strict_modality(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        with pytest.raises(ReportRefused):
            set_step("1.1", dataset(**{STATUS: "COMPLETED"}), STRICT)
        assert PerformedProcedureStep.objects.get().status == "IN PROGRESS"

    def test_of_attributes_that_may_not_be_set_is_ignored_and_flagged(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), PatientID="P1")
        step = set_step("1.1", final_change(PatientName="SECRETARY^ZOE", PatientID="P2"))
        assert (step.patient_id, "SECRETARY" in step.data_set) == ("P1", False)
        assert flagged(Reason.IGNORED_ATTRIBUTES) == ["PatientName, PatientID"]

    def test_of_text_is_read_in_the_character_set_of_the_n_create(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item), SpecificCharacterSet="ISO_IR 100")
        step = set_step("1.1", final_change(PerformedProcedureStepDescription="Übersicht"))
        assert from_json(step.data_set).PerformedProcedureStepDescription == "Übersicht"

    def test_is_audited_without_personal_data(self, item: WorklistItem) -> None:
        step = create_step("1.1", scheduled_step(item), PatientName="SECRETARY^ZOE", PatientID=item.patient_id)
        set_step("1.1", final_change(PerformedSeriesSequence=[series(images=4, OperatorsName="ROSE^RADIOGRAPHER")]))
        rows = AuditLog.objects.filter(object_id=step.pk)
        assert sorted(rows.values_list("operation", "actor")) == [
            ("create", "modality:MAMMO1"),
            ("update", "modality:MAMMO1"),
        ]
        written = str(list(AuditLog.objects.values()))
        assert not [word for word in ("SECRETARY", "ROSE", item.patient_id) if word in written]


class TestAnAbandonedStep:
    def age(self) -> None:
        """Let more than a day pass."""
        PerformedProcedureStep.objects.update(created_at=timezone.now() - ABANDONED_AFTER - timedelta(minutes=1))

    def test_becomes_one_exception_after_a_day_and_stays_in_progress(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        assert flag_abandoned() == 0
        self.age()
        assert (flag_abandoned(), flag_abandoned()) == (1, 0)
        item.refresh_from_db()
        assert item.status == "IN PROGRESS"

    def test_that_ends_later_settles_its_exception(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        self.age()
        flag_abandoned()
        set_step("1.1", final_change())
        assert list(MppsException.objects.values_list("reason", "resolution")) == [("abandoned", "settled")]

    def test_does_not_include_a_step_that_has_ended(self, item: WorklistItem) -> None:
        create_step("1.1", scheduled_step(item))
        set_step("1.1", final_change())
        self.age()
        assert flag_abandoned() == 0


def test_the_reports_of_these_tests_satisfy_a_strict_modality(item: WorklistItem) -> None:
    create_step("1.1", scheduled_step(item), modality=STRICT)
    set_step("1.1", final_change(), STRICT)
    assert not MppsException.objects.exists()
    assert creation(scheduled_step(item)) == creation(scheduled_step(item))
