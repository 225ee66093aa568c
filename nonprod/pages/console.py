"""Owns the console of a mammography unit: it asks for the worklist, performs steps, and reports them, over DICOM.

A unit has one woman at a time. What it performs is kept in the database and goes on after a restart of the server; the
list is not, and is asked for anew with each page.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe
from pydicom.dataset import Dataset

from nonprod.local_gateway import local_modality
from nonprod.modality_emulator import REASONS, VIEWS, Modality, NoAnswer, PerformedStep, reason_named, step_query
from nonprod.models import Examination
from nonprod.pages.access import only_with_a_played_relay
from nonprod.pages.examinations import attributes_of, begin, current_examination, examinations, keep, step_of
from nonprod.pages.searches import SEARCHES, Asker

UNITS = ("MAMMO1", "MAMMO2")
Status = Examination.Status


# The console ----------------------------------------------------------------------------------------------------------


@only_with_a_played_relay
@never_cache
@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """The unit's screen: the examination that it is at, or the worklist, as it is asked for."""
    unit = _unit(request.GET)
    current = current_examination(unit)
    context = {
        "unit": unit,
        "units": UNITS,
        "searches": SEARCHES,
        "recent": [Shown.of_examination(one) for one in examinations(unit).exclude(status=Status.IN_PROGRESS)[:5]],
        **(_at_work(current) if current else _answer(request, unit)),
    }
    return render(request, "nonprod/modality.html", context)


def _at_work(current: Examination) -> dict[str, Any]:
    views = [(view, current.views.count(view)) for view in VIEWS]
    return {"current": current, "woman": Shown.of_examination(current), "views": views, "reasons": REASONS}


def _answer(request: HttpRequest, unit: Modality) -> dict[str, Any]:
    """What the worklist server says to the button that was pressed."""
    search, text = SEARCHES.get(request.GET.get("ask", "")), request.GET.get("text", "").strip()
    if search is None:
        return {}
    if search.field and not text:
        return {"search": search, "problem": f"{search.field} is empty: type what to search for"}
    try:
        rows = unit.query(search.identifier(Asker(unit.ae_title, timezone.localdate(), text)))
    except (NoAnswer, ValueError) as error:
        return {"search": search, "text": text, "problem": str(error)}
    return {"search": search, "text": text, "rows": [Shown.of_row(row) for row in rows], "asked_at": timezone.now()}


@dataclass(frozen=True)
class Shown:
    """A line on the screen, of a worklist row or of an examination."""

    name: str
    patient_id: str
    born: str
    accession_number: str
    procedure: str
    at: str = ""
    station_ae_title: str = ""
    examination: Examination | None = None

    @classmethod
    def of_row(cls, row: Dataset) -> "Shown":
        """Of what a query has brought."""
        step = (row.get("ScheduledProcedureStepSequence") or [Dataset()])[0]
        at = _text(step, "ScheduledProcedureStepStartTime")
        return cls(
            *_person(row),
            accession_number=_text(row, "AccessionNumber"),
            procedure=_text(row, "RequestedProcedureDescription"),
            at=f"{_day(_text(step, 'ScheduledProcedureStepStartDate'))} {at[:2]}:{at[2:4]}",
            station_ae_title=_text(step, "ScheduledStationAETitle"),
        )

    @classmethod
    def of_examination(cls, examination: Examination) -> "Shown":
        """Of what the unit performs."""
        attributes = attributes_of(examination)
        (scheduled,) = attributes.ScheduledStepAttributesSequence
        return cls(
            *_person(attributes),
            accession_number=_text(scheduled, "AccessionNumber"),
            procedure=_text(attributes, "PerformedProcedureTypeDescription"),
            examination=examination,
        )


def _person(found: Dataset) -> tuple[str, str, str]:
    name = _text(found, "PatientName").replace("^", ", ")
    return name, _text(found, "PatientID"), _day(_text(found, "PatientBirthDate"))


def _text(found: Dataset, keyword: str) -> str:
    return str(found.get(keyword) or "")


def _day(text: str) -> str:
    """As a person here writes it; what is no date as it came."""
    try:
        return f"{datetime.strptime(text, '%Y%m%d'):%d/%m/%Y}"  # noqa: DTZ007 - wall clock
    except ValueError:
        return text


# Its buttons ----------------------------------------------------------------------------------------------------------


@only_with_a_played_relay
@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """C-ECHO."""
    unit = _unit(request.POST)
    _tried(request, unit.echo, "C-ECHO: 0000, the worklist server is there")
    return _back(unit)


@only_with_a_played_relay
@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """N-CREATE, for the row with this accession number as the worklist has it now."""
    unit = _unit(request.POST)
    number = request.POST.get("accession_number", "")
    if _tried(request, lambda: _start(unit, number), "N-CREATE: 0000, IN PROGRESS"):
        return _back(unit)
    return _back(unit, ask="scanner")


def _start(unit: Modality, accession_number: str) -> None:
    rows = unit.query(step_query(accession_number)) if accession_number else []
    if not rows:
        raise NoAnswer("She is not on the list any more: ask for it again")
    begin(unit.prepare(rows[0]))


@only_with_a_played_relay
@require_POST
def expose(request: HttpRequest) -> HttpResponse:
    """An image of one view, or of each that is still missing; an N-SET tells of it."""
    view = request.POST.get("view", "")

    def take(step: PerformedStep) -> None:
        step.expose(*([view] if view in VIEWS else _missing(step)))
        step.progress()

    return _go_on(request, take, Status.IN_PROGRESS)


@only_with_a_played_relay
@require_POST
def finish(request: HttpRequest) -> HttpResponse:
    """N-SET: COMPLETED; with the four views of screening, where none has been taken."""
    return _go_on(request, lambda step: step.complete(), Status.COMPLETED)


@only_with_a_played_relay
@require_POST
def discontinue(request: HttpRequest) -> HttpResponse:
    """N-SET: DISCONTINUED, with the reason that was chosen."""
    chosen = request.POST.get("reason", "")
    return _go_on(request, lambda step: step.discontinue(reason_named(chosen)), Status.DISCONTINUED)


def _go_on(request: HttpRequest, act: Callable[[PerformedStep], None], status: Status) -> HttpResponse:
    """Act on the unit's examination. If nobody answers, the images stay, and the button can be pressed again."""
    unit = _unit(request.POST)
    current = current_examination(unit)
    if current is None:
        messages.error(request, f"{unit.ae_title} has no examination open")
        return _back(unit)
    step = step_of(current, unit)
    has_worked = _tried(request, lambda: act(step), f"N-SET: 0000, {status}")
    keep(current, step, status if has_worked else Status.IN_PROGRESS)
    is_over = has_worked and status is not Status.IN_PROGRESS
    return _back(unit, ask="scanner") if is_over else _back(unit)


def _missing(step: PerformedStep) -> list[str]:
    taken = {one.description for one in step.series}
    return [view for view in VIEWS if view not in taken]


def _tried(request: HttpRequest, act: Callable[[], None], success: str) -> bool:
    """Whether it has worked; either way a line on the screen says what the server has answered."""
    try:
        act()
    except (NoAnswer, ValueError) as error:
        messages.error(request, str(error))
        return False
    messages.success(request, success)
    return True


def _unit(values: Any) -> Modality:
    """The unit that the page is of."""
    name = values.get("unit")
    return replace(local_modality(), ae_title=name if name in UNITS else UNITS[0])


def _back(unit: Modality, **query: str) -> HttpResponse:
    return redirect(f"{reverse('nonprod:modality')}?{urlencode({'unit': unit.ae_title, **query})}")
