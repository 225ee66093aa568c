"""Create the records of a day under way: heartbeats, items, deliveries, steps and queries."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from core.heartbeat import DAEMONS
from core.models import Heartbeat
from dicom.models import Modality
from relay.models import ReceivedAction
from tests.factories import create
from worklist.models import (
    Delivery,
    ItemAlarm,
    MppsException,
    PerformedProcedureStep,
    StepLink,
    WorklistItem,
    WorklistQuery,
)


def item_of_today(status: str = "SCHEDULED", **values: Any) -> WorklistItem:
    """Create an item of today."""
    return create(status=status, **{"scheduled_date": timezone.localdate(), **values})


def deliver(item: WorklistItem, ae_title: str = "MAMMO1") -> None:
    """Record that a machine was sent the item."""
    at = timezone.now()
    Delivery.objects.create(item=item, ae_title=ae_title, first_shown_at=at, last_shown_at=at)


def perform(item: WorklistItem | None, status: str = "IN PROGRESS", **values: Any) -> PerformedProcedureStep:
    """Record what a machine reported about the item."""
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


def wrong_patient_exception(number: str = "ACC000001") -> MppsException:
    """Record a report that names an item and another patient."""
    return MppsException.objects.create(step=perform(None), reason="wrong_patient", accession_number=number)


def beat(role: str, state: str, *, ago: timedelta = timedelta(), **details: Any) -> Heartbeat:
    """Record a heartbeat."""
    at = timezone.now() - ago
    return Heartbeat.objects.create(
        role=role, instance=f"host:{role}", state=state, state_since=at, started_at=at, beat_at=at, details=details
    )


def run_all_daemons() -> None:
    """Record heartbeats of all daemons that stay fresh for the whole test."""
    for daemon in DAEMONS.values():
        beat(daemon.role, max(daemon.working_states), ago=timedelta(days=-1))


def configure_modality(ae_title: str = "MAMMO1", room: str = "Room 1", **values: Any) -> Modality:
    """Configure a modality."""
    return Modality.objects.create(ae_title=ae_title, room=room, **values)


def record_query(ae_title: str, at: datetime) -> None:
    """Record a query."""
    WorklistQuery.objects.create(
        asked_at=at, calling_ae_title=ae_title, called_ae_title="G", address="127.0.0.1", outcome="answered"
    )


def failed_action(number: int = 1, **values: Any) -> ReceivedAction:
    """Record an action about ACC1 that was refused."""
    given = {
        "action_id": f"action-{number}",
        "action_type": "worklist.update_status",
        "accession_number": "ACC1",
        "outcome": "not_found",
        "received_at": timezone.now(),
        "payload": "{}",
        "reply": '{"status":"error","code":"not_found"}',
        **values,
    }
    return ReceivedAction.objects.create(**given)


def item_not_shown() -> WorklistItem:
    """Create an item ACC7 of today that could not be sent to a machine."""
    item = item_of_today(accession_number="ACC7")
    ItemAlarm.objects.add({item.pk: "PatientAddress"}, timezone.now())
    return item
