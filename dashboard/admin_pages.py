"""Owns the admin's pages that know both edges: the timeline of an item, and of an action that has none."""

from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse

from dashboard.timeline import Entry, item_of, timeline_of, timeline_of_action
from relay.models import ReceivedAction
from worklist.models import WorklistItem

#: What a timeline is made of: whoever may not see one of these would see it there.
MADE_OF = (
    "core.view_auditlog",
    "relay.view_receivedaction",
    "worklist.view_mppsexception",
    "worklist.view_performedprocedurestep",
    "worklist.view_delivery",
    "worklist.view_worklistitem",
)
#: Of a longer one the latest are shown.
MOST = 500


def item_timeline(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Everything that has happened to an item."""
    _refuse_unless_permitted(request)
    item = get_object_or_404(WorklistItem, pk=pk)
    return _page(request, f"Timeline of {item}: {item.status}", item, timeline_of(item))


def action_timeline(request: HttpRequest, pk: UUID) -> HttpResponse:
    """The same of an action's item; of one that has none, what came and what was answered."""
    _refuse_unless_permitted(request)
    action = get_object_or_404(ReceivedAction, pk=pk)
    return _page(request, f"Timeline of {action}: {action.outcome}", item_of(action), timeline_of_action(action))


def _refuse_unless_permitted(request: HttpRequest) -> None:
    if not request.user.has_perms(MADE_OF):
        raise PermissionDenied


def _page(request: HttpRequest, title: str, item: WorklistItem | None, entries: list[Entry]) -> HttpResponse:
    numbered = {"accession_number": item.accession_number} if item else None
    context = {
        **admin.site.each_context(request),
        "title": title,
        "item": item,
        "actions": reverse("admin:relay_receivedaction_changelist", query=numbered) if numbered else "",
        "entries": entries[-MOST:],
        "left_out": max(len(entries) - MOST, 0),
    }
    return TemplateResponse(request, "admin/dashboard/timeline.html", context)


urlpatterns = [
    path("worklist/worklistitem/<uuid:pk>/timeline/", admin.site.admin_view(item_timeline), name="item-timeline"),
    path("relay/receivedaction/<uuid:pk>/timeline/", admin.site.admin_view(action_timeline), name="action-timeline"),
]
