"""Update the status of a worklist item from the reports of Manage and the modalities, and record changes for Manage."""

from typing import Any

from django.utils import timezone

from core.audit import Auditor
from core.contract import ItemStatus
from worklist.models import ItemChange, PerformedProcedureStep, WorklistItem
from worklist.performed_step.item_state import HAS_ARRIVED, Fact, Source, manage_status, status_from


def recompute_status(item: WorklistItem, actor: str, from_manage: str = "") -> None:
    """Recompute the status of an item, and add a change to the outbox if it or the deciding step's status has changed.

    The caller has locked the item, and does this last in its transaction: the outbox is locked after all other rows.
    `actor` is written to the audit log as the cause. `from_manage` is a status that Manage has just reported.
    """
    cloud_status = manage_status(item.cloud_status, from_manage)
    steps = _counted_steps(item)
    status = status_from([Fact(Source.MANAGE, cloud_status), *_facts(steps)])
    if (item.cloud_status, item.status) != (cloud_status, status):
        arrived_at = None if cloud_status == ItemStatus.SCHEDULED else item.arrived_at
        if cloud_status in HAS_ARRIVED:
            arrived_at = arrived_at or timezone.now()
        Auditor(actor).update(item, cloud_status=cloud_status, status=status, arrived_at=arrived_at)
    performed = _report_of_deciding_step(steps)
    last = item.changes.last()
    last_known = (last.status, last.performed and last.performed["status"]) if last else (ItemStatus.SCHEDULED, None)
    if (item.status, performed and performed["status"]) != last_known:
        ItemChange.objects.add(item, performed)


def performed(item: WorklistItem) -> dict[str, Any] | None:
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
