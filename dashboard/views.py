"""Serve the live page, complete without JavaScript, and the error page for any page that fails."""

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
from dashboard.fragments import render_page, rooms_of
from dashboard.snapshot import take_snapshot
from dashboard.viewer_permissions import ViewerPermissions

#: When the browser reloads a page that has failed.
RELOAD_SECONDS = 10


@never_cache  # names must stay neither in a shared computer's browser nor in a proxy
@require_safe
@login_required
def live_page(request: HttpRequest) -> HttpResponse:
    """Show the gateway's state now."""
    snapshot = take_snapshot()
    page = render_page(snapshot, ViewerPermissions.of(request.user))
    fragments = {name: mark_safe(html) for name, html in page.items()}  # noqa: S308 - rendered from our templates
    context = {
        "fragments": fragments,
        "rooms": [fragments[name] for name in rooms_of(page)],
        "at": timezone.localtime(snapshot.taken_at),
    }
    return render(request, "dashboard/live_page.html", context)


def server_error(request: HttpRequest) -> HttpResponse:
    """Replace a page that has failed (Django's handler500): 503 if the database does not answer, otherwise 500.

    The page is rendered without the request, because reading who is logged in would need the database.
    """
    database_unreachable = isinstance(sys.exception(), UNAVAILABLE)
    reload_seconds = RELOAD_SECONDS if request.method in ("GET", "HEAD") else 0  # never send a form twice
    page = render_to_string(
        "500.html", {"database_unreachable": database_unreachable, "reload_seconds": reload_seconds}
    )
    response = HttpResponse(page, status=503 if database_unreachable else 500)
    if reload_seconds:
        response.headers["Refresh"] = str(reload_seconds)
    return response
