"""The clinic's page: an appointment list as in Manage, its buttons, and the states that the gateway reports."""

import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_POST, require_safe

from nonprod.models import Appointment, ManageImage
from nonprod.pages.access import only_with_emulated_relay
from nonprod.pages.appointments import State, appointments_of_today, rows_of
from nonprod.pages.gateway import mark_as_did_not_attend, read_changes, send_to_modality, start_again


@only_with_emulated_relay
@never_cache
@require_safe
def clinic(request: HttpRequest) -> HttpResponse:
    return render(request, "nonprod/clinic.html", _list_context())


@only_with_emulated_relay
@never_cache
@require_safe
def appointment_list(request: HttpRequest) -> HttpResponse:
    """Return the list alone; the page's script requests it every second."""
    return render(request, "nonprod/appointment_list.html", _list_context())


@only_with_emulated_relay
@never_cache
@require_safe
def appointment(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one appointment with the actions and replies as JSON, for developers of Manage."""
    found = get_object_or_404(Appointment, pk=pk)
    exchanged = (
        ("Sent by Manage", found.action),
        ("Reply from the gateway", found.reply),
        ("Performed by the machine", found.performed),
    )
    texts = [
        (title, json.dumps(value, indent=2, ensure_ascii=False)) for title, value in exchanged if value is not None
    ]
    (row,) = rows_of([found])
    context = {"row": row, "texts": texts}
    return render(request, "nonprod/appointment.html", context)


@only_with_emulated_relay
@cache_control(private=True, max_age=3600)
@require_safe
def picture(request: HttpRequest, pk: int) -> HttpResponse:
    """Return the JPEG that Manage made of an image."""
    found = get_object_or_404(ManageImage.objects.exclude(picture=b""), pk=pk)
    return HttpResponse(bytes(found.picture), content_type="image/jpeg")


@only_with_emulated_relay
@require_POST
def send(request: HttpRequest, pk: int) -> HttpResponse:
    send_to_modality(get_object_or_404(Appointment, pk=pk))
    return redirect("nonprod:clinic")


@only_with_emulated_relay
@require_POST
def absent(request: HttpRequest, pk: int) -> HttpResponse:
    mark_as_did_not_attend(get_object_or_404(Appointment, pk=pk))
    return redirect("nonprod:clinic")


@only_with_emulated_relay
@require_POST
def new_clinic(request: HttpRequest) -> HttpResponse:
    start_again(appointments_of_today())
    return redirect("nonprod:clinic")


def _list_context() -> dict[str, Any]:
    problem = read_changes(appointments_of_today())
    rows = rows_of(appointments_of_today())
    counts = [(state, sum(row.state is state for row in rows)) for state in State]
    return {"rows": rows, "problem": problem, "counts": [(state, count) for state, count in counts if count]}
