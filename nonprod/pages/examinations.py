"""Save the steps that a unit performs, so that it can send an N-SET after a restart of the server."""

from dataclasses import asdict
from typing import Any

from django.db import IntegrityError, transaction
from pydicom.dataset import Dataset

from nonprod.modality_emulator import ModalityEmulator, PerformedStep, RequestFailed, Series
from nonprod.models import Examination

Status = Examination.Status


def examinations(unit: ModalityEmulator) -> Any:
    """Return the unit's examinations, latest first."""
    return Examination.objects.filter(station_ae_title=unit.ae_title)


def current_examination(unit: ModalityEmulator) -> Examination | None:
    found: Examination | None = examinations(unit).filter(status=Status.IN_PROGRESS).first()
    return found


def begin(step: PerformedStep) -> None:
    """Save a step, then send its N-CREATE; raises RequestFailed if that fails or the unit has an open examination."""
    unit = step.modality.ae_title
    examination = Examination(uid=step.uid, station_ae_title=unit, attributes=step.attributes.to_json())
    try:
        with transaction.atomic():
            examination.save()
    except IntegrityError:
        raise RequestFailed(f"{unit} has another examination open: finish that first") from None
    try:
        step.create()
    except RequestFailed:
        examination.delete()
        raise


def step_of(examination: Examination, unit: ModalityEmulator) -> PerformedStep:
    """Restore the step as it was last saved."""
    series = [Series(**{**one, "images": tuple(one["images"])}) for one in examination.series]
    return PerformedStep(unit, attributes_of(examination), uid=examination.uid, series=series)


def attributes_of(examination: Examination) -> Dataset:
    """Return the Attribute List of the N-CREATE."""
    return Dataset.from_json(examination.attributes)


def save(examination: Examination, step: PerformedStep, status: str) -> None:
    """Save the exposures and status of a step."""
    examination.series, examination.status = [asdict(one) for one in step.series], status
    examination.save(update_fields=["series", "status"])
