"""The data sets that a modality sends in N-CREATE and N-SET, and their way through the services.

The data sets have every attribute of type 1 and 2.
"""

from io import BytesIO
from typing import Any

from django.db import transaction
from pydicom.dataset import Dataset
from pynetdicom.dsutils import decode, encode

from core.correlation import correlated
from tests.dicom.requests import dataset
from worklist.models import PerformedProcedureStep, WorklistItem
from worklist.performed_step.create_and_set import (
    ReportingModality,
    create_performed_procedure_step,
    set_performed_procedure_step,
)

MODALITY = ReportingModality("MAMMO1", "127.0.0.1")
EMPTY_SEQUENCES = (
    "ReferencedPatientSequence",
    "ProcedureCodeSequence",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
)
CREATION = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "SMITH^JANE",
    "PatientBirthDate": "19700321",
    "PatientSex": "F",
    "PerformedProcedureStepID": "PPS1",
    "PerformedStationAETitle": "MAMMO1",
    "PerformedStationName": "Room 1",
    "PerformedLocation": "Leeds",
    "PerformedProcedureStepStartDate": "20261123",
    "PerformedProcedureStepStartTime": "143107",
    "PerformedProcedureStepEndDate": "",
    "PerformedProcedureStepEndTime": "",
    "PerformedProcedureStepStatus": "IN PROGRESS",
    "PerformedProcedureStepDescription": "Both breasts",
    "PerformedProcedureTypeDescription": "",
    "Modality": "MG",
    "StudyID": "S1",
}
EQUIPMENT_FAILURE = dataset(CodeValue="110501", CodingSchemeDesignator="DCM", CodeMeaning="Equipment failure")


def without(report: Dataset, *keywords: str) -> Dataset:
    """Return the data set after removing these elements."""
    for keyword in keywords:
        delattr(report, keyword)
    return report


def scheduled_step(item: WorklistItem, **changes: Any) -> Dataset:
    """Return an item of the ScheduledStepAttributesSequence, with what the worklist told the modality."""
    values = {
        "StudyInstanceUID": item.study_instance_uid,
        "ReferencedStudySequence": [],
        "AccessionNumber": item.accession_number,
        "RequestedProcedureID": item.requested_procedure_id,
        "RequestedProcedureDescription": item.study_description,
        "ScheduledProcedureStepID": item.scheduled_procedure_step_id,
        "ScheduledProcedureStepDescription": "",
        "ScheduledProtocolCodeSequence": [],
    }
    return dataset(**{**values, **changes})


def by_number(accession_number: str) -> Dataset:
    """Return such an item from a modality that knows only the accession number."""
    return scheduled_step(WorklistItem(study_instance_uid="1.2.3", accession_number=accession_number))


def unscheduled_step() -> Dataset:
    """Return such an item from a modality that knows of no order, and has made the Study Instance UID itself."""
    return scheduled_step(WorklistItem(study_instance_uid="1.2.3.4"))


def creation(*steps: WorklistItem | Dataset, **changes: Any) -> Dataset:
    """Return the data set of an N-CREATE about these items, for the patient of the first; None leaves one out."""
    (first, *_) = [*(step for step in steps if isinstance(step, WorklistItem)), WorklistItem()]
    named = [scheduled_step(step) if isinstance(step, WorklistItem) else step for step in steps]
    sequences: dict[str, Any] = {keyword: [] for keyword in EMPTY_SEQUENCES}
    values = {
        **CREATION,
        **sequences,
        "PatientID": first.patient_id,
        "ScheduledStepAttributesSequence": named,
        **changes,
    }
    return dataset(**{keyword: value for keyword, value in values.items() if value is not None})


def series(number: int = 1, *, images: int = 1, **changes: Any) -> Dataset:
    """Return an item of the PerformedSeriesSequence."""
    references = [
        dataset(ReferencedSOPClassUID="1.2.840.10008.5.1.4.1.1.1.2", ReferencedSOPInstanceUID=f"1.2.3.{number}.{image}")
        for image in range(1, images + 1)
    ]
    values = {
        "PerformingPhysicianName": "",
        "OperatorsName": "RADIOGRAPHER^ROSE",
        "SeriesDescription": "R CC",
        "RetrieveAETitle": "",
        "ProtocolName": "Screening",
        "SeriesInstanceUID": f"1.2.3.{number}",
        "ReferencedImageSequence": references,
        "ReferencedNonImageCompositeSOPInstanceSequence": [],
    }
    return dataset(**{**values, **changes})


def final_change(status: str = "COMPLETED", **changes: Any) -> Dataset:
    """Return the data set of the last N-SET of a step; None leaves one out."""
    values = {
        "PerformedProcedureStepStatus": status,
        "PerformedProcedureStepEndDate": "20261123",
        "PerformedProcedureStepEndTime": "143640",
        "PerformedSeriesSequence": [series(images=4)],
        **changes,
    }
    return dataset(**{keyword: value for keyword, value in values.items() if value is not None})


def create_step(
    uid: str, *steps: Dataset, modality: ReportingModality = MODALITY, **changes: Any
) -> PerformedProcedureStep:
    """Execute an N-CREATE in one transaction, as the SCP does; without changes, the report names no patient."""
    report = creation(*steps, **{"PatientName": "", "PatientBirthDate": "", "PatientID": "", **changes})
    with correlated("c0ffee"), transaction.atomic():
        create_performed_procedure_step(uid, report, modality)
    return PerformedProcedureStep.objects.get(sop_instance_uid=uid)


def set_step(uid: str, changes: Dataset, modality: ReportingModality = MODALITY) -> PerformedProcedureStep:
    """Execute an N-SET in one transaction, as the SCP does."""
    with correlated("c0ffee"), transaction.atomic():
        set_performed_procedure_step(uid, changes, modality)
    return PerformedProcedureStep.objects.get(sop_instance_uid=uid)


def sent_without_character_set(changes: Dataset) -> Dataset:
    """Return the data set as a modality sends it that named ISO_IR 192 only in its N-CREATE: raw, in UTF-8."""
    changes.SpecificCharacterSet = "ISO_IR 192"
    raw = encode(changes, is_implicit_vr=True, is_little_endian=True) or b""
    after_character_set = raw.index(b"ISO_IR 192") + len(b"ISO_IR 192")
    return decode(BytesIO(raw[after_character_set:]), is_implicit_vr=True, is_little_endian=True)
