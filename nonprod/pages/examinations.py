"""Owns how a step that a unit performs is kept, so that an N-SET can be sent after a restart of the server."""

from dataclasses import asdict
from typing import Any

from django.db import IntegrityError, transaction
from pydicom.dataset import Dataset

from nonprod.modality_emulator import Modality, NoAnswer, PerformedStep, Series
from nonprod.models import Examination

Status = Examination.Status


def examinations(unit: Modality) -> Any:
    """The unit's, the latest first."""
    return Examination.objects.filter(station_ae_title=unit.ae_title)


def current_examination(unit: Modality) -> Examination | None:
    """The one that it is at."""
    found: Examination | None = examinations(unit).filter(status=Status.IN_PROGRESS).first()
    return found


def begin(step: PerformedStep) -> None:
    """N-CREATE, of a step that is kept before the server is told of it: NoAnswer if the unit is at another one."""
    unit = step.modality.ae_title
    kept = Examination(uid=step.uid, station_ae_title=unit, attributes=step.attributes.to_json())
    try:
        with transaction.atomic():
            kept.save()
    except IntegrityError:
        raise NoAnswer(f"{unit} is at another examination: finish that first") from None
    try:
        step.create()
    except NoAnswer:
        kept.delete()
        raise


def step_of(kept: Examination, unit: Modality) -> PerformedStep:
    """The step again, as it was when it was last kept."""
    series = [Series(**{**one, "images": tuple(one["images"])}) for one in kept.series]
    return PerformedStep(unit, attributes_of(kept), uid=kept.uid, series=series)


def attributes_of(kept: Examination) -> Dataset:
    """The N-CREATE's Attribute List."""
    return Dataset.from_json(kept.attributes)


def keep(kept: Examination, step: PerformedStep, status: str) -> None:
    """Keep what has been exposed, and how the step stands."""
    kept.series, kept.status = [asdict(one) for one in step.series], status
    kept.save(update_fields=["series", "status"])
