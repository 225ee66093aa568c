"""The workarounds for pynetdicom as a requestor, which are written for one version of it."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest
from django.conf import settings
from pynetdicom.dimse_primitives import C_ECHO

from dicom.pynetdicom_internals import PYNETDICOM_VERSION
from tests.dicom.requests import Unit

pytestmark = pytest.mark.once


def test_the_workarounds_are_for_the_installed_and_the_required_pynetdicom() -> None:
    """If this fails, read dicom/pynetdicom_internals.py beside the new version's source."""
    requirements = (Path(settings.BASE_DIR) / "requirements.txt").read_text()
    assert re.findall(r"^pynetdicom==(\S+)", requirements, re.MULTILINE) == [PYNETDICOM_VERSION]
    assert version("pynetdicom") == PYNETDICOM_VERSION


def test_a_response_stays_for_the_thread_that_waits_for_it(unit: Unit) -> None:
    with unit.associated() as association:
        response = (1, C_ECHO())
        association.dimse.msg_queue.put(response)
        assert association.dimse.get_msg(block=False) == (None, None), "as the association's own thread asks"
        assert association.dimse.get_msg(block=True) == response
