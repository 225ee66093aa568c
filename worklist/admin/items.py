"""Owns how worklist items are shown, why they are on a list or not, and how one is put back on it."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import RecordAdmin, Tool, actor_of, page_of
from core.audit import Auditor
from core.large_tables import IndexedValuesFilter, on_a_day
from core.models import AuditLog
from worklist.admin.export import as_csv, items_of
from worklist.admin.forms import ExportForm, TestItemForm
from worklist.admin.permissions import EXPORT, MAKE_TEST_ITEM, RESOLVE, VIEW_PATIENT_DATA
from worklist.admin.steps import exception_lines, summary
from worklist.admin.texts import clock, lines, link, moment
from worklist.models import Delivery, StepLink, WorklistItem, WorklistQuery
from worklist.performed_step.exceptions import NotPossible, put_item_back
from worklist.performed_step.item_state import SCHEDULED
from worklist.services.explain_query import explain_query, latest_queries, logged_query
from worklist.services.test_items import is_test_item, make_test_item, take_off


@admin.register(WorklistItem)
class WorklistItemAdmin(RecordAdmin):
    """What a modality is shown, and by which actions it came about.

    Search takes no name and no NHS number: what is searched for stands in the address line, and in every proxy's log.
    """

    guarded_fields = {
        **dict.fromkeys(WorklistItem.personal_fields, VIEW_PATIENT_DATA),
        "performed_steps": "worklist.view_performedprocedurestep",
        "exceptions": "worklist.view_mppsexception",
        "putting_back": RESOLVE,
    }

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
    list_filter = (
        "status",
        on_a_day("scheduled_date", "day"),
        ("station_ae_title", IndexedValuesFilter),
        ("modality", IndexedValuesFilter),
    )
    ordering = ("-scheduled_date", "scheduled_time", "accession_number")
    sortable_by = ("accession_number", "scheduled_date")
    search_fields = (
        "accession_number",
        "study_instance_uid",
        "requested_procedure_id",
        "scheduled_procedure_step_id",
        "correlation_id",
    )
    search_help_text = "Accession number, Study Instance UID, procedure ids or correlation id, whole."
    found_by = ("accession_number",)
    actions = ("explain",)
    fieldsets = (
        (None, {"fields": ("accession_number", "status", "received_actions", "correlation_id")}),
        ("On the lists", {"fields": ("shown_to", "cannot_be_shown", "latest_queries")}),
        ("Performed", {"fields": ("cloud_status", "performed_steps", "exceptions", "putting_back")}),
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
        return lines(_delivered(delivery) for delivery in item.deliveries.all()) or "no modality yet"

    @admin.display(description="cannot be shown")
    def cannot_be_shown(self, item: WorklistItem) -> SafeString | str:
        """The alarms: attributes with a value that DICOM does not allow."""
        alarms = item.alarms.all()
        return lines(f"{alarm.attribute}: last left out at {moment(alarm.last_at)}" for alarm in alarms) or "-"

    @admin.display(description="queries")
    def latest_queries(self, item: WorklistItem) -> SafeString:
        """Those that showed it, and where to read why it is on a list, or why not."""
        showed = reverse("admin:worklist_worklistquery_changelist", query={"item": str(item.pk)})
        why = reverse("admin:worklist_worklistitem_explain", args=[item.pk])
        text = '<a href="{}">those that showed it</a>, <a href="{}">the latest: which of them show it, and why not</a>'
        return format_html(text, showed, why)

    @admin.display(description="performed steps")
    def performed_steps(self, item: WorklistItem) -> SafeString | str:
        """What the modalities have reported of it, the latest first, a line for each."""
        links = item.step_links.select_related("step").order_by("-step__created_at")
        return lines(format_html("{}{}", link(each.step, summary(each.step)), _put_back(each)) for each in links) or "-"

    @admin.display(description="MPPS exceptions")
    def exceptions(self, item: WorklistItem) -> SafeString | str:
        """What of it is for people, and how it was dealt with."""
        return exception_lines(item.mpps_exceptions.all())

    @admin.display(description="put back on the list")
    def putting_back(self, item: WorklistItem) -> SafeString | str:
        """Where to do so, if a modality has broken it off."""
        if item.status != WorklistItem.Status.DISCONTINUED:
            return "-"
        url = reverse("admin:worklist_worklistitem_put_back", args=[item.pk])
        return format_html('<a class="button" href="{}">Put back on the list</a>', url)

    @admin.action(description="Say why it is on a modality's list, or why not", permissions=["view"])
    def explain(self, request: HttpRequest, items: QuerySet[WorklistItem]) -> HttpResponse:
        """The page that says so, of the first that is chosen."""
        return redirect("admin:worklist_worklistitem_explain", items[0].pk)

    def record_tools(self, request: HttpRequest, record: Any) -> list[Tool]:
        """Its timeline; and of a test item, how to be rid of it."""
        return list(self._tools(request, record))

    def _tools(self, request: HttpRequest, item: WorklistItem) -> Iterator[Tool]:
        yield reverse("item-timeline", args=[item.pk]), "Timeline"
        if is_test_item(item) and item.status == SCHEDULED and request.user.has_perm(MAKE_TEST_ITEM):
            yield reverse("admin:worklist_worklistitem_take_off", args=[item.pk]), "Take off the list"

    def list_tools(self, request: HttpRequest) -> list[Tool]:
        """A file of a day, and a test item."""
        tools = (
            (EXPORT, "admin:worklist_worklistitem_export", "Export a day's list"),
            (MAKE_TEST_ITEM, "admin:worklist_worklistitem_test_item", "Make a test item"),
        )
        return [(reverse(name), words) for permission, name, words in tools if request.user.has_perm(permission)]

    def get_urls(self) -> list[URLPattern]:
        """The pages of what can be done, too."""
        views = (
            ("<uuid:pk>/explain/", self.explain_view, "explain"),
            ("<uuid:pk>/put-back/", self.put_back_view, "put_back"),
            ("<uuid:pk>/take-off/", self.take_off_view, "take_off"),
            ("export/", self.export_view, "export"),
            ("test-item/", self.test_item_view, "test_item"),
        )
        view = self.admin_site.admin_view
        ours = [path(route, view(each), name=f"worklist_worklistitem_{name}") for route, each, name in views]
        return [*ours, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the day, and send its list. A POST, as it is audited: no link that is followed by itself does it."""
        self._refuse_unless(request, EXPORT)
        form = ExportForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            explanation = "One line for each item of the day. The export stands in the audit log under your name."
            return self._form(request, "Export a day's list", form, explanation, "Export as CSV")
        day = form.cleaned_data["day"]
        with_persons = request.user.has_perm(VIEW_PATIENT_DATA)
        text, rows = as_csv(items_of(day), with_persons=with_persons)
        Auditor(actor_of(request)).note(
            AuditLog.Operation.EXPORT, WorklistItem, day=day.isoformat(), rows=rows, with_persons=with_persons
        )
        name = f'attachment; filename="worklist-{day.isoformat()}.csv"'
        return HttpResponse(text, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})

    def test_item_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for which machine, and make it."""
        self._refuse_unless(request, MAKE_TEST_ITEM)
        form = TestItemForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            explanation = (
                "An item for now that is plainly no woman's: TEST^ITEM, NHS number 999 999 9999. The machines show it "
                "until it is performed or taken off the list again, on its page."
            )
            return self._form(request, "Make a test item", form, explanation, "Make it")
        given = form.cleaned_data
        item = make_test_item(given["station_ae_title"], given["modality"], actor_of(request))
        where = given["station_ae_title"] or TestItemForm.ANY
        messages.success(request, f"{item} is on the list of {where}. Take it off when you have seen it there.")
        return redirect("admin:worklist_worklistitem_change", item.pk)

    def take_off_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask whether a test item is to leave the list, and take it off."""
        self._refuse_unless(request, MAKE_TEST_ITEM)
        item = get_object_or_404(WorklistItem, pk=pk)
        if request.method == "POST":
            return self._done(request, item, take_off, "is off the list")
        explanation = "The machines do not show it any more."
        return self._form(request, f"Take {item} off the list", None, explanation, "Take it off the list")

    def put_back_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask whether a discontinued item is to be on the list again, and put it there."""
        self._refuse_unless(request, RESOLVE)
        item = get_object_or_404(WorklistItem, pk=pk)
        if request.method == "POST":
            return self._done(request, item, put_item_back, "is on the list again")
        context = {**self.admin_site.each_context(request), "opts": self.opts, "item": item}
        context["title"] = f"Put {item} back on the list"
        return TemplateResponse(request, "admin/worklist/put_back.html", context)

    def _done(
        self, request: HttpRequest, item: WorklistItem, act: Callable[[WorklistItem, str], None], words: str
    ) -> HttpResponse:
        """Do it in this user's name, and say on the item's page what came of it."""
        try:
            act(item, actor_of(request))
        except NotPossible as reason:
            messages.error(request, f"{item}: {reason}.")
        else:
            messages.success(request, f"{item} {words}.")
        return redirect(page_of(item))

    def _refuse_unless(self, request: HttpRequest, permission: str) -> None:
        if not (self.has_view_permission(request) and request.user.has_perm(permission)):
            raise PermissionDenied

    def _form(self, request: HttpRequest, title: str, form: Any, explanation: str, button: str) -> HttpResponse:
        asked = {"title": title, "form": form, "explanation": explanation, "button": button}
        context = {**self.admin_site.each_context(request), "opts": self.opts, **asked}
        return TemplateResponse(request, "admin/worklist/ask.html", context)

    def explain_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """What the latest queries say of an item, and of one of them (`?query=`) every rule."""
        self._refuse_unless(request, "worklist.view_worklistquery")
        item = get_object_or_404(WorklistItem, pk=pk)
        context: dict[str, Any] = {"title": f"Why {item} is on a list, or why not", "item": item}
        if chosen := request.GET.get("query"):
            query = get_object_or_404(WorklistQuery, pk=_uuid(chosen))
            explanation = explain_query(item, logged_query(query))
            context_lines = explanation.lines(with_patient_data=request.user.has_perm(VIEW_PATIENT_DATA))
            context |= {"query": query, "lines": context_lines, "summary": explanation.summary}
        else:
            context["queries"] = latest_queries(item)
        context |= {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/worklist/explanation.html", context)


def _put_back(link: StepLink) -> str:
    return "" if link.counts else " (does not count: the item was put back on the list)"


def _delivered(delivery: Delivery) -> str:
    """The last time is said with its day only where that is another one."""
    first, last = (timezone.localtime(at) for at in (delivery.first_shown_at, delivery.last_shown_at))
    times = [moment(first)]
    if last != first:
        times.append(clock(last) if last.date() == first.date() else moment(last))
    return f"{delivery.ae_title} at {', '.join(times)} ({delivery.times_shown} times)"


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Http404 from None
