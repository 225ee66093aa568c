"""Owns how worklist items are shown, and how modalities are configured."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from core.admin import RecordAdmin
from core.services.auditor import Auditor
from worklist.models import ItemAlarm, Modality, Showing, WorklistItem, WorklistQuery
from worklist.support import askers, explained, latest_queries, lines_of, logged


@admin.register(WorklistItem)
class WorklistItemAdmin(RecordAdmin):
    """What a modality is shown, and by which actions it came about.

    Search takes no name and no NHS number: what is searched for stands in the address line, and in every proxy's log.
    """

    personal_fields = WorklistItem.personal_fields
    personal_permission = "worklist.view_patient_data"

    list_display = (
        "accession_number",
        "status",
        "scheduled_date",
        "scheduled_time",
        "station_ae_title",
        "patient_name",
        "patient_id",
        "modality",
    )
    list_filter = ("status", "scheduled_date", "station_ae_title", "modality")
    search_fields = (
        "=accession_number",
        "=study_instance_uid",
        "=requested_procedure_id",
        "=scheduled_procedure_step_id",
        "=correlation_id",
    )
    search_help_text = "Accession number, Study Instance UID, procedure ids or correlation id, whole."
    date_hierarchy = "scheduled_date"
    linked_by = ("accession_number",)
    actions = ("explain",)
    fieldsets = (
        (None, {"fields": ("accession_number", "status", "received_actions", "correlation_id")}),
        ("On the lists", {"fields": ("shown_to", "cannot_be_shown", "latest_queries")}),
        (
            "Patient",
            {
                "fields": (
                    "patient_id",
                    "patient_name",
                    "patient_birth_date",
                    "patient_sex",
                    "patient_address",
                    "patient_weight",
                    "patient_comments",
                )
            },
        ),
        (
            "Scheduled",
            {
                "fields": (
                    "scheduled_date",
                    "scheduled_time",
                    "station_ae_title",
                    "station_name",
                    "location",
                    "performing_physician_name",
                )
            },
        ),
        (
            "Procedure",
            {
                "fields": (
                    "modality",
                    "study_description",
                    ("procedure_code", "procedure_coding_scheme", "procedure_code_meaning"),
                    ("protocol_code", "protocol_coding_scheme", "protocol_code_meaning"),
                    "study_instance_uid",
                    "requested_procedure_id",
                    "scheduled_procedure_step_id",
                )
            },
        ),
        ("Record", {"fields": ("created_at", "updated_at")}),
    )

    @admin.display(description="received actions")
    def received_actions(self, item: WorklistItem) -> SafeString:
        """A link to every action about this accession number."""
        url = reverse("admin:relay_receivedaction_changelist", query={"accession_number": item.accession_number})
        return format_html('<a href="{}">actions about {}</a>', url, item.accession_number)

    @admin.display(description="shown to")
    def shown_to(self, item: WorklistItem) -> SafeString | str:
        """`MAMMO1 at 09:02, 09:10`: the first and the last time, a line for each modality."""
        return _lines(_showing(showing) for showing in item.showings.all()) or "no modality yet"

    @admin.display(description="cannot be shown")
    def cannot_be_shown(self, item: WorklistItem) -> SafeString | str:
        """The alarms: attributes with a value that DICOM does not allow."""
        alarms = item.alarms.all()
        return _lines(f"{alarm.attribute}: last left out at {_moment(alarm.last_at)}" for alarm in alarms) or "-"

    @admin.display(description="latest queries")
    def latest_queries(self, item: WorklistItem) -> SafeString:
        """Where to read why it is on a list, or why not."""
        url = reverse("admin:worklist_worklistitem_explain", args=[item.pk])
        return format_html('<a href="{}">which of them show it, and why not</a>', url)

    @admin.action(description="Say why it is on a modality's list, or why not", permissions=["view"])
    def explain(self, request: HttpRequest, items: QuerySet[WorklistItem]) -> HttpResponse:
        """The page that says so, of the first that is chosen."""
        return redirect("admin:worklist_worklistitem_explain", items[0].pk)

    def get_urls(self) -> list[URLPattern]:
        """The explanation's page, too."""
        view = self.admin_site.admin_view(self.explain_view)
        return [path("<uuid:pk>/explain/", view, name="worklist_worklistitem_explain"), *super().get_urls()]

    def explain_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """What the latest queries say of an item, and of one of them (`?query=`) every rule."""
        if not (self.has_view_permission(request) and request.user.has_perm("worklist.view_worklistquery")):
            raise PermissionDenied
        item = get_object_or_404(WorklistItem, pk=pk)
        context: dict[str, Any] = {"title": f"Why {item} is on a list, or why not", "item": item}
        if chosen := request.GET.get("query"):
            query = get_object_or_404(WorklistQuery, pk=_uuid(chosen))
            explanation = explained(item, logged(query))
            lines = lines_of(explanation, with_persons=self.may_see_persons(request))
            context |= {"query": query, "lines": lines, "summary": explanation.summary}
        else:
            context["queries"] = latest_queries(item)
        context |= {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/worklist/explanation.html", context)


@admin.register(Modality)
class ModalityAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Who may ask for the worklist, and how it is answered. Every change stands in the audit log.

    A modality is not deleted, but no longer allowed: once it is gone from here, its AE title is one that nobody knows.
    """

    list_display = ("ae_title", "name", "room", "is_allowed", "own_list_only", "expected_address", "last_query")
    list_filter = ("is_allowed", "own_list_only", "hides_in_progress", "room")
    search_fields = ("ae_title", "name", "room")
    show_full_result_count = False
    readonly_fields = ("last_query", "created_at", "updated_at")
    fieldsets = (
        (None, {"fields": ("ae_title", "name", "room")}),
        ("Who may ask", {"fields": ("is_allowed", "expected_address")}),
        ("What it is shown", {"fields": ("own_list_only", "hides_in_progress", "max_rows", "character_set")}),
        ("Record", {"fields": ("last_query", "created_at", "updated_at")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Modality]:
        """With the moment of each one's last query that is still kept."""
        queries = WorklistQuery.objects.filter(calling_ae_title=OuterRef("ae_title")).order_by("-asked_at")
        modalities: QuerySet[Modality] = super().get_queryset(request)
        return modalities.annotate(last_query_at=Subquery(queries.values("asked_at")[:1]))

    @admin.display(description="last query", ordering="last_query_at", empty_value="none is kept")
    def last_query(self, modality: Modality) -> datetime | None:
        """When it last asked."""
        return getattr(modality, "last_query_at", None)

    def save_model(self, request: HttpRequest, obj: Modality, form: Any, change: bool) -> None:
        """Write by way of the auditor, which also says who it was."""
        auditor = Auditor(f"admin:{request.user.get_username()}")
        if change:
            stored = Modality.objects.select_for_update().get(pk=obj.pk)
            auditor.update(stored, **{name: getattr(obj, name) for name in form.changed_data})
            return
        if not Modality.objects.exists() and settings.MWL_UNKNOWN_AE_TITLES == "reject-once-configured":
            warning = "This is the first modality: from now on those that are not on this list are rejected."
            messages.warning(request, warning)
        auditor.create_unless_known(obj)


class AskerFilter(admin.SimpleListFilter):
    """By AE title, of those that are configured or asked lately: to find all is to go through every query."""

    title = "calling AE title"
    parameter_name = "calling_ae_title"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [(title, title) for title in sorted(askers())]

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
    list_filter = ("outcome", "status", AskerFilter, "asked_at")
    linked_by = ("calling_ae_title",)
    search_fields = ("=calling_ae_title", "=correlation_id", "=address")
    search_help_text = "AE title, address or correlation id, whole."
    date_hierarchy = "asked_at"
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
    list_filter = ("attribute", "item__status")
    list_select_related = ("item",)
    search_fields = ("=item__accession_number",)
    date_hierarchy = "last_at"

    @admin.display(description="status")
    def item_status(self, alarm: ItemAlarm) -> str:
        """Whether it still matters."""
        return alarm.item.status


@admin.register(Showing)
class ShowingAdmin(RecordAdmin):
    """When each item was first and last shown to each modality."""

    list_display = ("item", "ae_title", "first_shown_at", "last_shown_at", "times_shown")
    list_filter = ("ae_title", "first_shown_at")
    list_select_related = ("item",)
    search_fields = ("=item__accession_number",)
    search_help_text = "Accession number, whole."
    date_hierarchy = "first_shown_at"


def _showing(showing: Showing) -> str:
    """The last time is said with its day only where that is another one."""
    first, last = (timezone.localtime(at) for at in (showing.first_shown_at, showing.last_shown_at))
    times = [_moment(first)]
    if last != first:
        times.append(_clock(last) if last.date() == first.date() else _moment(last))
    return f"{showing.ae_title} at {', '.join(times)} ({showing.times_shown} times)"


def _moment(at: datetime) -> str:
    """On the clinic's clock."""
    local = timezone.localtime(at)
    return _clock(local) if local.date() == timezone.localdate() else date_format(local, "j M Y H:i")


def _clock(local: datetime) -> str:
    return f"{local:%H:%M}"


def _lines(lines: Iterable[str]) -> SafeString:
    return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
