"""Owns what a person may do about MPPS exceptions and discontinued items. Each is audited under that person's name."""

from django.db import transaction
from django.db.models import QuerySet

from core.contract import ItemStatus
from worklist.models import MppsException, StepLink, WorklistItem
from worklist.models.items import OPEN
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import count, link, lock, lock_steps, resolve

Resolution = MppsException.Resolution


class CannotResolve(Exception):
    """It cannot be done; the text says why, and what can be done instead."""


@transaction.atomic
def link_to_item(exception: MppsException, item: WorklistItem, actor: str, note: str = "") -> None:
    """The step is this item's, whatever the modality has said of it."""
    step = lock_steps([exception.step_id])[exception.step_id]
    (item,) = lock([item.pk])
    _resolve(exception, Resolution.LINKED, actor, note, item)
    link(step, item, actor)
    recompute_status(item, actor)


@transaction.atomic
def put_back(exception: MppsException, actor: str, note: str = "") -> None:
    """The exception's step does not count for the item that it is about, nor for its only one; an abandoned step counts
    for none of its items."""
    lock_steps([exception.step_id])
    links = StepLink.objects.filter(step_id=exception.step_id, counts=True)
    if exception.item_id:
        links = links.filter(item_id=exception.item_id)
    elif exception.reason != MppsException.Reason.ABANDONED and links.count() > 1:
        raise CannotResolve("Its step is of several items, and it does not say of which: nobody else's may be put back")
    _put_back(links, actor)
    _resolve(exception, Resolution.PUT_BACK, actor, note)


@transaction.atomic
def dismiss(exception: MppsException, actor: str, note: str) -> None:
    """There is nothing to be done, for the reason given."""
    if not note.strip():
        raise CannotResolve("To dismiss an exception is to say why: give a reason")
    _resolve(exception, Resolution.DISMISSED, actor, note)


@transaction.atomic
def put_item_back(item: WorklistItem, actor: str) -> None:
    """A discontinued item is on the list again: its discontinued steps count no longer."""
    lock_steps(item.step_links.values_list("step_id", flat=True))
    (locked,) = lock([item.pk])
    if locked.status != ItemStatus.DISCONTINUED and locked.cloud_status in OPEN:
        raise CannotResolve(f"It is {locked.status}: only a discontinued item can be put back on the list")
    links = StepLink.objects.filter(item=item, counts=True, step__status=ItemStatus.DISCONTINUED)
    _put_back(links, actor)


def _put_back(links: QuerySet[StepLink], actor: str) -> None:
    items = lock(links.values_list("item_id", flat=True))
    if not items:
        raise CannotResolve("No modality's step has taken it off the list; where Manage has, Manage sends it anew")
    if closed := [str(item) for item in items if item.cloud_status not in OPEN]:
        raise CannotResolve(f"Manage has closed {', '.join(closed)}: only Manage can send the woman anew")
    for each in links:
        count(each, actor, counts=False)
    for item in items:
        recompute_status(item, actor)


def _resolve(
    exception: MppsException,
    resolution: MppsException.Resolution,
    actor: str,
    note: str,
    item: WorklistItem | None = None,
) -> None:
    stored = MppsException.objects.select_for_update(no_key=True).get(pk=exception.pk)
    if stored.resolution or not resolve(stored, resolution, actor, note, item):
        raise CannotResolve("Somebody has dealt with it already")
