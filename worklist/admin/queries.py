"""Show the modalities' queries, and the items delivered to them."""

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
from core.large_tables import IndexedValuesFilter, day_filter
from worklist.admin.common import ShowsAlarms, link_to
from worklist.models import Delivery, WorklistItem, WorklistQuery

#: How many queries that showed one item are listed.
MAX_QUERIES_OF_ITEM = 500


class ShownItemFilter(admin.SimpleListFilter):
    """Queries that showed one item: the item's page links here, and the filter offers no other choice."""

    title = "item shown"
    parameter_name = "item"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        value = request.GET.get(self.parameter_name)
        return [(value, str(_item(value) or "no such item"))] if value else []

    def has_output(self) -> bool:
        return bool(self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Look up the queries of the item, rather than the items of every query."""
        if not self.value():
            return queryset
        item = _item(self.value())
        keys = item.queries.order_by("-asked_at").values_list("pk", flat=True)[:MAX_QUERIES_OF_ITEM] if item else ()
        return queryset.filter(pk__in=list(keys))


def _item(key: Any) -> WorklistItem | None:
    try:
        return WorklistItem.objects.filter(pk=key).first()
    except ValidationError:
        return None


class CallingAeTitleFilter(admin.SimpleListFilter):
    """Calling AE titles that are configured or have asked lately; finding all would read every query."""

    title = "calling AE title"
    parameter_name = "calling_ae_title"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(title, title) for title in sorted(WorklistQuery.objects.known_ae_titles())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(calling_ae_title=self.value()) if self.value() else queryset


@admin.register(WorklistQuery)
class WorklistQueryAdmin(ShowsAlarms, RecordAdmin):
    """Shows who asked, by which keys, and the outcome. Patients' values are kept as hashes, and not shown."""

    list_display = (
        "asked_at",
        "calling_ae_title",
        "address",
        "matching_keys",
        "outcome",
        "status",
        "delivered",
        "left_out",
        "duration_ms",
    )
    is_audited = False
    list_filter = (
        ShownItemFilter,
        day_filter("asked_at", "day"),
        CallingAeTitleFilter,
        ("outcome", IndexedValuesFilter),
        ("status", IndexedValuesFilter),
    )
    sortable_by = ("asked_at",)
    search_fields = ("calling_ae_title", "correlation_id", "address")
    search_help_text = "Enter a whole AE title, address or correlation id."
    fieldsets = (
        (None, {"fields": ("asked_at", "calling_ae_title", "called_ae_title", "address", "correlation_id")}),
        ("Matching keys", {"fields": ("matching_keys", "explain_link")}),
        (
            "Response",
            {"fields": ("outcome", "status", "comment", "delivered", "left_out", "duration_ms", "items_shown")},
        ),
    )

    @admin.display(description="missing items")
    def explain_link(self, query: WorklistQuery) -> SafeString:
        url = reverse("admin:worklist_worklistquery_explain", args=[query.pk])
        return format_html('<a href="{}">Find out why an item is missing</a>', url)

    def get_urls(self) -> list[URLPattern]:
        """Add the page that asks for an accession number."""
        view = self.admin_site.admin_view(self.explain_view)
        return [path("<uuid:pk>/explain/", view, name="worklist_worklistquery_explain"), *super().get_urls()]

    def explain_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for an accession number, and redirect to the explanation."""
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
            "title": f"Find out why an item is missing: {query}",
            "opts": self.opts,
            "accession_number": accession_number,
        }
        return TemplateResponse(request, "admin/worklist/ask_accession_number.html", context)

    @admin.display(description="matching keys")
    def matching_keys(self, query: WorklistQuery) -> str:
        """The keys that had a value; `…` for a value that may be a patient's."""
        return ", ".join(f"{name}={value if isinstance(value, str) else '…'}" for name, value in query.keys.items())

    @admin.display(description="items shown")
    def items_shown(self, query: WorklistQuery) -> SafeString | str:
        items = query.items.order_by("scheduled_date", "scheduled_time", "accession_number")
        return format_html_join(", ", "{}", ((link_to(item),) for item in items)) or "-"


@admin.register(Delivery)
class DeliveryAdmin(ShowsAlarms, RecordAdmin):
    """Shows when each item was first and last delivered to each modality."""

    list_display = ("item", "ae_title", "first_shown_at", "last_shown_at", "times_shown")
    is_audited = False
    list_filter = (day_filter("first_shown_at", "day"), ("ae_title", IndexedValuesFilter))
    list_select_related = ("item",)
    ordering = ("-first_shown_at",)
    sortable_by = ("first_shown_at",)
    search_fields = ("item__accession_number",)
    search_help_text = "Enter a whole accession number."
