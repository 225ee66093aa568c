"""Fixtures of the DICOM wire's tests."""

from pathlib import Path

import pytest

from tests.worklist.dicom import Unit
from tests.worklist.scp.consoles import Console


@pytest.fixture
def console(findscu: None, unit: Unit, tmp_path: Path) -> Console:
    """DCMTK as the modality MAMMO1."""
    return Console(unit, tmp_path)
