"""Owns the clinic's page: Manage's appointment list, "Send to modality", and the state that comes back."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from nonprod.models import Appointment
from nonprod.pages.access import only_with_a_played_relay
from nonprod.pages.appointments import Line, State, appointments_of_today, lines, state_of
from nonprod.pages.messages import begin_again, catch_up, mark_as_absent, send_to_modality


@only_with_a_played_relay
@never_cache
@require_safe
def clinic(request: HttpRequest) -> HttpResponse:
    """The page."""
    return render(request, "nonprod/clinic.html", _whole_list())


@only_with_a_played_relay
@never_cache
@require_safe
def appointment_list(request: HttpRequest) -> HttpResponse:
    """The list alone, as the page asks for it again and again."""
    return render(request, "nonprod/appointment_list.html", _whole_list())


@only_with_a_played_relay
@never_cache
@require_safe
def appointment(request: HttpRequest, pk: int) -> HttpResponse:
    """What was sent of one woman, and what came back: for whoever writes the other end."""
    found = get_object_or_404(Appointment, pk=pk)
    exchanged = (
        ("What Manage has sent", found.action),
        ("What the gateway has replied", found.reply),
        ("What the machine has performed", found.performed),
    )
    texts = [(title, _json(value)) for title, value in exchanged if value is not None]
    return render(request, "nonprod/appointment.html", {"line": Line(found, state_of(found)), "texts": texts})


@only_with_a_played_relay
@require_POST
def send(request: HttpRequest, pk: int) -> HttpResponse:
    """The button "Send to modality"."""
    send_to_modality(get_object_or_404(Appointment, pk=pk))
    return redirect("nonprod:clinic")


@only_with_a_played_relay
@require_POST
def absent(request: HttpRequest, pk: int) -> HttpResponse:
    """The button "Did not attend"."""
    mark_as_absent(get_object_or_404(Appointment, pk=pk))
    return redirect("nonprod:clinic")


@only_with_a_played_relay
@require_POST
def new_clinic(request: HttpRequest) -> HttpResponse:
    """The button "Start again"."""
    begin_again(appointments_of_today())
    return redirect("nonprod:clinic")


def _whole_list() -> dict[str, Any]:
    problem = catch_up(appointments_of_today())
    found = lines(appointments_of_today())
    counts = [(state, sum(line.state is state for line in found)) for state in State]
    return {"lines": found, "problem": problem, "counts": [(state, count) for state, count in counts if count]}


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
