"""Messages of which a part never comes."""

import struct
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from tests.dicom.requests import Unit, change, find
from tests.dicom.serving import port_of, serving
from tests.worklist.performed_step.full_reports import started
from worklist.models import PerformedProcedureStep, WorklistItem

UID = "1.2.3.4.5"


@pytest.fixture
def hasty(transactional_db: None, item: WorklistItem) -> Iterator[Unit]:
    """At a server that waits for a data set for no time at all, with a step in progress."""
    with serving(data_set_seconds=0.2) as running:
        unit = Unit(port_of(running))
        assert unit.create(UID, started(item)).Status == 0x0000
        yield unit


class TestADataSetThatIsAnnouncedAndDoesNotCome:
    """As pynetdicom's own client does with an empty one."""

    def test_mp38_is_an_empty_one_and_the_step_stays_as_it_was(self, hasty: Unit) -> None:
        with hasty.associated() as association:
            assert change(association, UID, Dataset()).Status == 0x0120
            assert association.send_c_echo().Status == 0x0000
        assert PerformedProcedureStep.objects.get().status == "IN PROGRESS"

    def test_of_a_query_is_one_that_asks_for_everything(self, hasty: Unit) -> None:
        with hasty.associated() as association:
            assert find(association, Dataset()).statuses[-1] == 0x0000

    def test_ends_the_association_when_it_comes_after_all(self, hasty: Unit) -> None:
        with hasty.associated() as association:
            assert change(association, UID, Dataset()).Status == 0x0120
            (context, *_) = association.accepted_contexts
            late = struct.pack(">LBB", 3, context.context_id or 1, 0b10) + b"\0"
            association.dul.socket.send(struct.pack(">BBL", 4, 0, len(late)) + late)  # type: ignore[union-attr]
            association.join(10)
            assert association.is_aborted
