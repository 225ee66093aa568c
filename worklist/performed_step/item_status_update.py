"""Owns how an item comes to the state that its facts give it, and how Manage gets to know of it."""

from typing import Any

from core.audit import Auditor
from worklist.models import ItemChange, PerformedProcedureStep, WorklistItem
from worklist.performed_step.item_state import SCHEDULED, STRONGEST_FIRST, Fact, Source, state_of


def settle(item: WorklistItem, actor: str, said: str = "") -> None:
    """Bring an item, which this transaction has locked, to its state; `said` is new word from the cloud.

    `actor` is who has made the difference, for the audit log. The last thing that a transaction does (ItemChange).
    """
    cloud_status = _stronger(item.cloud_status, said)
    steps = _steps_of(item)
    status = state_of([Fact(Source.CLOUD, cloud_status), *_facts_of(steps)])
    changes = {"cloud_status": cloud_status, "status": status}
    if any(getattr(item, name) != value for name, value in changes.items()):
        Auditor(actor).update(item, **changes)
    _tell(item, _report_of(steps))


def performed(item: WorklistItem) -> dict[str, Any] | None:
    """`performed` of the contract: the report of the step that decides; None without one."""
    return _report_of(_steps_of(item))


def _stronger(known: str, said: str) -> str:
    """The cloud says more and more of an item, and takes nothing back."""
    return next(
        (fact.status for fact in STRONGEST_FIRST if fact.source is Source.CLOUD and fact.status in (known, said)),
        SCHEDULED,
    )


def _steps_of(item: WorklistItem) -> list[PerformedProcedureStep]:
    """Those that count, the latest first."""
    return list(PerformedProcedureStep.objects.filter(links__item=item, links__counts=True))


def _facts_of(steps: list[PerformedProcedureStep]) -> list[Fact]:
    return [Fact(Source.STEP, step.status) for step in steps]


def _report_of(steps: list[PerformedProcedureStep]) -> dict[str, Any] | None:
    """Of the latest of those with the strongest state."""
    state = state_of(_facts_of(steps))
    return next((step.report() for step in steps if step.status == state), None)


def _tell(item: WorklistItem, report: dict[str, Any] | None) -> None:
    """Put a change of the item's or the step's state into the outbox."""
    told = item.changes.last()
    known = (told.status, _state(told.performed)) if told else (SCHEDULED, None)
    if (item.status, _state(report)) != known:
        ItemChange.objects.add(item, report)


def _state(report: dict[str, Any] | None) -> Any:
    return report and report["status"]
