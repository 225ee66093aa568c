"""Let a new item supersede the earlier ones of its appointment, so that nobody is on the list twice.

Manage never resends automatically. After a time-out somebody presses *Send* again, and that makes a new item
for the same appointment. The caller has serialised on the appointment: of two senders at the same instant the second
finds the first one's item. Items supersede each other in the order in which their transactions commit.
"""

from dataclasses import dataclass

from core.audit import Auditor
from core.contract import BEGUN, WAITING, ItemStatus, ReplyWarning
from core.statements import CompiledCount
from worklist.models import ItemAlarm, WorklistItem
from worklist.performed_step.identity import is_same_patient
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import lock_items

SENT_AGAIN = ReplyWarning("source_reference.appointment_id", "sent again after the examination began")
#: Whether an appointment has another item than the one that has just been made.
ITEMS_OF_APPOINTMENT = CompiledCount(
    lambda appointment: WorklistItem.objects.of_appointment(WorklistItem(appointment_id=appointment)), limit=2
)


@dataclass(frozen=True)
class EarlierItems:
    """The earlier items of a new item's appointment, locked: those that it supersedes, and why a person must look."""

    superseded: tuple[WorklistItem, ...] = ()
    has_begun: bool = False
    is_of_another_patient: bool = False


NO_EARLIER_ITEMS = EarlierItems()


def lock_earlier_items(item: WorklistItem) -> EarlierItems:
    """Find the earlier items of the new item's appointment. A test item has no earlier items, and is never one."""
    if item.is_test or not item.appointment_id or ITEMS_OF_APPOINTMENT.found(item.appointment_id) < 2:
        return NO_EARLIER_ITEMS
    others = WorklistItem.objects.of_appointment(item).exclude(pk=item.pk)
    locked = lock_items(others.values_list("pk", flat=True))
    hers = [each for each in locked if is_same_patient(each.patient_id, item.patient_id)]
    return EarlierItems(
        superseded=tuple(each for each in hers if each.status in WAITING),
        has_begun=any(each.status in BEGUN for each in hers),
        is_of_another_patient=len(hers) < len(locked),
    )


def supersede(earlier: EarlierItems, item: WorklistItem, actor: str) -> None:
    """Take the earlier items off the list, carry over her arrival to the new item, and raise alarms.

    The status of the new item is recomputed, too, as steps may have been linked with it.
    """
    if earlier.has_begun:
        ItemAlarm.objects.raise_for(item, ItemAlarm.Kind.SENT_AGAIN)
    if earlier.is_of_another_patient:
        ItemAlarm.objects.raise_for(item, ItemAlarm.Kind.ANOTHER_PATIENT)
    for each in earlier.superseded:
        recompute_status(each, actor, superseded_by=item)
    if arrivals := [each.arrived_at for each in earlier.superseded if each.arrived_at]:
        Auditor(actor).update(item, arrived_at=min(arrivals))
    known = {each.cloud_status for each in earlier.superseded}
    arrived = next((status for status in (ItemStatus.READY, ItemStatus.ARRIVED) if status in known), "")
    recompute_status(item, actor, from_manage=arrived)
