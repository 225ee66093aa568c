"""Show the alarms about worklist items, and let staff dismiss them."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString

from core.admin import RecordAdmin, Tool, actor_of
from core.large_tables import IndexedValuesFilter, day_filter
from core.notes import ReasonForm
from worklist.admin.common import DISMISS, ShowsAlarms, act_and_redirect, link_to
from worklist.models import ItemAlarm
from worklist.services.dismiss_alarm import dismiss_alarm


class OpenItemsFilter(admin.SimpleListFilter):
    """Alarms that nobody has dismissed, about items that are still to be performed."""

    title = "still open"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "Yes")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.open().of_open_items() if self.value() == "yes" else queryset  # type: ignore[attr-defined]


@admin.register(ItemAlarm)
class ItemAlarmAdmin(ShowsAlarms, RecordAdmin):
    """Shows what a person must know about an item. The audit log has who dismissed an alarm with the item's entries."""

    list_display = ("item", "kind", "attribute", "detail", "first_at", "last_at", "times", "item_status", "dismissed")
    is_audited = False
    list_filter = (
        OpenItemsFilter,
        day_filter("last_at", "day"),
        "kind",
        ("attribute", IndexedValuesFilter),
    )
    linked_by = ("kind__exact",)
    list_select_related = ("item",)
    sortable_by = ("last_at",)
    search_fields = ("item__accession_number",)
    search_help_text = "Enter a whole accession number."
    fieldsets = (
        (None, {"fields": ("item_link", "kind", "attribute", "detail", "first_at", "last_at", "times")}),
        ("Dismissed", {"fields": ("dismissed_at", "dismissed_by", "note")}),
    )

    @admin.display(description="status")
    def item_status(self, alarm: ItemAlarm) -> str:
        return alarm.item.status

    @admin.display(description="dismissed by")
    def dismissed(self, alarm: ItemAlarm) -> str:
        return alarm.dismissed_by or "-"

    @admin.display(description="item")
    def item_link(self, alarm: ItemAlarm) -> SafeString:
        return link_to(alarm.item)

    def record_tools(self, request: HttpRequest, record: Any) -> list[Tool]:
        if record.dismissed_at or not request.user.has_perm(DISMISS):
            return []
        return [(reverse("admin:worklist_itemalarm_dismiss", args=[record.pk]), "Dismiss")]

    def get_urls(self) -> list[URLPattern]:
        """Add the page that asks for the reason."""
        view = self.admin_site.admin_view(self.dismiss_view)
        return [path("<int:pk>/dismiss/", view, name="worklist_itemalarm_dismiss"), *super().get_urls()]

    def dismiss_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the reason, and dismiss the alarm in this user's name."""
        if not (self.has_view_permission(request) and request.user.has_perm(DISMISS)):
            raise PermissionDenied
        alarm = get_object_or_404(ItemAlarm.objects.select_related("item"), pk=pk)
        form = ReasonForm(request.POST if request.method == "POST" else None, about=alarm)
        if form.is_valid():

            def dismiss() -> str:
                dismiss_alarm(alarm, actor_of(request), form.cleaned_data["note"])
                return "The alarm is dismissed."

            return act_and_redirect(request, alarm, dismiss)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Dismiss an alarm",
            "explanation": f"{alarm}. The item itself stays as it is.",
            "form": form,
            "button": "Dismiss the alarm",
        }
        return TemplateResponse(request, "admin/worklist/ask.html", context)
