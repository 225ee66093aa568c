"""What is refused to a modality that is held to every rule, for acceptance tests: the strict halves of MP21 to MP23."""

from collections.abc import Iterator

import pytest
from pydicom.datadict import tag_for_keyword

from dicom.models import Modality
from tests.dicom.requests import Unit, dataset
from tests.dicom.serving import port_of, serving
from tests.factories import create as create_item
from tests.worklist.performed_step.full_reports import ended, series, started, without
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem

UID = "2.25.1001"
MISSING, WITHOUT_VALUE, INVALID, UNKNOWN = 0x0120, 0x0121, 0x0106, 0x0105


@pytest.fixture
def strict(transactional_db: None) -> Iterator[Unit]:
    """Such a modality, and a server that knows it."""
    Modality.objects.create(ae_title="MAMMO1", is_strict=True)
    with serving() as running:
        yield Unit(port_of(running))


@pytest.fixture
def item(strict: Unit) -> WorklistItem:
    """A woman on the list."""
    return create_item(accession_number="A001")


@pytest.fixture
def begun(strict: Unit, item: WorklistItem) -> str:
    """Her step, begun."""
    assert strict.create(UID, started(item)).Status == 0x0000
    return UID


def step() -> PerformedProcedureStep:
    """The one that there is."""
    return PerformedProcedureStep.objects.get()


class TestAStrictModality:
    def test_may_do_what_is_right(self, strict: Unit, item: WorklistItem, begun: str) -> None:
        assert strict.set(begun, dataset(PerformedSeriesSequence=[series()])).Status == 0x0000
        assert strict.set(begun, ended()).Status == 0x0000
        item.refresh_from_db()
        assert item.status == "COMPLETED"
        assert not MppsException.objects.exists()

    def test_mp23_is_told_all_that_is_missing(self, strict: Unit, item: WorklistItem) -> None:
        lacking = ("PerformedStationAETitle", "PerformedProcedureStepID", "PerformedProcedureStepStartDate", "Modality")
        answer = strict.create(UID, without(started(item), *lacking))
        assert answer.Status == MISSING
        assert set(answer.AttributeIdentifierList) == {tag_for_keyword(keyword) for keyword in lacking}
        assert not PerformedProcedureStep.objects.exists()

    def test_may_not_leave_a_value_empty(self, strict: Unit, item: WorklistItem) -> None:
        assert strict.create(UID, started(item, Modality="")).Status == WITHOUT_VALUE

    def test_may_not_write_nonsense_for_a_date(self, strict: Unit, item: WorklistItem) -> None:
        answer = strict.create(UID, started(item, PerformedProcedureStepStartDate="23.11.26"))
        assert answer.Status == INVALID
        assert str(answer.ErrorComment).startswith("PerformedProcedureStepStartDate has a value")

    @pytest.mark.parametrize(
        "lacking", ["PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedSeriesSequence"]
    )
    def test_mp21_may_not_end_without_saying_when_or_with_what(self, strict: Unit, begun: str, lacking: str) -> None:
        assert strict.set(begun, without(ended(), lacking)).Status == WITHOUT_VALUE
        assert step().status == "IN PROGRESS"

    def test_mp22_may_not_set_who_she_is(self, strict: Unit, begun: str) -> None:
        answer = strict.set(begun, ended(PatientName="JONES^ANN", PatientID="9990000018"))
        assert answer.Status == UNKNOWN
        assert list(answer.AttributeIdentifierList) == [0x00100010, 0x00100020]
        assert step().status == "IN PROGRESS"

    def test_mp22_may_not_set_what_was_not_created(self, strict: Unit, begun: str) -> None:
        answer = strict.set(begun, ended(CommentsOnThePerformedProcedureStep="none"))
        assert (answer.Status, answer.AttributeIdentifierList) == (UNKNOWN, 0x00400280)
