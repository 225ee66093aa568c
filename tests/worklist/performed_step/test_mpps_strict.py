"""The checks MP21 to MP23 with a strict modality, which is refused every fault."""

from collections.abc import Iterator

import pytest
from pydicom.datadict import tag_for_keyword

from dicom.models import Modality
from tests.dicom.raw import ERROR_COMMENT, Element
from tests.dicom.raw_mpps import reporting, started
from tests.dicom.requests import Unit, dataset
from tests.dicom.serving import port_of, serving
from tests.worklist.performed_step.conftest import UID
from tests.worklist.performed_step.reports import creation, final_change, series, without
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem

pytestmark = pytest.mark.once

MISSING, WITHOUT_VALUE, INVALID, UNKNOWN = 0x0120, 0x0121, 0x0106, 0x0105


@pytest.fixture
def unit(transactional_db: None) -> Iterator[Unit]:
    """Yield a strict modality and a server that has it in its table."""
    Modality.objects.create(ae_title="MAMMO1", is_strict=True)
    with serving() as running:
        yield Unit(port_of(running))


def stored_step() -> PerformedProcedureStep:
    return PerformedProcedureStep.objects.get()


class TestAStrictModality:
    def test_may_report_a_step_without_faults(self, unit: Unit, item: WorklistItem, begun: str) -> None:
        assert unit.set(begun, dataset(PerformedSeriesSequence=[series()])).Status == 0x0000
        assert unit.set(begun, final_change()).Status == 0x0000
        item.refresh_from_db()
        assert item.status == "COMPLETED"
        assert not MppsException.objects.exists()

    def test_mp23_is_refused_with_a_list_of_everything_missing(self, unit: Unit, item: WorklistItem) -> None:
        lacking = ("PerformedStationAETitle", "PerformedProcedureStepID", "PerformedProcedureStepStartDate", "Modality")
        answer = unit.create(UID, without(creation(item), *lacking))
        assert answer.Status == MISSING
        assert set(answer.AttributeIdentifierList) == {tag_for_keyword(keyword) for keyword in lacking}
        assert not PerformedProcedureStep.objects.exists()

    def test_may_not_leave_a_value_empty(self, unit: Unit, item: WorklistItem) -> None:
        assert unit.create(UID, creation(item, Modality="")).Status == WITHOUT_VALUE

    def test_may_not_send_an_invalid_date(self, unit: Unit, item: WorklistItem) -> None:
        answer = unit.create(UID, creation(item, PerformedProcedureStepStartDate="23.11.26"))
        assert answer.Status == INVALID
        assert str(answer.ErrorComment).startswith("PerformedProcedureStepStartDate has an invalid value")

    def test_may_not_send_a_value_that_cannot_be_read(self, unit: Unit, item: WorklistItem) -> None:
        with reporting(unit.port) as modality:
            answer = modality.create(UID, [*started("A1"), Element(0x00400314, "DS", "xy")])
        assert (answer.status, answer.text(ERROR_COMMENT)) == (INVALID, "HalfValueLayer has an invalid value")
        assert not PerformedProcedureStep.objects.exists()

    @pytest.mark.parametrize(
        "lacking", ["PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedSeriesSequence"]
    )
    def test_mp21_may_not_end_a_step_without_its_end_or_series(self, unit: Unit, begun: str, lacking: str) -> None:
        assert unit.set(begun, without(final_change(), lacking)).Status == WITHOUT_VALUE
        assert stored_step().status == "IN PROGRESS"

    def test_mp22_may_not_set_the_patient(self, unit: Unit, begun: str) -> None:
        answer = unit.set(begun, final_change(PatientName="JONES^ANN", PatientID="9990000018"))
        assert answer.Status == UNKNOWN
        assert list(answer.AttributeIdentifierList) == [0x00100010, 0x00100020]
        assert stored_step().status == "IN PROGRESS"

    def test_mp22_may_not_set_an_attribute_that_was_not_created(self, unit: Unit, begun: str) -> None:
        answer = unit.set(begun, final_change(CommentsOnThePerformedProcedureStep="none"))
        assert (answer.Status, answer.AttributeIdentifierList) == (UNKNOWN, 0x00400280)
