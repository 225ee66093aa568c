"""What a modality says of its work in full: the data sets of N-CREATE and N-SET with all of type 1 and 2."""

from typing import Any

from pydicom.dataset import Dataset

from tests.dicom.requests import dataset
from worklist.models import WorklistItem

#: What the model modality sends with zero length at first (PS3.2 annex B).
EMPTY_AT_FIRST = dict.fromkeys(
    ("PerformedProcedureStepEndDate", "PerformedProcedureStepEndTime", "PerformedProcedureTypeDescription")
)
EMPTY_SEQUENCES = (
    "ReferencedPatientSequence",
    "ProcedureCodeSequence",
    "PerformedProcedureStepDiscontinuationReasonCodeSequence",
    "PerformedProtocolCodeSequence",
    "PerformedSeriesSequence",
)
BASE = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "SMITH^JANE",
    "PatientBirthDate": "19700321",
    "PatientSex": "F",
    "PerformedProcedureStepID": "PPS1",
    "PerformedStationAETitle": "MAMMO1",
    "PerformedStationName": "Room 1",
    "PerformedLocation": "Leeds",
    "PerformedProcedureStepStartDate": "20261123",
    "PerformedProcedureStepStartTime": "143200",
    "PerformedProcedureStepStatus": "IN PROGRESS",
    "PerformedProcedureStepDescription": "Both breasts",
    "Modality": "MG",
    "StudyID": "S1",
}
WAS_STOPPED = dataset(CodeValue="110501", CodingSchemeDesignator="DCM", CodeMeaning="Equipment failure")


def without(made: Dataset, *keywords: str) -> Dataset:
    """The data set without these elements."""
    for keyword in keywords:
        delattr(made, keyword)
    return made


def of_item(item: WorklistItem, **changes: Any) -> Dataset:
    """An item of the ScheduledStepAttributesSequence, as the worklist has shown it."""
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


def unscheduled(**changes: Any) -> Dataset:
    """An item of it that names nothing: its Study Instance UID is the machine's own."""
    return of_item(WorklistItem(study_instance_uid="1.2.3.4"), **changes)


def started(*steps: WorklistItem | Dataset, **changes: Any) -> Dataset:
    """The data set of an N-CREATE about these items; what is None is zero-length."""
    (first, *_) = [*(step for step in steps if isinstance(step, WorklistItem)), WorklistItem()]
    named = [of_item(step) if isinstance(step, WorklistItem) else step for step in steps]
    sequences: dict[str, Any] = {keyword: [] for keyword in EMPTY_SEQUENCES}
    values = {**BASE, **EMPTY_AT_FIRST, **sequences, "PatientID": first.patient_id, **changes}
    return dataset(**{**values, "ScheduledStepAttributesSequence": named})


def series(number: int = 1, images: int = 1, **changes: Any) -> Dataset:
    """An item of the PerformedSeriesSequence."""
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


def ended(status: str = "COMPLETED", **changes: Any) -> Dataset:
    """The data set of the last N-SET."""
    values = {
        "PerformedProcedureStepStatus": status,
        "PerformedProcedureStepEndDate": "20261123",
        "PerformedProcedureStepEndTime": "144100",
        "PerformedSeriesSequence": [series()],
    }
    return dataset(**{**values, **changes})
