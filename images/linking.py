"""Decide which worklist item an image belongs to, and so what becomes of it.

An image that leaves any doubt about the woman is not sent to Manage automatically. It is held for a person and does not
touch the item: `item_id` stays empty, and `item_accession_number` only says which item the image names.
"""

import logging
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from core.audit import Auditor
from core.database import UNAVAILABLE
from dicom.models import Modality
from images.items import ImageIdentity, Item, NamesSeveralItems, worklist
from images.models import ReceivedImage

logger = logging.getLogger(__name__)

State, Reason = ReceivedImage.State, ReceivedImage.Reason

#: The actor in the audit log where no person decides.
ACTOR = "gateway:images"
#: The length of Manage's column for Patient IDs.
LONGEST_PATIENT_ID = 10
#: How long an image without an item is compared with new items. A person can link it for longer.
LINKED_LATE_FOR = timedelta(days=1)
#: A machine whose clock says that an image was taken this much later than it came has a wrong clock.
CLOCKS_DIFFER = timedelta(minutes=1)


def assign_item(image: ReceivedImage, identity: ImageIdentity, now: datetime) -> None:
    """Set the item of an image that is not saved yet, its state, and when it is to go to Manage."""
    image.item_id, image.item_accession_number, image.next_attempt_at = None, "", None
    try:
        item = worklist().item_of(identity)
    except NamesSeveralItems as named:
        hold(image, named.accession_numbers[0], Reason.SEVERAL_ITEMS)
        return
    if item is None:
        image.state, image.reason = State.UNLINKED, ""
    elif not worklist().is_same_patient(identity.patient_id, item.patient_id):
        hold(image, item.accession_number, Reason.ANOTHER_PATIENT)
    elif not item.is_test and Modality.objects.filter(ae_title=image.calling_ae_title, is_test_machine=True).exists():
        hold(image, item.accession_number, Reason.TEST_MACHINE)
    elif is_perhaps_of_before(image, item) or not _is_taken_since(item.put_back_at, identity.taken_at, now):
        hold(image, item.accession_number, Reason.PUT_BACK)
    else:
        set_item(image, item, now)


def hold(image: ReceivedImage, accession_number: str, reason: ReceivedImage.Reason) -> None:
    """Hold an image back for a person: it may not belong to the item that it names."""
    image.state, image.reason, image.item_accession_number = State.HELD, reason, accession_number


def is_perhaps_of_before(image: ReceivedImage, item: Item) -> bool:
    """Tell whether an image may be of the examination after which its item was put back on the list.

    A woman whose examination begins anew gets a new Series, whose images all come later and belong to her item. While
    the machine still has the wrong woman selected, the next view has the Series of the first. What a person has decided
    since stands.
    """
    if item.put_back_at is None or (image.decided_at and image.decided_at >= item.put_back_at):
        return False
    series = ReceivedImage.objects.filter(
        study_instance_uid=image.study_instance_uid, series_instance_uid=image.series_instance_uid
    )
    others = series.exclude(pk=image.pk).exclude(state=State.UNLINKED)
    not_hers = others.exclude(item_id__in=(item.id, image.item_id or item.id))
    return series.filter(received_at__lt=item.put_back_at).exists() or not_hers.exists()


def _is_taken_since(put_back_at: datetime | None, taken_at: datetime | None, now: datetime) -> bool:
    """Tell whether nothing speaks against it: neither the time of acquisition nor a clock that is ahead of ours."""
    return put_back_at is None or taken_at is None or put_back_at <= taken_at <= now + CLOCKS_DIFFER


def set_item(image: ReceivedImage, item: Item, now: datetime, *, by_person: bool = False) -> None:
    """Give an image its item, the state that follows from it, and when it is to go to Manage."""
    image.item_id, image.item_accession_number = item.id, item.accession_number
    image.correlation_id, image.is_test = item.correlation_id, item.is_test
    image.state, image.reason = state_of(image, item, by_person=by_person)
    image.next_attempt_at = now if image.state == State.WAITING else None


def send_anew(image: ReceivedImage, item: Item, actor: str) -> None:
    """Queue a locked image for Manage as one of this item, as if it had just arrived."""
    anew = without_attempts(is_of_another_item=image.item_id != item.id)
    set_item(image, item, timezone.now(), by_person=True)
    received_at = image.received_at
    store(image, actor)
    ReceivedImage.objects.filter(pk=image.pk).update(received_at=received_at, **anew)
    worklist().image_received(item.id, received_at)


def without_attempts(*, is_of_another_item: bool) -> dict[str, Any]:
    """Return the fields of an image that begins anew; the action under which it was tried for another item is over."""
    fields: dict[str, Any] = {"attempts": 0, "last_outcome": "", "last_status": None, "last_error": ""}
    return {**fields, "action_id": "", "action_day": None} if is_of_another_item else fields


def state_of(image: ReceivedImage, item: Item, *, by_person: bool = False) -> tuple[str, str]:
    """Return the state and the reason of an image that belongs to this item, before any attempt to send it."""
    if image.version > 1 and not by_person:
        return State.HELD, Reason.ANOTHER_VERSION
    if not item.action_id:
        return State.NOT_SENT, Reason.NO_ACTION
    if len(image.patient_id) > LONGEST_PATIENT_ID:
        return State.FAILED, Reason.LONG_PATIENT_ID
    return State.WAITING, ""


def link_late(now: datetime) -> int:
    """Link the images that came before their items did, such as while the relay was down; return how many."""
    unlinked = ReceivedImage.objects.filter(state=State.UNLINKED, received_at__gte=now - LINKED_LATE_FOR)
    # All of them, without a limit: prior examinations, which never find an item, may be many and come first.
    keys = list(unlinked.order_by("received_at").values_list("pk", flat=True))
    return sum(_link_late_by_itself(key, now) for key in keys)


def _link_late_by_itself(key: UUID, now: datetime) -> bool:
    """Link one image if its item has arrived; if that fails, the other images are linked all the same."""
    try:
        return _link_late(key, now)
    except UNAVAILABLE:
        raise
    except Exception:  # the outermost edge of one image
        logger.exception("image not linked", extra={"image": str(key)})
        return False


@transaction.atomic
def _link_late(key: UUID, now: datetime) -> bool:
    rows = ReceivedImage.objects.select_for_update(skip_locked=True).filter(pk=key, state=State.UNLINKED)
    image = rows.first()
    if image is None:  # a person has been quicker
        return False
    assign_item(image, identity_of(image), now)
    if image.state == State.UNLINKED:
        return False
    store(image, ACTOR)
    if image.item_id:
        worklist().image_received(image.item_id, image.received_at)
    return True


def identity_of(image: ReceivedImage) -> ImageIdentity:
    """Return what a stored image says about its examination."""
    return ImageIdentity(image.study_instance_uid, image.accession_numbers, image.patient_id, image.study_date)


def store(image: ReceivedImage, actor: str) -> None:
    """Save what was decided about a locked image, and audit it."""
    names = ("item_id", "item_accession_number", "correlation_id", "is_test", "state", "reason", "next_attempt_at")
    decided = {name: getattr(image, name) for name in names}
    image.refresh_from_db(fields=names)
    Auditor(actor).update(image, **decided)
