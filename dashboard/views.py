"""Owns the live page as it is served first: whole, and of use without JavaScript."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from dashboard.pieces import page_of, rooms_of
from dashboard.snapshot import take_snapshot
from dashboard.standing import SEES_NAMES


@never_cache  # neither a shared computer's browser nor a proxy keeps who was there
@require_GET
@login_required
def live_page(request: HttpRequest) -> HttpResponse:
    """How everything stands now."""
    snapshot = take_snapshot()
    page = page_of(snapshot, with_names=request.user.has_perm(SEES_NAMES))
    pieces = {name: mark_safe(html) for name, html in page.items()}  # noqa: S308 - our own templates made it
    context = {
        "pieces": pieces,
        "rooms": [pieces[name] for name in rooms_of(page)],
        "at": timezone.localtime(snapshot.taken_at),
        "snapshot": snapshot,
    }
    return render(request, "dashboard/live_page.html", context)
