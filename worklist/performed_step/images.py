"""Find the item that an image belongs to, and derive its status from its images where a machine has no MPPS.

An image is like a report that it is in progress (see item_state). It is weaker than a performed step, which may come
before or after it and counts fully either way.
"""

from collections.abc import Iterable
from datetime import date, datetime
from uuid import UUID

from django.utils import timezone

from core.audit import Auditor
from core.contract import ItemStatus
from worklist.models import WorklistItem
from worklist.performed_step.identity import is_same_patient
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import lock_current_items, lock_items

#: The actor in the audit log where an image changes an item.
ACTOR = "gateway:images"


def items_of_image(
    study_instance_uid: str, accession_numbers: Iterable[str], patient_id: str, study_date: date | None
) -> list[WorklistItem]:
    """Return the current item that an image belongs to; none, or several if its UID and its numbers disagree.

    A Study Instance UID of ours comes from our worklist. Anybody may type an accession number, so it counts only
    together with a Patient ID. Where an image names no item, it may be its patient's only one today; an image that has
    another order's number, or is of another day, belongs to nothing here.
    """
    numbers = [number for number in accession_numbers if number]
    by_study = _current(study_instance_uid=study_instance_uid) if study_instance_uid else []
    by_number = [item for number in numbers for item in _current(accession_number=number)]
    if by_study:
        agreed = [item for item in by_study if item in by_number] if by_number else by_study
        return agreed or [*by_study, *by_number]
    if by_number:
        return by_number[:1] if patient_id else []
    if numbers or not patient_id or study_date != timezone.localdate():
        return []
    on_the_list = WorklistItem.objects.not_superseded().of_patients().filter(scheduled_date=study_date)
    hers = [item for item in on_the_list if is_same_patient(item.patient_id, patient_id)]
    return hers if len(hers) == 1 else []


def image_received(item_id: UUID, at: datetime) -> None:
    """Record that an image of the item, or of one that it superseded, has come. Call it last in a transaction."""
    current = WorklistItem.objects.not_superseded()
    if current.filter(pk=item_id, first_image_at__isnull=False).exists():  # all images of an item but the first
        return
    item = lock_current_items([item_id])[item_id]
    if not item.first_image_at:
        Auditor(ACTOR).update(item, first_image_at=at)
        recompute_status(item, ACTOR)


def images_complete(item_id: UUID, at: datetime) -> bool:
    """Record that no further image of the item is expected; return whether that completes it.

    Call it last in a transaction. A superseded item is left alone: its images are its successor's.
    """
    expecting = WorklistItem.objects.not_superseded().filter(first_image_at__isnull=False, images_completed_at=None)
    if not expecting.filter(pk=item_id, status=ItemStatus.IN_PROGRESS).exists():
        return False
    (item,) = lock_items([item_id])
    if item.superseded_by_id or not item.first_image_at or item.images_completed_at:
        return False
    Auditor(ACTOR).update(item, images_completed_at=at)
    recompute_status(item, ACTOR)
    return bool(item.status == ItemStatus.COMPLETED)


def _current(**named: str) -> list[WorklistItem]:
    """Return the current items for those with these values, each once: an item may have the UID of its successor."""
    return list(dict.fromkeys(item.current() for item in WorklistItem.objects.filter(**named)[:10]))
