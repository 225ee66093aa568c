"""Owns the live page as it is served first: whole, and of use without JavaScript; and the page that stands for any
other that cannot be shown."""

import sys

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from core.database import UNAVAILABLE
from dashboard.fragments import page_of, rooms_of
from dashboard.snapshot import take_snapshot
from dashboard.viewer_permissions import Standing

#: A page that could not be shown is asked for again after this long.
TRY_AGAIN_SECONDS = 10


@never_cache  # neither a shared computer's browser nor a proxy keeps who was there
@require_safe
@login_required
def live_page(request: HttpRequest) -> HttpResponse:
    """How everything stands now."""
    snapshot = take_snapshot()
    page = page_of(snapshot, Standing.of(request.user))
    pieces = {name: mark_safe(html) for name, html in page.items()}  # noqa: S308 - our own templates made it
    context = {
        "pieces": pieces,
        "rooms": [pieces[name] for name in rooms_of(page)],
        "at": timezone.localtime(snapshot.taken_at),
        "snapshot": snapshot,
    }
    return render(request, "dashboard/live_page.html", context)


def failed(request: HttpRequest) -> HttpResponse:
    """Instead of any page that has failed (Django's handler500): 503 if the database is away, and else 500.

    Rendered without the request, as who is logged in stands in the database.
    """
    database_away = isinstance(sys.exception(), UNAVAILABLE)
    tries_again = TRY_AGAIN_SECONDS if request.method in ("GET", "HEAD") else 0  # what was sent is not sent twice
    shown = render_to_string("500.html", {"database_away": database_away, "tries_again": tries_again})
    response = HttpResponse(shown, status=503 if database_away else 500)
    if tries_again:
        response.headers["Refresh"] = str(tries_again)
    return response
