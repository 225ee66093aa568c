"""A modality's reports as data sets, and how the services take them: each is one transaction, as at the SCP."""

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

SENDER = ReportingModality("MAMMO1", "127.0.0.1")


def scheduled(item: WorklistItem, **changes: Any) -> Dataset:
    """What a machine says that it works on: this item, by all that the worklist has told of it."""
    return dataset(
        **{
            "StudyInstanceUID": item.study_instance_uid,
            "AccessionNumber": item.accession_number,
            "RequestedProcedureID": item.requested_procedure_id,
            "ScheduledProcedureStepID": item.scheduled_procedure_step_id,
            **changes,
        }
    )


def by_number(accession_number: str) -> Dataset:
    """What a machine says that knows no more than an accession number."""
    return dataset(StudyInstanceUID="1.2.3", AccessionNumber=accession_number)


def creation(*steps: Dataset, **changes: Any) -> Dataset:
    """An N-CREATE's data set; what is None is not in it."""
    values = {
        "ScheduledStepAttributesSequence": list(steps),
        "PatientName": "",
        "PatientID": "",
        "PerformedProcedureStepID": "PPS1",
        "PerformedStationAETitle": "MAMMO1",
        "PerformedProcedureStepStartDate": "20261123",
        "PerformedProcedureStepStartTime": "143107",
        "PerformedProcedureStepStatus": "IN PROGRESS",
        "PerformedProcedureStepEndDate": "",
        "PerformedProcedureStepEndTime": "",
        "PerformedProcedureStepDiscontinuationReasonCodeSequence": [],
        "PerformedSeriesSequence": [],
        "Modality": "MG",
        **changes,
    }
    return dataset(**{keyword: value for keyword, value in values.items() if value is not None})


def series(images: int = 1, **values: Any) -> Dataset:
    """A series of so many images."""
    listed = [dataset(ReferencedSOPClassUID="1.2", ReferencedSOPInstanceUID=f"1.2.{n}") for n in range(images)]
    return dataset(**{"SeriesInstanceUID": "1.2.3", "ReferencedImageSequence": listed, **values})


def end(status: str = "COMPLETED", **changes: Any) -> Dataset:
    """The data set of an N-SET that ends a step; what is None is not in it."""
    values = {
        "PerformedProcedureStepStatus": status,
        "PerformedProcedureStepEndDate": "20261123",
        "PerformedProcedureStepEndTime": "143640",
        "PerformedSeriesSequence": [series(4)],
        **changes,
    }
    return dataset(**{keyword: value for keyword, value in values.items() if value is not None})


def start(uid: str, *steps: Dataset, sender: ReportingModality = SENDER, **changes: Any) -> PerformedProcedureStep:
    """N-CREATE."""
    with correlated("c0ffee"), transaction.atomic():
        create_performed_procedure_step(uid, creation(*steps, **changes), sender)
    return PerformedProcedureStep.objects.get(sop_instance_uid=uid)


def change(uid: str, received: Dataset, sender: ReportingModality = SENDER) -> PerformedProcedureStep:
    """N-SET."""
    with correlated("c0ffee"), transaction.atomic():
        set_performed_procedure_step(uid, received, sender)
    return PerformedProcedureStep.objects.get(sop_instance_uid=uid)


def sent_without_character_set(changes: Dataset) -> Dataset:
    """As a modality sends it that has named ISO_IR 192 before: raw, in UTF-8, and without saying so."""
    changes.SpecificCharacterSet = "ISO_IR 192"
    raw = encode(changes, is_implicit_vr=True, is_little_endian=True) or b""
    said = raw.index(b"ISO_IR 192") + len(b"ISO_IR 192")
    return decode(BytesIO(raw[said:]), is_implicit_vr=True, is_little_endian=True)
