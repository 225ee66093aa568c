"""Decide which worklist item an image belongs to, and what becomes of it."""

from datetime import datetime

from images.items import ImageIdentity, worklist
from images.models import ReceivedImage

State, Reason = ReceivedImage.State, ReceivedImage.Reason


def attribute(image: ReceivedImage, identity: ImageIdentity, now: datetime) -> None:
    """Set item and state of an image that has been received and is not saved yet."""
    item = worklist().item_of(identity)
    image.state, image.reason, image.next_attempt_at = State.UNLINKED, "", None
    if item is None:
        return
    image.item_id, image.item_accession_number = item.id, item.accession_number
    image.is_test, image.correlation_id = item.is_test, item.correlation_id
    if image.version > 1:
        image.state, image.reason = State.HELD, Reason.ANOTHER_VERSION
    elif not worklist().is_same_patient(identity.patient_id, item.patient_id):
        image.state, image.reason = State.HELD, Reason.ANOTHER_PATIENT
    else:
        image.state, image.next_attempt_at = State.WAITING, now
