"""The console of an emulated mammography unit: query the worklist, perform steps, and report them over DICOM.

A unit performs one examination at a time. The examination is saved in the database and continues after a restart of the
server. The worklist is not saved: each page queries it again.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
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
from pydicom.uid import ExplicitVRLittleEndian

from nonprod.local_gateway import images_are_on, local_image_server, local_modality
from nonprod.modality_emulator import (
    REASONS,
    VIEWS,
    Exposure,
    ModalityEmulator,
    PerformedStep,
    RequestFailed,
    reason_named,
    step_query,
)
from nonprod.modality_emulator.encodings import TRANSFER_SYNTAXES
from nonprod.models import Examination
from nonprod.pages.access import only_with_emulated_relay
from nonprod.pages.examinations import attributes_of, begin, current_examination, examinations, save, step_of

UNITS = ("MAMMO1", "MAMMO2")
Status = Examination.Status


# Searches, as on the consoles of real units ---------------------------------------------------------------------------


@dataclass(frozen=True)
class SearchInput:
    """What a search may use: the unit's AE title, today's date, and the typed text."""

    ae_title: str
    today: date
    text: str = ""


@dataclass(frozen=True)
class Search:
    """A button that queries the worklist. `needs` says what has to be typed for it, if anything."""

    key: str
    label: str
    meaning: str
    identifier: Callable[[SearchInput], Dataset]
    needs: str = ""


def _by_name(given: SearchInput) -> Dataset:
    """Search by the start of the family name: people do not type the wildcard."""
    identifier = step_query(modality="MG")
    name = given.text.replace(", ", "^").replace(",", "^")
    identifier.PatientName = name if "*" in name or "?" in name else f"{name}*"
    return identifier


SEARCHES = {
    search.key: search
    for search in (
        Search(
            "scanner",
            "This scanner",
            "scheduled for this unit today",
            lambda given: step_query(ae_title=given.ae_title, day=given.today, modality="MG"),
        ),
        Search(
            "modality",
            "This modality",
            "all mammography today",
            lambda given: step_query(day=given.today, modality="MG"),
        ),
        Search("today", "Today", "all modalities today", lambda given: step_query(day=given.today)),
        Search("all", "All", "all modalities, any day", lambda _: step_query()),
        Search("name", "Search by name", "name begins with", _by_name, "a name"),
        Search(
            "accession",
            "Search by accession",
            "accession number is",
            lambda given: step_query(given.text),
            "an accession number",
        ),
    )
}


# The page -------------------------------------------------------------------------------------------------------------


@only_with_emulated_relay
@never_cache
@require_safe
def console(request: HttpRequest) -> HttpResponse:
    """Show the unit's open examination, or else the worklist with the result of a search."""
    unit = _unit(request.GET)
    current = current_examination(unit)
    context = {
        "unit": unit,
        "units": UNITS,
        "searches": SEARCHES,
        "recent": [ConsoleRow.of_examination(one) for one in examinations(unit).exclude(status=Status.IN_PROGRESS)[:5]],
    }
    if current:
        views = [(view, current.views.count(view)) for view in VIEWS]
        patient = ConsoleRow.of_examination(current)
        context |= {"current": current, "patient": patient, "views": views, "reasons": REASONS}
        context["missing"] = [view for view, count in views if not count]
        context["transfer_syntaxes"] = TRANSFER_SYNTAXES if images_are_on() else {}
    else:
        context |= _search_result(request, unit)
    return render(request, "nonprod/modality.html", context)


def _search_result(request: HttpRequest, unit: ModalityEmulator) -> dict[str, Any]:
    search, text = SEARCHES.get(request.GET.get("ask", "")), request.GET.get("text", "").strip()
    if search is None:
        return {}
    if search.needs and not text:
        return {"search": search, "problem": f"Enter {search.needs}"}
    try:
        rows = unit.query(search.identifier(SearchInput(unit.ae_title, timezone.localdate(), text)))
    except (RequestFailed, ValueError) as error:
        return {"search": search, "text": text, "problem": str(error)}
    return {
        "search": search,
        "text": text,
        "rows": [ConsoleRow.of_worklist_item(row) for row in rows],
        "asked_at": timezone.now(),
    }


@dataclass(frozen=True)
class ConsoleRow:
    """A worklist item or an examination as the console displays it."""

    name: str
    patient_id: str
    born: str
    accession_number: str
    procedure: str
    at: str = ""
    station_ae_title: str = ""
    examination: Examination | None = None

    @classmethod
    def of_worklist_item(cls, row: Dataset) -> "ConsoleRow":
        step = (row.get("ScheduledProcedureStepSequence") or [Dataset()])[0]
        at = _text(step, "ScheduledProcedureStepStartTime")
        return cls(
            *_patient(row),
            accession_number=_text(row, "AccessionNumber"),
            procedure=_text(row, "RequestedProcedureDescription"),
            at=f"{_date(_text(step, 'ScheduledProcedureStepStartDate'))} {at[:2]}:{at[2:4]}",
            station_ae_title=_text(step, "ScheduledStationAETitle"),
        )

    @classmethod
    def of_examination(cls, examination: Examination) -> "ConsoleRow":
        attributes = attributes_of(examination)
        (scheduled,) = attributes.ScheduledStepAttributesSequence
        return cls(
            *_patient(attributes),
            accession_number=_text(scheduled, "AccessionNumber"),
            procedure=_text(attributes, "PerformedProcedureTypeDescription"),
            examination=examination,
        )


