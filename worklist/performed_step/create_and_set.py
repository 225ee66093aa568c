"""Create and change performed procedure steps, as N-CREATE and N-SET request (PS3.4 sections F.7.2.1 and F.7.2.2).

The caller runs each operation in a transaction of its own. The step, its links, the statuses of its items and its
exceptions are stored together or not at all.
"""

from dataclasses import dataclass

from django.utils import timezone
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from core import value_representations as vr
from core.audit import Auditor
from core.contract import FINAL, ItemStatus
from core.correlation import correlation_id
from core.models import fitting
from worklist.models import MppsException, PerformedProcedureStep
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import (
    MAX_ITEMS,
    link_named_items,
    lock_items,
    names_another_patient,
    open_exception,
    resolve_exception,
    set_counted,
)
from worklist.performed_step.report import (
    CHARACTER_SET,
    END,
    SCHEDULED_STEPS,
    accept_creation,
    accept_end,
    accept_unreadable,
    apply_change,
    decode_report,
    fields_of,
    from_json,
    patient_of_report,
    scheduled_steps,
    to_json,
    with_end,
)

Reason = MppsException.Reason


class DuplicateInstance(Exception):
    """A step with this SOP Instance UID exists already; nothing was changed."""


class NoSuchInstance(Exception):
    """No step has this SOP Instance UID."""


class StepIsFinal(Exception):
    """The step is completed or discontinued, and may no longer be changed."""


@dataclass(frozen=True)
class ReportingModality:
    """The modality that sends a report. A report from a strict one is refused for every fault, not only the worst."""

    ae_title: str
    address: str = ""
    is_strict: bool = False

    @property
    def actor(self) -> str:
        """The name of the modality in the audit log."""
        return f"modality:{self.ae_title}"


def create_performed_procedure_step(sop_instance_uid: str, received: Dataset, modality: ReportingModality) -> None:
    """Create a step and link it with the items that it names (N-CREATE).

    Raise ReportRefused or DuplicateInstance.
    """
    report, unreadable = decode_report(received)
    flagged = accept_unreadable(unreadable, strict=modality.is_strict)
    flagged += accept_creation(report, strict=modality.is_strict)
    declared = report.get(CHARACTER_SET) or ""
    character_sets = declared if isinstance(declared, MultiValue) else [declared]
    values = fitting(
        PerformedProcedureStep,
        character_set="\\".join(name for name in character_sets if isinstance(name, str)),
        calling_ae_title=modality.ae_title,
        address=modality.address,
        **fields_of(report),
    )
    step = PerformedProcedureStep(sop_instance_uid=sop_instance_uid, correlation_id=correlation_id(), **values)
    if not Auditor(modality.actor).create_unless_known(step):
        raise DuplicateInstance
    named = scheduled_steps(report)
    if len(named) > MAX_ITEMS:
        flagged.append(SCHEDULED_STEPS)
    if flagged:
        open_exception(step, Reason.MISSING_ATTRIBUTES, detail=", ".join(flagged))
    link_named_items(step, named)
    _recompute_statuses(step, modality.actor)


def set_performed_procedure_step(sop_instance_uid: str, received: Dataset, modality: ReportingModality) -> None:
    """Change a step, or end it (N-SET). Raise ReportRefused, NoSuchInstance or StepIsFinal."""
    steps = PerformedProcedureStep.objects.select_for_update(no_key=True)
    step = steps.filter(sop_instance_uid=sop_instance_uid).first()
    if step is None:
        raise NoSuchInstance
    if step.status in FINAL:
        raise StepIsFinal
    changes, unreadable = decode_report(received, step.character_set.split("\\") if step.character_set else None)
    flagged = accept_unreadable(unreadable, strict=modality.is_strict)
    combined, ignored = apply_change(from_json(step.data_set), changes, strict=modality.is_strict)
    flagged += accept_end(combined, strict=modality.is_strict)
    now = timezone.localtime()
    end = dict(zip(END, (vr.format_da(now.date()), vr.format_tm(now.time())), strict=True))
    ended = with_end(combined, end)
    # The report is kept as it came; an end that had to be assumed is only in the fields, and marked.
    fields = {
        **fitting(PerformedProcedureStep, **fields_of(ended)),
        "data_set": to_json(combined),
        "end_is_assumed": ended is not combined,
    }
    Auditor(modality.actor).update(step, **{k: value for k, value in fields.items() if getattr(step, k) != value})
    if flagged:
        open_exception(step, Reason.MISSING_ATTRIBUTES, detail=", ".join(flagged))
    if ignored:
        open_exception(step, Reason.IGNORED_ATTRIBUTES, detail=", ".join(ignored))
    if step.status in FINAL:
        for exception in step.exceptions.open().filter(reason=Reason.ABANDONED):
            resolve_exception(exception, MppsException.Resolution.SETTLED, actor="gateway", note="The step has ended.")
    if step.status == ItemStatus.COMPLETED:
        _flag_items_put_back(step)
    _check_patient(step, changes, modality.actor)
    _recompute_statuses(step, modality.actor)


def _flag_items_put_back(step: PerformedProcedureStep) -> None:
    """Open an exception for each item that a person has put back on the list, and that is completed after all."""
    of_another_patient = step.exceptions.filter(reason=Reason.WRONG_PATIENT).values_list("item_id", flat=True)
    for link in step.links.filter(counts=False).exclude(item__in=of_another_patient).select_related("item"):
        open_exception(step, Reason.DONE_AFTER_PUT_BACK, link.item)


def _check_patient(step: PerformedProcedureStep, changes: Dataset, actor: str) -> None:
    """Open an exception for each item that is another patient's than an N-SET names.

    An N-SET may not set the patient (table F.7.2-1), so the stored step keeps the patient of its N-CREATE. If the
    N-CREATE named nobody, nothing says that the step is the item's: it stops counting.
    """
    patient = patient_of_report(changes)
    for link in step.links.filter(counts=True).select_related("item"):
        shown = (link.item, *link.item.predecessors())  # the modality may have been shown any of them
        if all(names_another_patient(patient, item) for item in shown):
            open_exception(step, Reason.WRONG_PATIENT, link.item)
            if not step.patient_id:
                set_counted(link, actor, counts=False)


def _recompute_statuses(step: PerformedProcedureStep, actor: str) -> None:
    for item in lock_items(step.links.values_list("item_id", flat=True)):
        recompute_status(item, actor)
