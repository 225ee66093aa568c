"""Owns which worklist items a performed step belongs to, and what is said to a person where that is not clear."""

from collections.abc import Callable, Iterable
from uuid import UUID

from django.utils import timezone

from core.audit import Auditor
from core.database import serialise_on
from worklist.models import MppsException, PerformedProcedureStep, StepLink, WorklistItem
from worklist.models.items import LENGTHS
from worklist.performed_step.item_state import DISCONTINUED
from worklist.performed_step.item_status_update import settle
from worklist.performed_step.report import ScheduledStep, Woman, from_json, woman_in, woman_on_the_list

Reason, Resolution = MppsException.Reason, MppsException.Resolution

#: By what an item is found: the first of these that finds exactly one. What is empty finds nothing. The last two are
#: short ids, which may be used again: they count together with the patient only.
LINKING_ORDER: tuple[Callable[[ScheduledStep, str], dict[str, str]], ...] = (
    lambda named, _: {
        "study_instance_uid": named.study_instance_uid,
        "scheduled_procedure_step_id": named.scheduled_procedure_step_id,
    },
    lambda named, _: {"accession_number": named.accession_number},
    lambda named, _: {"study_instance_uid": named.study_instance_uid},
    lambda named, patient: {"requested_procedure_id": named.requested_procedure_id, "patient_id": patient},
    lambda named, patient: {"scheduled_procedure_step_id": named.scheduled_procedure_step_id, "patient_id": patient},
)


#: Of a step. One that names more is looked at by a person: the database would be busy with it for too long.
MOST_ITEMS = 100


def item_of(named: ScheduledStep, patient_id: str) -> WorklistItem | None:
    """The item that a machine says it has worked on."""
    for keys_of in LINKING_ORDER:
        keys = keys_of(named, patient_id)
        if all(keys.values()) and len(found := WorklistItem.objects.filter(**keys)[:2]) == 1:
            return found[0]
    return None


def link_named_items(step: PerformedProcedureStep, named: list[ScheduledStep]) -> None:
    """Link a new step with the items that it names; what cannot be linked becomes an exception."""
    looked_at = named[:MOST_ITEMS]
    meet(*(each.accession_number for each in looked_at))
    found = [(each, item_of(each, step.patient_id)) for each in looked_at]
    locked = {item.pk: item for item in lock(item.pk for _, item in found if item)}
    for each, item in found:
        if item is None:
            _tell_of_nothing_found(step, each)
            continue
        _link_unless_another_woman(step, locked[item.pk])
        if each.accession_number not in ("", item.accession_number):
            raise_exception(step, Reason.IGNORED_ATTRIBUTES, item, detail="AccessionNumber")
    if not named:
        raise_exception(step, Reason.UNSCHEDULED)


def _tell_of_nothing_found(step: PerformedProcedureStep, named: ScheduledStep) -> None:
    """A number that no item can have, as it is too long, is left out: an item that comes later may begin with it."""
    number = named.accession_number if len(named.accession_number) <= LENGTHS["accession_number"] else ""
    reason = Reason.UNSCHEDULED if named.names_nothing else Reason.UNKNOWN_ITEM
    raise_exception(step, reason, accession_number=number)


def link_waiting_steps(item: WorklistItem) -> None:
    """Link a new item with the steps that have named it before it was there: the relay may have been away."""
    waiting = MppsException.objects.open().filter(reason=Reason.UNKNOWN_ITEM, accession_number=item.accession_number)
    steps = lock_steps(waiting.values_list("step_id", flat=True))
    still_open = list(waiting.filter(step__in=steps).order_by("created_at"))  # a person may have been quicker
    for exception in still_open:
        _link_unless_another_woman(steps[exception.step_id], item)
        resolve(exception, Resolution.SETTLED, actor="gateway", note="The item has come.")
    if still_open:
        settle(item, "gateway")


def meet(*accession_numbers: str) -> None:
    """Make items and steps of the same accession number come one after the other: the later one finds the earlier."""
    serialise_on(*(f"worklist.accession_number {number}" for number in accession_numbers if number))


def lock_steps(steps: Iterable[UUID]) -> dict[UUID, PerformedProcedureStep]:
    """These steps, by their keys, locked; always before items."""
    rows = PerformedProcedureStep.objects.select_for_update(no_key=True).filter(pk__in=set(steps)).order_by("pk")
    return {step.pk: step for step in rows}


def lock(items: Iterable[UUID]) -> list[WorklistItem]:
    """These items, by their keys, locked in an order that is the same for everybody.

    Not their keys: who only refers to an item, as the proof of delivery does, need not wait.
    """
    return list(WorklistItem.objects.select_for_update(no_key=True).filter(pk__in=set(items)).order_by("pk"))


def raise_exception(
    step: PerformedProcedureStep,
    reason: MppsException.Reason,
    item: WorklistItem | None = None,
    accession_number: str = "",
    detail: str = "",
) -> None:
    """Tell a person, once for each reason."""
    number = item.accession_number if item else accession_number
    exception = MppsException(step=step, reason=reason, item=item, accession_number=number, detail=detail[:300])
    Auditor(f"modality:{step.calling_ae_title}").create_unless_known(exception)


def resolve(
    exception: MppsException,
    resolution: MppsException.Resolution,
    actor: str,
    note: str = "",
    item: WorklistItem | None = None,
) -> bool:
    """Say how an exception was dealt with, and by which item; False when somebody else was quicker."""
    found = {"item_id": item.pk} if item else {}
    return Auditor(actor).update(
        exception,
        resolution=resolution,
        resolved_at=timezone.now(),
        resolved_by=actor[:150],
        note=note[:300],
        **found,
    )


def link(step: PerformedProcedureStep, item: WorklistItem, actor: str) -> None:
    """Say that the step is the item's; it counts again, if it did not."""
    auditor = Auditor(actor)
    if not auditor.create_unless_known(StepLink(step=step, item=item)):
        count(StepLink.objects.get(step=step, item=item), actor, counts=True)
    if item.cloud_status == DISCONTINUED:
        raise_exception(step, Reason.CONTRADICTS_CLOUD, item)


def count(link: StepLink, actor: str, *, counts: bool) -> None:
    """Let a link count, or not."""
    if link.counts != counts:
        Auditor(actor).update(link, counts=counts)


def is_another_woman(said: Woman, item: WorklistItem) -> bool:
    """Whether a modality means somebody else than the item."""
    return said.contradicts(woman_on_the_list(item.patient_id, item.patient_birth_date, item.patient_name))


def _link_unless_another_woman(step: PerformedProcedureStep, item: WorklistItem) -> None:
    if is_another_woman(woman_in(from_json(step.data_set)), item):
        raise_exception(step, Reason.WRONG_PATIENT, item)
    else:
        link(step, item, f"modality:{step.calling_ae_title}")
