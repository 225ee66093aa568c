"""A modality in JavaScript (dcmjs-dimse), which shares no code with pynetdicom or DCMTK, is served as any other."""

import json
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from dicom.scu.datasets import add_end, created, exposed, modified
from nonprod.modality_emulator import step_query
from tests.dicom.requests import CALLED, PATIENCE
from tests.dicom.serving import port_of, serving
from tests.factories import WorklistItemFactory
from tests.node_packages import installed
from worklist.models import PerformedProcedureStep, WorklistItem

DCMJS = Path(__file__).parent / "dcmjs"
SUCCESS, PENDING, DUPLICATE = 0x0000, 0xFF00, 0x0111

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture(scope="module", autouse=True)
def dcmjs() -> None:
    """Install dcmjs-dimse from the lock file, unless it is installed already."""
    installed(DCMJS)


def request(kind: str, identifier: Dataset | None = None, uid: str = "") -> dict[str, Any]:
    """Return a request as the script reads it."""
    return {"request": kind, "uid": uid, "elements": (identifier or Dataset()).to_json_dict()}


def responses(*requests: dict[str, Any]) -> list[tuple[str, int, dict[str, Any]]]:
    """Send requests over one association; return request, status and elements of each response."""
    with serving() as running:
        command = ["node", "modality.js", str(port_of(running)), "MAMMO1", CALLED]
        done = subprocess.run(
            command,
            cwd=DCMJS,
            input=json.dumps(requests),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"request"')]
    return [(line["request"], line["status"], line["elements"]) for line in lines]


def test_an_echo_is_answered() -> None:
    assert [(kind, status) for kind, status, _ in responses(request("C-ECHO"))] == [("C-ECHO", SUCCESS)]


def test_a_query_finds_the_items_of_its_station_and_the_next_one_is_answered_too() -> None:
    for number in range(30):
        WorklistItemFactory.create(patient_name=f"SMITH^JANE{number}", station_ae_title="MAMMO1")
    WorklistItemFactory.create(patient_name="JONES^MARY", station_ae_title="MAMMO2")
    # dcmjs-dimse takes FF01 for the end of an answer, so this query has only keys that we support.
    query = request("C-FIND", step_query(ae_title="MAMMO1"))
    answers = responses(query, request("C-ECHO"), query)
    finds = [(status, elements) for kind, status, elements in answers if kind == "C-FIND"]
    assert [status for status, _ in finds] == [*[PENDING] * 30, SUCCESS] * 2
    names = {elements["PatientName"][0]["Alphabetic"] for status, elements in finds if status == PENDING}
    assert names == {f"SMITH^JANE{number}" for number in range(30)}


def test_a_step_is_created_once_and_completed() -> None:
    item = WorklistItemFactory.create()
    row = Dataset()
    row.AccessionNumber, row.StudyInstanceUID = item.accession_number, item.study_instance_uid
    row.PatientName, row.PatientID = item.patient_name, item.patient_id
    row.RequestedProcedureID = item.requested_procedure_id
    step = step_query().ScheduledProcedureStepSequence[0]
    step.ScheduledProcedureStepID = item.scheduled_procedure_step_id
    row.ScheduledProcedureStepSequence = [step]
    at, uid = datetime(2026, 11, 23, 14, 30), generate_uid()
    begun = request("N-CREATE", created(row, "MAMMO1", at), uid)
    completed = modified("COMPLETED", [exposed("R CC")], "SMITH^OPERATOR", [])
    add_end(completed, at, 1, None)
    answers = responses(begun, begun, request("N-SET", completed, uid))
    assert [(kind, status) for kind, status, _ in answers] == [
        ("N-CREATE", SUCCESS),
        ("N-CREATE", DUPLICATE),
        ("N-SET", SUCCESS),
    ]
    assert WorklistItem.objects.get().status == "COMPLETED"
    assert PerformedProcedureStep.objects.get().sop_instance_uid == uid
