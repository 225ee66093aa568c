"""Link performed steps with the worklist items they belong to, and open exceptions where that is unclear.

An item and a step that names it may arrive at the same moment, from Manage and from a modality. Both transactions
first serialise on the accession number, so the later one finds what the earlier one has stored. After that, locks are
always taken in one order, and deadlocks between transactions stay rare: steps by key, items by key, the outbox.
"""

from collections.abc import Callable, Iterable
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from core.audit import Auditor
from core.contract import ItemStatus
from core.database import serialise_on
from core.models import fitting
from core.statements import CompiledCount
from core.value_representations import format_da
from dicom.models import Modality
from worklist.item_fields import FIELD_LENGTHS
from worklist.models import MppsException, PerformedProcedureStep, StepLink, WorklistItem
from worklist.performed_step.identity import PatientIdentity, ScheduledStep, family_name

Reason, Resolution = MppsException.Reason, MppsException.Resolution

#: The ways to find the item of a scheduled step: the first that finds exactly one item is right. A way with an empty
#: value finds nothing. The ids in the last two may be used again, so they count only together with the Patient ID.
LINKING_ORDER: tuple[Callable[[ScheduledStep, str], dict[str, str]], ...] = (
    lambda named, _: {
        "study_instance_uid": named.study_instance_uid,
        "scheduled_procedure_step_id": named.scheduled_procedure_step_id,
    },
    lambda named, _: {"accession_number": named.accession_number},
    lambda named, _: {"study_instance_uid": named.study_instance_uid},
    lambda named, patient_id: {"requested_procedure_id": named.requested_procedure_id, "patient_id": patient_id},
    lambda named, patient_id: {
        "scheduled_procedure_step_id": named.scheduled_procedure_step_id,
        "patient_id": patient_id,
    },
)

#: The most items of one step that are looked up; more would keep the database busy for too long.
MAX_ITEMS = 100


def item_of(named: ScheduledStep, patient_id: str) -> WorklistItem | None:
    """Return the item that a modality means, by LINKING_ORDER."""
    for keys_of in LINKING_ORDER:
        keys = keys_of(named, patient_id)
        if not all(keys.values()):
            continue
        items = WorklistItem.objects.filter(**keys)
        # An item may have the Study Instance UID of one that it superseded.
        for found in (items[:2], items.not_superseded()[:2]):
            if len(found) == 1:
                return found[0]
    return None


def link_named_items(step: PerformedProcedureStep, named: list[ScheduledStep]) -> None:
    """Link a new step with the items that it names; open an exception for each that cannot be linked."""
    if not named:
        open_exception(step, Reason.UNSCHEDULED)
    named = named[:MAX_ITEMS]
    serialise_on_accession_number(*(each.accession_number for each in named))
    found = [(each, item_of(each, step.patient_id)) for each in named]
    locked = lock_current_items(item.pk for _, item in found if item)
    for each, item in found:
        if item is None:
            # Leave out a number that is too long for any item: cut to length, it might become a later item's.
            is_possible = len(each.accession_number) <= FIELD_LENGTHS["accession_number"]
            reason = Reason.UNSCHEDULED if each.names_nothing else Reason.UNKNOWN_ITEM
            open_exception(step, reason, accession_number=each.accession_number if is_possible else "")
            continue
        _link_if_allowed(step, item, locked[item.pk])
        if each.accession_number not in ("", item.accession_number):
            open_exception(step, Reason.IGNORED_ATTRIBUTES, item, detail="AccessionNumber")


def waiting_for(accession_number: str) -> "QuerySet[MppsException]":
    """Return the exceptions of steps that named an item before it arrived."""
    return MppsException.objects.open().filter(reason=Reason.UNKNOWN_ITEM, accession_number=accession_number)


#: Whether a step waits for an item with this accession number.
WAITING_STEPS = CompiledCount(waiting_for)


def link_waiting_steps(item: WorklistItem) -> bool:
    """Link a new item with the steps that named it before it arrived; the relay may have been down.

    Return whether there were any; the caller then recomputes the item's status.
    """
    if not WAITING_STEPS.found(item.accession_number):
        return False
    waiting = waiting_for(item.accession_number)
    steps = lock_steps(waiting.values_list("step_id", flat=True))
    still_open = list(waiting.filter(step__in=steps).order_by("created_at"))  # a person may have been quicker
    for exception in still_open:
        _link_if_allowed(steps[exception.step_id], item, item)
        resolve_exception(exception, Resolution.SETTLED, actor="gateway", note="The item has arrived.")
    return True


