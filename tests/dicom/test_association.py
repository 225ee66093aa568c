"""One association on its socket: what is announced and does not come, a release within an answer, and messages within
one another."""

import struct
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from tests.dicom.requests import Unit, change, find
from tests.dicom.serving import port_of, serving
from tests.worklist.performed_step.reports import creation
from tests.worklist_fixtures import LogLines
from worklist.models import PerformedProcedureStep, WorklistItem

pytestmark = pytest.mark.once

UID = "1.2.3.4.5"


@pytest.fixture
def impatient_server_unit(transactional_db: None, item: WorklistItem) -> Iterator[Unit]:
    """A modality with a step in progress, at a server that waits 0.2 seconds for a data set."""
    with serving(data_set_seconds=0.2) as running:
        unit = Unit(port_of(running))
        assert unit.create(UID, creation(item)).Status == 0x0000
        yield unit


class TestADataSetThatIsAnnouncedAndNotSent:
    """pynetdicom's own client sends an empty data set in this way."""

    def test_mp38_is_refused_and_leaves_the_step_unchanged(self, impatient_server_unit: Unit) -> None:
        with impatient_server_unit.associated() as association:
            answer = change(association, UID, Dataset())
            assert (answer.Status, answer.ErrorComment) == (0x0110, "The data set announced has not arrived")
            assert association.send_c_echo().Status == 0x0000
        assert PerformedProcedureStep.objects.get().status == "IN PROGRESS"

    def test_of_a_query_is_refused_and_recorded_as_failed(self, impatient_server_unit: Unit, log: LogLines) -> None:
        with impatient_server_unit.associated() as association:
            answer = find(association, Dataset())
        assert (answer.statuses, answer.rows) == ([0xC000], [])
        assert answer.final.ErrorComment == "The data set announced has not arrived"
        outcome = vars(log.wait_for("worklist query ended"))["outcome"]
        assert outcome == "failed with C000: The data set announced has not arrived"

    def test_ends_the_association_if_it_arrives_late(self, impatient_server_unit: Unit) -> None:
        with impatient_server_unit.associated() as association:
            assert change(association, UID, Dataset()).Status == 0x0110
            (context, *_) = association.accepted_contexts
            late = struct.pack(">LBB", 3, context.context_id or 1, 0b10) + b"\0"
            association.dul.socket.send(struct.pack(">BBL", 4, 0, len(late)) + late)  # type: ignore[union-attr]
            association.join(10)
            assert association.is_aborted
