"""Owns what a modality may do: start a performed step and change it (PS3.4 sections F.7.2.1 and F.7.2.2).

Each call is one transaction of its caller's: the step, its links, the items' states and the exceptions go in together.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from core import value_representations as vr
from core.audit import Auditor
from core.contract import ItemStatus
from core.correlation import correlation_id
from worklist.models import MppsException, PerformedProcedureStep
from worklist.performed_step.item_status_update import recompute_status
from worklist.performed_step.linking import (
    MOST_ITEMS,
    count,
    link_named_items,
    lock,
    names_another_patient,
    raise_exception,
    resolve,
)
from worklist.performed_step.report import (
    CHARACTER_SET,
    END,
    FINAL,
    SCHEDULED_STEPS,
    PatientIdentity,
    accept_change,
    accept_creation,
    accept_end,
    ended_now,
    fields_of,
    from_json,
    patient_of_report,
    readable,
    scheduled_steps,
)

Reason = MppsException.Reason

#: A step without an end is looked at by a person after this long.
ABANDONED_AFTER = timedelta(hours=24)


class DuplicateInstance(Exception):
    """There is a step with this SOP Instance UID already; nothing was changed."""


class NoSuchInstance(Exception):
    """No step has this SOP Instance UID."""


class StepIsFinal(Exception):
    """The step is completed or discontinued, and may no longer be changed."""


@dataclass(frozen=True)
class ReportingModality:
    """Who reports, and whether it is held to every rule."""

    ae_title: str
    address: str = ""
    is_strict: bool = False

    @property
    def actor(self) -> str:
        """For the audit log."""
        return f"modality:{self.ae_title}"


class CreatePerformedProcedureStep:
    """N-CREATE: a step begins, and with it the items that it names."""

    def __call__(self, sop_instance_uid: str, received: Dataset, sender: ReportingModality) -> None:
        """ReportRefused or DuplicateInstance where it is refused."""
        report, unreadable = readable(received)
        flagged = [*unreadable, *accept_creation(report, strict=sender.is_strict)]
        step = PerformedProcedureStep(
            sop_instance_uid=sop_instance_uid,
            character_set=_character_set(report),
            calling_ae_title=sender.ae_title[:16],
            address=sender.address[:45],
            correlation_id=correlation_id(),
            **fields_of(report),
        )
        if not Auditor(sender.actor).create_unless_known(step):
            raise DuplicateInstance
        named = scheduled_steps(report)
        if len(named) > MOST_ITEMS:
            flagged.append(SCHEDULED_STEPS)
        if flagged:
            raise_exception(step, Reason.MISSING_ATTRIBUTES, detail=", ".join(flagged))
        link_named_items(step, named)
        _settle_items(step, sender.actor)


class SetPerformedProcedureStep:
    """N-SET: more is known of a step, or it ends."""

    def __call__(self, sop_instance_uid: str, received: Dataset, sender: ReportingModality) -> None:
        """ReportRefused, NoSuchInstance or StepIsFinal where it is refused."""
        step = _locked(sop_instance_uid)
        if step is None:
            raise NoSuchInstance
        if step.status in FINAL:
            raise StepIsFinal
        changes, flagged = readable(received, step.character_set.split("\\") if step.character_set else None)
        combined, ignored = accept_change(from_json(step.data_set), changes, strict=sender.is_strict)
        flagged += accept_end(combined, strict=sender.is_strict)
        report = ended_now(combined, _now())
        Auditor(sender.actor).update(step, **_differing(step, fields_of(report)))
        if flagged:
            raise_exception(step, Reason.MISSING_ATTRIBUTES, detail=", ".join(flagged))
        if ignored:
            raise_exception(step, Reason.IGNORED_ATTRIBUTES, detail=", ".join(ignored))
        if step.status in FINAL:
            _settle_abandoned(step)
        if step.status == ItemStatus.COMPLETED:
            _tell_of_those_put_back(step)
        _hold_against(step, patient_of_report(changes), sender.actor)
        _settle_items(step, sender.actor)


@transaction.atomic
def flag_abandoned() -> int:
    """Tell a person of each step that came ABANDONED_AFTER ago and has no end yet; how many there are new.

    It stays in progress: what has become of it nobody knows here.
    """
    begun = PerformedProcedureStep.objects.filter(
        status=ItemStatus.IN_PROGRESS, created_at__lt=timezone.now() - ABANDONED_AFTER
    )
    new = begun.exclude(exceptions__reason=Reason.ABANDONED).select_for_update(no_key=True, skip_locked=True)
    steps = list(new)
    for step in steps:
        raise_exception(step, Reason.ABANDONED)
    return len(steps)


def _locked(sop_instance_uid: str) -> PerformedProcedureStep | None:
    steps = PerformedProcedureStep.objects.select_for_update(no_key=True)
    return steps.filter(sop_instance_uid=sop_instance_uid).first()


def _tell_of_those_put_back(step: PerformedProcedureStep) -> None:
    """An item that a person has put back on the list is done after all."""
    alarmed = step.exceptions.filter(reason=Reason.WRONG_PATIENT).values_list("item_id", flat=True)
    for link in step.links.filter(counts=False).exclude(item__in=alarmed).select_related("item"):
        raise_exception(step, Reason.DONE_AFTER_PUT_BACK, link.item)


def _hold_against(step: PerformedProcedureStep, said: PatientIdentity, actor: str) -> None:
    """Who the woman is may not be set, and is not; but where it is another one than on the list, a person must know.

    An N-CREATE that has not said who she was is no reason to believe that she is the one on the list.
    """
    for link in step.links.filter(counts=True).select_related("item"):
        if names_another_patient(said, link.item):
            raise_exception(step, Reason.WRONG_PATIENT, link.item)
            if not step.patient_id:
                count(link, actor, counts=False)


def _settle_items(step: PerformedProcedureStep, actor: str) -> None:
    for item in lock(step.links.values_list("item_id", flat=True)):
        recompute_status(item, actor)


def _settle_abandoned(step: PerformedProcedureStep) -> None:
    for exception in step.exceptions.open().filter(reason=Reason.ABANDONED):
        resolve(exception, MppsException.Resolution.SETTLED, actor="gateway", note="The step has ended.")


def _character_set(report: Dataset) -> str:
    value = report.get(CHARACTER_SET) or ""
    terms = value if isinstance(value, MultiValue) else [value]
    return "\\".join(term for term in terms if isinstance(term, str))[:200]


def _now() -> dict[str, str]:
    now = timezone.localtime()
    return dict(zip(END, (vr.format_da(now.date()), vr.format_tm(now.time())), strict=True))


def _differing(step: PerformedProcedureStep, fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if getattr(step, name) != value}
