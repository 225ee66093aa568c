"""Create an item and begin its step on a running server."""

import pytest

from tests.dicom.requests import Unit
from tests.factories import create
from tests.worklist.performed_step.reports import creation
from worklist.models import WorklistItem

UID = "2.25.1001"


@pytest.fixture
def item(unit: Unit) -> WorklistItem:
    """Create an item once the server runs."""
    return create(accession_number="A001")


@pytest.fixture
def begun(unit: Unit, item: WorklistItem) -> str:
    """Begin a step for the item; return its SOP Instance UID."""
    assert unit.create(UID, creation(item)).Status == 0x0000
    return UID
