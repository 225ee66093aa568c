"""Update the status of a worklist item from all that is reported about it, and record changes for Manage."""

from typing import Any

from django.utils import timezone

from core.audit import Auditor
from core.contract import BEGUN, HAS_ARRIVED, WAITING, ItemStatus
from worklist.models import ItemAlarm, ItemChange, PerformedProcedureStep, WorklistItem
from worklist.performed_step.identity import is_same_patient
from worklist.performed_step.item_state import Fact, Source, manage_status, status_from


def recompute_status(
    item: WorklistItem, actor: str, from_manage: str = "", superseded_by: WorklistItem | None = None
) -> None:
    """Recompute the status of an item, and add a change to the outbox if it or the deciding step's status has changed.

    The caller has locked the item, and does this last in its transaction: the outbox is locked after all other rows.
    `actor` is written to the audit log as the cause. `from_manage` is a status that Manage has just reported,
    and `superseded_by` the item that supersedes this one now.
    """
    cloud_status = manage_status(item.cloud_status, from_manage)
    steps = _counted_steps(item)
    by_images = {ItemStatus.IN_PROGRESS: item.first_image_at, ItemStatus.COMPLETED: item.images_completed_at}
    facts = [
        Fact(Source.MANAGE, cloud_status),
        *_facts(steps),
        *(Fact(Source.IMAGE, status) for status, at in by_images.items() if at),
    ]
    status = status_from(facts)
    if status in WAITING and item.status not in WAITING and not superseded_by:
        superseded_by = _sent_again_meanwhile(item)
    if status in BEGUN and item.status not in BEGUN and (newer := _sent_again_meanwhile(item)):
        # She was sent again after this examination was stopped, which is now resumed: the newer item stays on the list.
        ItemAlarm.objects.raise_for(newer, ItemAlarm.Kind.SENT_AGAIN)
    if superseded_by or item.superseded_by_id:
        status = status_from([Fact(Source.SUCCESSOR, ItemStatus.DISCONTINUED), *facts])
    if superseded_by:
        Auditor(actor).update(item, superseded_by_id=superseded_by.pk, superseded_at=timezone.now(), status=status)
    elif (item.cloud_status, item.status) != (cloud_status, status):
        arrived_at = None if cloud_status == ItemStatus.SCHEDULED else item.arrived_at
        if cloud_status in HAS_ARRIVED:
            arrived_at = arrived_at or timezone.now()
        Auditor(actor).update(item, cloud_status=cloud_status, status=status, arrived_at=arrived_at)
    performed = _report_of_deciding_step(steps)
    last = item.changes.last()
    last_known = (last.status, last.performed and last.performed["status"]) if last else (ItemStatus.SCHEDULED, None)
    if (item.status, performed and performed["status"]) != last_known:
        ItemChange.objects.add(item, performed, superseded_by.accession_number if superseded_by else "")


def _sent_again_meanwhile(item: WorklistItem) -> WorklistItem | None:
    """Return the newest item that Manage has since sent for the patient and appointment, if it is still waiting."""
    if item.superseded_by_id:
        return None
    others = WorklistItem.objects.of_appointment(item)
    newer = others.filter(created_at__gt=item.created_at, status__in=WAITING).order_by("-created_at")
    return next((each for each in newer if is_same_patient(each.patient_id, item.patient_id)), None)


def deciding_report(item: WorklistItem) -> dict[str, Any] | None:
    """Return `performed` of the contract: the report of the step that decides the item's status; None without one."""
    return _report_of_deciding_step(_counted_steps(item))


def _counted_steps(item: WorklistItem) -> list[PerformedProcedureStep]:
    """Return the steps whose link counts, the latest first."""
    return list(PerformedProcedureStep.objects.filter(links__item=item, links__counts=True))


def _facts(steps: list[PerformedProcedureStep]) -> list[Fact]:
    return [Fact(Source.STEP, step.status) for step in steps]


def _report_of_deciding_step(steps: list[PerformedProcedureStep]) -> dict[str, Any] | None:
    status = status_from(_facts(steps))
    return next((step.report() for step in steps if step.status == status), None)
