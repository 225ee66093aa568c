"""Link images, discard them or send them again, as a person decides in the admin.

Each decision is audited with the person's name, `actor`, and a reason. CannotDecide says why something cannot be done.
A decision also takes an image away from an uploader that has claimed it. Only while it is being sent can nobody discard
it: whether Manage then has it is known in a minute.
"""

from django.db import transaction
from django.utils import timezone

from core.audit import Auditor
from core.models import AuditLog
from images.items import Item, worklist
from images.linking import send_anew, store
from images.models import ReceivedImage
from images.queue import hindrance_now

State, Reason = ReceivedImage.State, ReceivedImage.Reason

#: The states from which a person may link an image, send it again, or discard it.
LINKABLE = frozenset({State.UNLINKED, State.HELD, State.FAILED, State.NOT_SENT, State.DISCARDED})
REPEATABLE = frozenset({State.HELD, State.FAILED, State.NOT_SENT, State.DISCARDED})
DISCARDABLE = frozenset({State.UNLINKED, State.HELD, State.WAITING, State.FAILED, State.NOT_SENT})
#: Why Manage would not take it now → what to tell the person.
CANNOT_GO = {
    Reason.DAY_OVER: "Manage takes images only on the day on which it sent the woman, and all of an examination under "
    "one action. If it has none of them, send her again in Manage, then try again; else call its support",
    Reason.AFTER_REPORT: "Manage has been told that images of this action failed, and takes none after that. If it has "
    "none of the examination, send her again in Manage, then try again; else call its support",
}


class CannotDecide(Exception):
    """The person's decision cannot be carried out. The text says why, and what can be done instead."""


@transaction.atomic
def link_to_item(image: ReceivedImage, accession_number: str, actor: str, note: str) -> bool:
    """Link an image with an item, whatever the image says, and have it sent to Manage. The item is now in progress.

    Return whether Manage may have it as one of another item.
    """
    locked = _locked(image, LINKABLE, note)
    item = worklist().item_of_number(accession_number)
    if item is None:
        raise CannotDecide(f"No worklist item has accession number {accession_number}")
    is_perhaps_anothers = locked.may_be_with_manage and locked.item_id != item.id
    _send(locked, item, actor, note, is_perhaps_sent=is_perhaps_anothers)
    return is_perhaps_anothers


@transaction.atomic
def send_again(image: ReceivedImage, actor: str, note: str) -> None:
    """Send an image of an item to Manage again: one that failed, was held back as another version, or discarded."""
    locked = _locked(image, REPEATABLE, note)
    item = worklist().item(locked.item_id) if locked.item_id else None
    if item is None:
        raise CannotDecide("It belongs to no item: link it first")
    _send(locked, item, actor, note)


@transaction.atomic
def discard(image: ReceivedImage, actor: str, note: str) -> bool:
    """Discard an image: it never goes to Manage. Return whether it may be there already; then its reason says so."""
    locked = _locked(image, DISCARDABLE, note)
    if locked.may_be_with_manage and locked.lease_until and locked.lease_until > timezone.now():
        raise CannotDecide("It is being sent to Manage now. Look again in a minute to see whether Manage has it")
    is_perhaps_sent = locked.may_be_with_manage
    locked.reason = Reason.PERHAPS_SENT if is_perhaps_sent else Reason.BY_PERSON
    locked.state, locked.next_attempt_at = State.DISCARDED, None
    store(locked, actor)
    ReceivedImage.objects.filter(pk=locked.pk).update(decided_at=timezone.now())
    _note(locked, actor, note, is_perhaps_sent=is_perhaps_sent)
    return is_perhaps_sent


def _send(image: ReceivedImage, item: Item, actor: str, note: str, *, is_perhaps_sent: bool = False) -> None:
    if not image.file:
        raise CannotDecide("Its file has been deleted. Send it again from the machine")
    versions = ReceivedImage.objects.filter(sop_instance_uid=image.sop_instance_uid).exclude(pk=image.pk)
    if versions.filter(state=State.UPLOADED).exists():  # Manage would answer 201, and still show the other one
        raise CannotDecide("Manage has another image with its SOP Instance UID, and keeps that one. Call its support")
    if versions.filter(state=State.WAITING).exists():
        raise CannotDecide("Another image with its SOP Instance UID is waiting for Manage: discard that one first")
    send_anew(image, item, actor)
    image.decided_at = timezone.now()
    ReceivedImage.objects.filter(pk=image.pk).update(decided_at=image.decided_at)
    _note(image, actor, note, is_perhaps_sent=is_perhaps_sent)
    if hindered := hindrance_now(image, timezone.now()):
        raise CannotDecide(CANNOT_GO[hindered])


def _locked(image: ReceivedImage, states: frozenset[ReceivedImage.State], note: str) -> ReceivedImage:
    if not note.strip():
        raise CannotDecide("Give a reason")
    locked = ReceivedImage.objects.select_for_update(no_key=True).get(pk=image.pk)
    if locked.state not in states:
        raise CannotDecide(f"It is {locked.get_state_display()}")
    return locked


def _note(image: ReceivedImage, actor: str, note: str, *, is_perhaps_sent: bool) -> None:
    perhaps = {"manage_may_have_it": True} if is_perhaps_sent else {}
    Auditor(actor).note(AuditLog.Operation.UPDATE, image, decision=image.state, note=note[:300], **perhaps)
