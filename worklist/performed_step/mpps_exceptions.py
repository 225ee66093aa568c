"""Resolve MPPS exceptions, and put items back on the worklist, as a person decides in the admin.

An item that is put back forgets the images that have come: they showed the examination that no longer counts, and
perhaps another woman. Those that Manage does not have yet are held back for a person, by the uploader, which compares
their times with `put_back_at`; so are those that come later, if they were taken before or are of the same Series. The
next image of another Series begins the item again.

Every function locks steps before items and writes the audit log under the person's name, `actor`. DecisionRefused says
why something cannot be done.
"""

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from core.audit import Auditor
from core.contract import WAITING, ItemStatus
from worklist.models import MppsException, StepLink, WorklistItem
from worklist.models.items import OPEN
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import (
    link_step,
    lock_current_items,
    lock_items,
    lock_steps,
    resolve_exception,
    set_counted,
)

Resolution = MppsException.Resolution


class DecisionRefused(Exception):
    """The person's decision cannot be carried out. The text says why, and what can be done instead."""


@transaction.atomic
def link_to_item(exception: MppsException, item: WorklistItem, actor: str, note: str = "") -> None:
    """Link the exception's step with an item, whatever the modality has reported."""
    step = lock_steps([exception.step_id])[exception.step_id]
    item = lock_current_items([item.pk])[item.pk]
    _resolve(exception, Resolution.LINKED, actor, note, item)
    link_step(step, item, actor)
    recompute_status(item, actor)


@transaction.atomic
def put_back(exception: MppsException, actor: str, note: str = "") -> None:
    """Let the exception's step no longer count, so that its item is on the list again.

    The item is the one that the exception is about, or else the only one of the step. An abandoned step stops counting
    for all its items.
    """
    lock_steps([exception.step_id])
    links = StepLink.objects.filter(step_id=exception.step_id, counts=True)
    if exception.item_id:
        links = links.filter(item_id=exception.item_id)
    elif exception.reason != MppsException.Reason.ABANDONED and links.count() > 1:
        raise DecisionRefused(
            "Its step is linked with several items, and the exception does not say which one to put back"
        )
    _put_items_back(links, actor)
    _resolve(exception, Resolution.PUT_BACK, actor, note)


@transaction.atomic
def dismiss(exception: MppsException, actor: str, note: str) -> None:
    """Close the exception without any change, for the reason in `note`."""
    if not note.strip():
        raise DecisionRefused("Give a reason to dismiss an exception")
    _resolve(exception, Resolution.DISMISSED, actor, note)


@transaction.atomic
def put_item_back(item: WorklistItem, actor: str) -> None:
    """Put an item back on the list: its discontinued steps no longer count, and nor do its images.

    The item is discontinued, or has begun or ended by nothing but images.
    """
    lock_steps(item.step_links.values_list("step_id", flat=True))
    (locked,) = lock_items([item.pk])
    if locked.superseded_by:
        raise DecisionRefused(f"{locked.current()} is on the list in its place")
    if is_begun_by_images(locked):
        _note_put_back(locked, actor)
        recompute_status(locked, actor)
        return
    if locked.status != ItemStatus.DISCONTINUED and locked.cloud_status in OPEN:
        raise DecisionRefused(f"It is {locked.status}: only a discontinued item can be put back on the list")
    links = StepLink.objects.filter(item=item, counts=True, step__status=ItemStatus.DISCONTINUED)
    _put_items_back(links, actor)


def _put_items_back(links: QuerySet[StepLink], actor: str) -> None:
    items = lock_items(links.values_list("item_id", flat=True))
    if not items:
        raise DecisionRefused("No step has taken it off the list; if Manage has, only Manage can send it again")
    if closed := [str(item) for item in items if item.cloud_status not in OPEN]:
        raise DecisionRefused(f"Manage has closed {', '.join(closed)}: only Manage can send a new item")
    for link in links:
        set_counted(link, actor, counts=False)
    for item in items:
        _note_put_back(item, actor)
        recompute_status(item, actor)


def is_begun_by_images(item: WorklistItem) -> bool:
    """Return whether the item is in progress or completed by nothing but the images that have come."""
    is_by_others = item.cloud_status not in WAITING or item.step_links.filter(counts=True).exists()
    return bool(item.first_image_at) and not item.superseded_by_id and not is_by_others


def _note_put_back(item: WorklistItem, actor: str) -> None:
    Auditor(actor).update(item, put_back_at=timezone.now(), first_image_at=None, images_completed_at=None)


def _resolve(
    exception: MppsException,
    resolution: MppsException.Resolution,
    actor: str,
    note: str,
    item: WorklistItem | None = None,
) -> None:
    stored = MppsException.objects.select_for_update(no_key=True).get(pk=exception.pk)
    if stored.resolution or not resolve_exception(stored, resolution, actor, note, item):
        raise DecisionRefused("Somebody has already resolved it")