def _patient(dataset: Dataset) -> tuple[str, str, str]:
    name = _text(dataset, "PatientName").replace("^", ", ")
    return name, _text(dataset, "PatientID"), _date(_text(dataset, "PatientBirthDate"))


def _text(dataset: Dataset, keyword: str) -> str:
    return str(dataset.get(keyword) or "")


def _date(text: str) -> str:
    """Format a DICOM date as dd/mm/yyyy; return other text unchanged."""
    try:
        return f"{datetime.strptime(text, '%Y%m%d'):%d/%m/%Y}"  # noqa: DTZ007 - wall clock
    except ValueError:
        return text


# The buttons ----------------------------------------------------------------------------------------------------------


@only_with_emulated_relay
@require_POST
def verify(request: HttpRequest) -> HttpResponse:
    """Send a C-ECHO."""
    unit = _unit(request.POST)
    _attempt(request, unit.echo, "C-ECHO: 0000, the worklist server answers")
    return _redirect_to_console(unit)


@only_with_emulated_relay
@require_POST
def start(request: HttpRequest) -> HttpResponse:
    """Query the item with this accession number again, and send the N-CREATE for it."""
    unit = _unit(request.POST)
    number = request.POST.get("accession_number", "")

    def begin_examination() -> None:
        rows = unit.query(step_query(number)) if number else []
        if not rows:
            raise RequestFailed("The patient is not on the list any more: search again")
        begin(unit.prepare(rows[0]))

    if _attempt(request, begin_examination, "N-CREATE: 0000, IN PROGRESS"):
        return _redirect_to_console(unit)
    return _redirect_to_console(unit, ask="scanner")


@only_with_emulated_relay
@require_POST
def expose(request: HttpRequest) -> HttpResponse:
    """Take an image of one view, perhaps a repeat, or of each missing view; send it, and report it with an N-SET."""
    view = request.POST.get("view", "")

    def take_images(step: PerformedStep) -> None:
        taken = {one.description for one in step.series}
        _take_images(request, step, *([view] if view in VIEWS else [each for each in VIEWS if each not in taken]))
        step.progress()

    return _continue_examination(request, take_images, Status.IN_PROGRESS)


def _take_images(request: HttpRequest, step: PerformedStep, *views: str) -> None:
    """Take an image of each view, and send it at once unless images are off; one that does not arrive is not taken."""
    if not images_are_on():
        step.expose(*views)
        return
    transfer_syntax = TRANSFER_SYNTAXES.get(request.POST.get("transfer_syntax", ""), ExplicitVRLittleEndian)
    exposure = Exposure(local_image_server(step.modality.ae_title), transfer_syntax)
    for view in views:
        (taken,) = step.expose(view)
        try:
            exposure.send(step, [taken])
        except RequestFailed:
            step.series.remove(taken)
            raise
        messages.success(request, f"C-STORE: 0000, {view}, {transfer_syntax.name}")


@only_with_emulated_relay
@require_POST
def finish(request: HttpRequest) -> HttpResponse:
    """Send the N-SET with COMPLETED; without images, take the four screening views first."""

    def complete(step: PerformedStep) -> None:
        if not step.series:
            _take_images(request, step, *VIEWS)
        step.complete()

    return _continue_examination(request, complete, Status.COMPLETED)


@only_with_emulated_relay
@require_POST
def discontinue(request: HttpRequest) -> HttpResponse:
    """Send the N-SET with DISCONTINUED and the chosen reason."""
    chosen = request.POST.get("reason", "")
    return _continue_examination(request, lambda step: step.discontinue(reason_named(chosen)), Status.DISCONTINUED)


def _continue_examination(request: HttpRequest, act: Callable[[PerformedStep], None], status: Status) -> HttpResponse:
    """Act on the open examination. If the server does not answer, images are kept and the button works again."""
    unit = _unit(request.POST)
    current = current_examination(unit)
    if current is None:
        messages.error(request, f"{unit.ae_title} has no examination open")
        return _redirect_to_console(unit)
    step = step_of(current, unit)
    succeeded = _attempt(request, lambda: act(step), f"N-SET: 0000, {status}")
    save(current, step, status if succeeded else Status.IN_PROGRESS)
    is_over = succeeded and status is not Status.IN_PROGRESS
    return _redirect_to_console(unit, ask="scanner") if is_over else _redirect_to_console(unit)


def _attempt(request: HttpRequest, act: Callable[[], None], success: str) -> bool:
    """Send a request and show the server's answer on the next page; return whether it succeeded."""
    try:
        act()
    except (RequestFailed, ValueError) as error:
        messages.error(request, str(error))
        return False
    messages.success(request, success)
    return True


def _unit(values: Any) -> ModalityEmulator:
    name = values.get("unit")
    return replace(local_modality(), ae_title=name if name in UNITS else UNITS[0])


def _redirect_to_console(unit: ModalityEmulator, **query: str) -> HttpResponse:
    return redirect(f"{reverse('nonprod:modality')}?{urlencode({'unit': unit.ae_title, **query})}")
