"""Owns how it is shown what modalities have asked, what they were shown, and what could not be."""

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.admin import RecordAdmin
from core.large_tables import IndexedValuesFilter, on_a_day
from worklist.models import Delivery, ItemAlarm, WorklistItem, WorklistQuery
from worklist.services.explain_query import known_ae_titles

#: Of an item the latest queries that showed it.
MOST = 500


class ShownItemFilter(admin.SimpleListFilter):
    """By the item that was shown; its page leads here. Not offered for choice."""

    title = "item shown"
    parameter_name = "item"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Only the one that was asked for."""
        value = request.GET.get(self.parameter_name)
        return [(value, str(_item(value) or "no such item"))] if value else []

    def has_output(self) -> bool:
        """Whether there is one."""
        return bool(self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """By keys: to look into every query for one item takes as long as there are queries."""
        if not self.value():
            return queryset
        item = _item(self.value())
        keys = item.queries.order_by("-asked_at").values_list("pk", flat=True)[:MOST] if item else ()
        return queryset.filter(pk__in=list(keys))


def _item(key: Any) -> WorklistItem | None:
    try:
        return WorklistItem.objects.filter(pk=key).first()
    except ValidationError:
        return None


class OpenItemsFilter(admin.SimpleListFilter):
    """Alarms about women who still have to be imaged."""

    title = "still matters"
    parameter_name = "open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [("yes", "Yes")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What was chosen, or all."""
        return queryset.of_open_items() if self.value() == "yes" else queryset  # type: ignore[attr-defined]


class AskerFilter(admin.SimpleListFilter):
    """By AE title, of those that are configured or asked lately: to find all is to go through every query."""

    title = "calling AE title"
    parameter_name = "calling_ae_title"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [(title, title) for title in sorted(known_ae_titles())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """What was chosen, or all."""
        return queryset.filter(calling_ae_title=self.value()) if self.value() else queryset


@admin.register(WorklistQuery)
class WorklistQueryAdmin(RecordAdmin):
    """Who asked, by which keys, and what came of it. A patient's values are hashed, and not shown."""

    list_display = (
        "asked_at",
        "calling_ae_title",
        "address",
        "asked_for",
        "outcome",
        "status",
        "matched",
        "left_out",
        "duration_ms",
    )
    is_audited = False
    list_filter = (
        ShownItemFilter,
        on_a_day("asked_at", "day"),
        AskerFilter,
        ("outcome", IndexedValuesFilter),
        ("status", IndexedValuesFilter),
    )
    sortable_by = ("asked_at",)
    search_fields = ("calling_ae_title", "correlation_id", "address")
    search_help_text = "AE title, address or correlation id, whole."
    fieldsets = (
        (None, {"fields": ("asked_at", "calling_ae_title", "called_ae_title", "address", "correlation_id")}),
        ("Keys", {"fields": ("asked_for", "why_not")}),
        (
            "Answer",
            {"fields": ("outcome", "status", "comment", "matched", "left_out", "duration_ms", "what_was_shown")},
        ),
    )

    @admin.display(description="who is not in it")
    def why_not(self, query: WorklistQuery) -> SafeString:
        """Where to ask about an item that it did not show."""
        url = reverse("admin:worklist_worklistquery_explain", args=[query.pk])
        return format_html('<a href="{}">say why, by an accession number</a>', url)

    def get_urls(self) -> list[URLPattern]:
        """The page that asks for an accession number, too."""
        view = self.admin_site.admin_view(self.explain_view)
        return [path("<uuid:pk>/explain/", view, name="worklist_worklistquery_explain"), *super().get_urls()]

    def explain_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for an accession number, and go to the explanation."""
        if not (self.has_view_permission(request) and request.user.has_perm("worklist.view_worklistitem")):
            raise PermissionDenied
        query = get_object_or_404(WorklistQuery, pk=pk)
        accession_number = request.GET.get("accession_number", "").strip()
        item = WorklistItem.objects.filter(accession_number=accession_number).first()
        if item:
            url = reverse("admin:worklist_worklistitem_explain", args=[item.pk], query={"query": str(query.pk)})
            return redirect(url)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Who is not in the answer to {query}, and why",
            "opts": self.opts,
            "accession_number": accession_number,
        }
        return TemplateResponse(request, "admin/worklist/ask_accession_number.html", context)

    @admin.display(description="asked for")
    def asked_for(self, query: WorklistQuery) -> str:
        """The keys that had a value; of one that may be a patient's only that it had."""
        return ", ".join(f"{name}={value if isinstance(value, str) else '…'}" for name, value in query.keys.items())

    @admin.display(description="shown")
    def what_was_shown(self, query: WorklistQuery) -> SafeString | str:
        """The items, each with a link."""
        items = query.items.order_by("scheduled_date", "scheduled_time", "accession_number")
        links = ((reverse("admin:worklist_worklistitem_change", args=[item.pk]), str(item)) for item in items)
        return format_html_join(", ", '<a href="{}">{}</a>', links) or "-"


@admin.register(ItemAlarm)
class ItemAlarmAdmin(RecordAdmin):
    """Items that cannot be shown: a woman is missing on a list."""

    list_display = ("item", "attribute", "first_at", "last_at", "times", "item_status")
    is_audited = False
    list_filter = (OpenItemsFilter, on_a_day("last_at", "day"), ("attribute", IndexedValuesFilter))
    list_select_related = ("item",)
    sortable_by = ("last_at",)
    search_fields = ("item__accession_number",)
    search_help_text = "Accession number, whole."

    @admin.display(description="status")
    def item_status(self, alarm: ItemAlarm) -> str:
        """Whether it still matters."""
        return alarm.item.status


@admin.register(Delivery)
class DeliveryAdmin(RecordAdmin):
    """When each item was first and last shown to each modality."""

    list_display = ("item", "ae_title", "first_shown_at", "last_shown_at", "times_shown")
    is_audited = False
    list_filter = (on_a_day("first_shown_at", "day"), ("ae_title", IndexedValuesFilter))
    list_select_related = ("item",)
    ordering = ("-first_shown_at",)
    sortable_by = ("first_shown_at",)
    search_fields = ("item__accession_number",)
    search_help_text = "Accession number, whole."