def serialise_on_accession_number(*accession_numbers: str, appointment_id: str = "") -> None:
    """Wait for other transactions on these numbers, and on the appointment; make later ones wait for this one."""
    names = [f"worklist.accession_number {number}" for number in accession_numbers if number]
    serialise_on(*names, *([f"worklist.appointment_id {appointment_id}"] if appointment_id else []))


def lock_steps(steps: Iterable[UUID]) -> dict[UUID, PerformedProcedureStep]:
    """Lock the steps with these ids, in the order of the ids. Steps are locked before items."""
    rows = PerformedProcedureStep.objects.select_for_update(no_key=True).filter(pk__in=set(steps)).order_by("pk")
    return {step.pk: step for step in rows}


def lock_items(items: Iterable[UUID]) -> list[WorklistItem]:
    """Lock the items with these ids, in the order of the ids.

    Their key columns stay free (`no_key`), so a row that only refers to an item, such as a delivery, need not wait.
    """
    return list(WorklistItem.objects.select_for_update(no_key=True).filter(pk__in=set(items)).order_by("pk"))


def lock_current_items(items: Iterable[UUID]) -> dict[UUID, WorklistItem]:
    """Lock the current item for each of these ids: a report about a superseded item counts for the current one.

    An item is locked before its successor is looked up, as it may be superseded at this moment.
    """
    found = {}
    for key in sorted(set(items)):
        (item,) = lock_items([key])
        while item.superseded_by_id:
            (item,) = lock_items([item.superseded_by_id])
        found[key] = item
    return found


def open_exception(
    step: PerformedProcedureStep,
    reason: MppsException.Reason,
    item: WorklistItem | None = None,
    accession_number: str = "",
    detail: str = "",
) -> None:
    """Open an exception for a person to resolve, unless the step has one with this reason and accession number."""
    number = item.accession_number if item else accession_number
    values = fitting(MppsException, reason=reason, accession_number=number, detail=detail)
    exception = MppsException(step=step, item=item, **values)
    Auditor(step.actor).create_unless_known(exception)


def resolve_exception(
    exception: MppsException,
    resolution: MppsException.Resolution,
    actor: str,
    note: str = "",
    item: WorklistItem | None = None,
) -> bool:
    """Store how an exception was resolved, and with which item; return False if somebody else was quicker."""
    values = fitting(MppsException, resolution=resolution, resolved_by=actor, note=note)
    item_id = {"item_id": item.pk} if item else {}
    return Auditor(actor).update(exception, resolved_at=timezone.now(), **values, **item_id)


def link_step(step: PerformedProcedureStep, item: WorklistItem, actor: str) -> None:
    """Link the step with the item, or let an existing link count again."""
    if not Auditor(actor).create_unless_known(StepLink(step=step, item=item)):
        set_counted(StepLink.objects.get(step=step, item=item), actor, counts=True)
    if item.cloud_status == ItemStatus.DISCONTINUED:
        open_exception(step, Reason.CONTRADICTS_CLOUD, item)


def set_counted(link: StepLink, actor: str, *, counts: bool) -> None:
    """Let the link's step count for its item, or not."""
    if link.counts != counts:
        Auditor(actor).update(link, counts=counts)


def names_another_patient(reported: PatientIdentity, item: WorklistItem) -> bool:
    """Return whether a report is about somebody else than the item's patient."""
    born = format_da(item.patient_birth_date)
    return reported.contradicts(PatientIdentity(item.patient_id, born, family_name(item.patient_name)))


def _link_if_allowed(step: PerformedProcedureStep, named: WorklistItem, current: WorklistItem) -> None:
    """Link the step with the current item, if its patient is the named item's, which the modality was shown.

    A test machine is never shown a woman, so what it reports must not take one off the list.
    """
    from worklist.performed_step.report import from_json, patient_of_report  # noqa: PLC0415 - pydicom is large

    if not named.is_test and Modality.objects.filter(ae_title=step.calling_ae_title, is_test_machine=True).exists():
        open_exception(step, Reason.TEST_MACHINE, current)
    elif names_another_patient(patient_of_report(from_json(step.data_set)), named):
        open_exception(step, Reason.WRONG_PATIENT, current)
    else:
        link_step(step, current, step.actor)
