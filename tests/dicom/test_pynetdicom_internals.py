"""The workarounds for pynetdicom: written for one version of it, and data sets that are announced and not sent."""

import re
import struct
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from django.conf import settings
from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_ECHO

from dicom.pynetdicom_internals import PYNETDICOM_VERSION
from tests.dicom.requests import Unit, change, find
from tests.dicom.serving import port_of, serving
from tests.worklist.performed_step.reports import creation
from worklist.models import PerformedProcedureStep, WorklistItem

UID = "1.2.3.4.5"


def test_the_workarounds_are_for_the_installed_and_the_required_pynetdicom() -> None:
    """If this fails, read dicom/pynetdicom_internals.py beside the new version's source."""
    requirements = (Path(settings.BASE_DIR) / "requirements.txt").read_text()
    assert re.findall(r"^pynetdicom==(\S+)", requirements, re.MULTILINE) == [PYNETDICOM_VERSION]
    assert version("pynetdicom") == PYNETDICOM_VERSION


@pytest.fixture
def impatient_server_unit(transactional_db: None, item: WorklistItem) -> Iterator[Unit]:
    """A modality with a step in progress, at a server that waits 0.2 seconds for a data set."""
    with serving(data_set_seconds=0.2) as running:
        unit = Unit(port_of(running))
        assert unit.create(UID, creation(item)).Status == 0x0000
        yield unit


def test_a_response_stays_for_the_thread_that_waits_for_it(unit: Unit) -> None:
    with unit.associated() as association:
        response = (1, C_ECHO())
        association.dimse.msg_queue.put(response)
        assert association.dimse.get_msg(block=False) == (None, None), "as the association's own thread asks"
        assert association.dimse.get_msg(block=True) == response


class TestADataSetThatIsAnnouncedAndNotSent:
    """pynetdicom's own client sends an empty data set in this way."""

    def test_mp38_counts_as_empty_and_leaves_the_step_unchanged(self, impatient_server_unit: Unit) -> None:
        with impatient_server_unit.associated() as association:
            assert change(association, UID, Dataset()).Status == 0x0120
            assert association.send_c_echo().Status == 0x0000
        assert PerformedProcedureStep.objects.get().status == "IN PROGRESS"

    def test_of_a_query_counts_as_universal_matching(self, impatient_server_unit: Unit) -> None:
        with impatient_server_unit.associated() as association:
            assert find(association, Dataset()).statuses[-1] == 0x0000

    def test_ends_the_association_if_it_arrives_late(self, impatient_server_unit: Unit) -> None:
        with impatient_server_unit.associated() as association:
            assert change(association, UID, Dataset()).Status == 0x0120
            (context, *_) = association.accepted_contexts
            late = struct.pack(">LBB", 3, context.context_id or 1, 0b10) + b"\0"
            association.dul.socket.send(struct.pack(">BBL", 4, 0, len(late)) + late)  # type: ignore[union-attr]
            association.join(10)
            assert association.is_aborted
