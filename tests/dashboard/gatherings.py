"""What stands in the database when a day is under way."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from core.models import Heartbeat
from dicom.models import Modality
from tests.factories import create
from worklist.models import Delivery, MppsException, PerformedProcedureStep, StepLink, WorklistItem, WorklistQuery


def item_of_today(status: str = "SCHEDULED", **values: Any) -> WorklistItem:
    """A woman of today."""
    return create(status=status, **{"scheduled_date": timezone.localdate(), **values})


def show(item: WorklistItem, ae_title: str = "MAMMO1") -> None:
    """A machine has her on its list."""
    at = timezone.now()
    Delivery.objects.create(item=item, ae_title=ae_title, first_shown_at=at, last_shown_at=at)


def perform(item: WorklistItem | None, status: str = "IN PROGRESS", **values: Any) -> PerformedProcedureStep:
    """A machine has reported about her."""
    number = PerformedProcedureStep.objects.count() + 1
    step = PerformedProcedureStep.objects.create(
        sop_instance_uid=f"1.2.{number}",
        status=status,
        station_ae_title="MAMMO1",
        calling_ae_title="MAMMO1",
        address="127.0.0.1",
        correlation_id="c",
        data_set="{}",
        **values,
    )
    if item:
        StepLink.objects.create(step=step, item=item)
    return step


def wrong_patient(number: str = "ACC000001") -> MppsException:
    """A machine names an item and another woman."""
    return MppsException.objects.create(step=perform(None), reason="wrong_patient", accession_number=number)


def beat(role: str, state: str, *, ago: timedelta = timedelta(), **details: Any) -> Heartbeat:
    """A daemon says that it lives."""
    at = timezone.now() - ago
    return Heartbeat.objects.create(
        role=role, instance=f"host:{role}", state=state, state_since=at, started_at=at, beat_at=at, details=details
    )


def everything_runs() -> None:
    """Both daemons, for as long as a test takes."""
    soon = timedelta(days=-1)
    beat("relay_listener", "online", ago=soon)
    beat("mwl_scp", "listening", ago=soon)


def machine(ae_title: str = "MAMMO1", room: str = "Room 1", **values: Any) -> Modality:
    """A configured one."""
    return Modality.objects.create(ae_title=ae_title, room=room, **values)


def query(ae_title: str, at: datetime) -> None:
    """A machine has asked."""
    WorklistQuery.objects.create(
        asked_at=at, calling_ae_title=ae_title, called_ae_title="G", address="127.0.0.1", outcome="answered"
    )
