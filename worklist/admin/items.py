"""Show worklist items, explain why they are on a machine's list or not, and put them back on it."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import TEST_MARK, RecordAdmin, Tool, actor_of
from core.audit import Auditor
from core.contract import WAITING, ItemStatus
from core.large_tables import IndexedValuesFilter, day_filter
from core.models import AuditLog
from core.wording import count_of
from dicom.models import Modality
from worklist.admin.common import (
    ABOUT_ITS_IMAGES,
    EXPORT,
    MAKE_TEST_ITEM,
    RESOLVE,
    VIEW_PATIENT_DATA,
    ShowsAlarms,
    act_and_redirect,
    as_lines,
    date_and_time,
    exception_lines,
    link_to,
    summary_of,
)
from worklist.admin.export import as_csv, items_on, outcomes
from worklist.models import Delivery, ItemChange, WorklistItem, WorklistQuery
from worklist.performed_step.mpps_exceptions import is_begun_by_images, put_item_back
from worklist.services.create_test_item import create_test_item, discontinue_test_item

#: How many other items of an appointment a page names.
MAX_OTHERS = 20


class ExportForm(forms.Form):
    """Asks for a day."""

    day = forms.DateField(initial=timezone.localdate, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"))
    with_test_items = forms.BooleanField(label="Include test items", required=False)


class OutcomesForm(forms.Form):
    """Asks for a range of days."""

    first = forms.DateField(
        label="First day", initial=timezone.localdate, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    last = forms.DateField(
        label="Last day", initial=timezone.localdate, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")
    )
    with_test_items = forms.BooleanField(label="Include test items", required=False)

    def clean(self) -> dict[str, Any]:
        """Refuse a range that ends before it begins."""
        given: dict[str, Any] = super().clean() or {}
        if {"first", "last"} <= given.keys() and given["last"] < given["first"]:
            raise forms.ValidationError("The last day is before the first.")
        return given


class TestItemForm(forms.Form):
    """Asks for the machine that a test item is for."""

    TEST_MACHINES = "test machines"

    station_ae_title = forms.ChoiceField(label="Machine", required=False)
    modality = forms.ChoiceField(
        choices=[(code, code) for code in ("MG", "CR", "CT", "DX", "MR", "US")],
        help_text="The modality that the machine asks for. Mammography is MG.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        allowed = Modality.objects.filter(is_allowed=True, is_test_machine=False)
        machines = [(each.ae_title, f"{each.ae_title} {each.name}".strip()) for each in allowed]
        self.fields["station_ae_title"].choices = [("", self.TEST_MACHINES), *machines]  # type: ignore[attr-defined]


@admin.register(WorklistItem)
class WorklistItemAdmin(ShowsAlarms, RecordAdmin):
    """Shows what Manage scheduled, what the machines were shown and what they reported.

    Names and NHS numbers cannot be searched for: a search is in the address, and so in the log of every proxy.
    """

    guarded_fields = {
        **dict.fromkeys(WorklistItem.personal_fields, VIEW_PATIENT_DATA),
        "performed_steps": "worklist.view_performedprocedurestep",
        "exceptions": "worklist.view_mppsexception",
        "alarms": "worklist.view_itemalarm",
        "put_back_button": RESOLVE,
    }

    list_display = (
        "accession_number",
        "test_mark",
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
        day_filter("scheduled_date", "day"),
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
    search_help_text = "Enter a whole accession number, Study Instance UID, procedure or step id, or correlation id."
    found_by = ("accession_number",)
    actions = ("explain",)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "accession_number",
                    "test_mark",
                    "proves_ae_title",
                    "status",
                    "arrived_at",
                    "first_image_at",
                    "put_back_at",
                    "chain",
                    "alarms",
                    "received_actions",
                    "correlation_id",
                )
            },
        ),
        ("On the machines' lists", {"fields": ("shown_to", "left_out", "query_links")}),
        ("Performed", {"fields": ("cloud_status", "performed_steps", "exceptions", "put_back_button")}),
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

    @admin.display(description="test", empty_value="")
    def test_mark(self, item: WorklistItem) -> str:
        """Mark a test item, in words and in a colour of its own."""
        return TEST_MARK if item.is_test else ""

    @admin.display(description="received actions")
    def received_actions(self, item: WorklistItem) -> SafeString:
        url = reverse("admin:relay_receivedaction_changelist", query={"accession_number": item.accession_number})
        return format_html('<a href="{}">Actions about {}</a>', url, item.accession_number)

    @admin.display(description="shown to")
    def shown_to(self, item: WorklistItem) -> SafeString | str:
        """Each modality on a line: `MAMMO1 at 23 Nov 2026 09:02, 09:10 (2 times)`, the first and the last time."""
        return as_lines(_delivery_text(delivery) for delivery in item.deliveries.all()) or "no machine yet"

    @admin.display(description="left out because of")
    def left_out(self, item: WorklistItem) -> SafeString | str:
        """The attributes with a value that DICOM does not allow, so that no machine can be shown the item."""
        alarms = item.alarms.not_shown()
        return as_lines(f"{alarm.attribute}, last at {date_and_time(alarm.last_at)}" for alarm in alarms) or "-"

    @admin.display(description="same appointment")
    def chain(self, item: WorklistItem) -> SafeString | str:
        """Each item of the chain on a line, the latest first, with when it superseded the one below; then others."""
        chain = item.chain()
        lines = [
            format_html(
                "{}, superseded at {} by {}", link_to(each), date_and_time(each.superseded_at), each.superseded_by
            )
            if each.superseded_at
            else format_html("{}, {}", link_to(each), each.get_status_display())
            for each in chain
        ]
        same = WorklistItem.objects.exclude(appointment_id="").filter(appointment_id=item.appointment_id)
        others = same.exclude(pk__in=[each.pk for each in chain])[:MAX_OTHERS]
        lines += [format_html("{}, {}", link_to(each), each.get_status_display()) for each in others]
        return as_lines(lines) if len(lines) > 1 else "-"

    @admin.display(description="alarms")
    def alarms(self, item: WorklistItem) -> SafeString | str:
        """Each alarm on a line, with who dismissed it."""
        lines = (
            format_html(
                "{}{}", link_to(each, each), f" (dismissed by {each.dismissed_by})" if each.dismissed_at else ""
            )
            for each in item.alarms.all()
        )
        return as_lines(lines) or "-"

    @admin.display(description="queries")
    def query_links(self, item: WorklistItem) -> SafeString:
        shown_by = reverse("admin:worklist_worklistquery_changelist", query={"item": str(item.pk)})
        why = reverse("admin:worklist_worklistitem_explain", args=[item.pk])
        return format_html(
            '<a href="{}">Queries that showed it</a>, <a href="{}">Why it is on a list or not</a>', shown_by, why
        )

    @admin.display(description="performed steps")
    def performed_steps(self, item: WorklistItem) -> SafeString | str:
        """Each step on a line, the latest first."""
        links = item.step_links.select_related("step").order_by("-step__created_at")
        lines = (
            format_html(
                "{}{}",
                link_to(each.step, summary_of(each.step)),
                "" if each.counts else " (does not count: the item was put back on the list)",
            )
            for each in links
        )
        return as_lines(lines) or "-"

    @admin.display(description="MPPS exceptions")
    def exceptions(self, item: WorklistItem) -> SafeString | str:
        return exception_lines(item.mpps_exceptions.all())

    @admin.display(description="put back on the list")
    def put_back_button(self, item: WorklistItem) -> SafeString | str:
        """A button if a machine has discontinued the item, or nothing but images has begun or ended it."""
        is_discontinued = item.status == ItemStatus.DISCONTINUED and not item.superseded_by_id
        if not is_discontinued and not is_begun_by_images(item):
            return "-"
        url = reverse("admin:worklist_worklistitem_put_back", args=[item.pk])
        return format_html('<a class="button" href="{}">Put back on the list</a>', url)

    @admin.action(description="Explain why it is on a machine's list or not", permissions=["view"])
    def explain(self, request: HttpRequest, items: QuerySet[WorklistItem]) -> HttpResponse:
        """Explain the first item chosen."""
        return redirect("admin:worklist_worklistitem_explain", items[0].pk)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Add the current items of those that were found: an old number, too, finds the woman."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if not search_term.strip():
            return found, may_repeat
        current = [item.current().pk for item in found.exclude(superseded_by=None)[:MAX_OTHERS]]
        return (queryset.filter(pk__in=[*found.values_list("pk", flat=True), *current]) if current else found), False

    def record_tools(self, request: HttpRequest, record: Any) -> list[Tool]:
        tools = [(reverse("item-timeline", args=[record.pk]), "Timeline")]
        if apps.is_installed("images") and request.user.has_perm("images.view_receivedimage"):
            of_item = {"item_accession_number": record.accession_number}
            tools.append((reverse("admin:images_receivedimage_changelist", query=of_item), "Images"))
        if record.is_test and record.status in WAITING and request.user.has_perm(MAKE_TEST_ITEM):
            tools.append((reverse("admin:worklist_worklistitem_take_off", args=[record.pk]), "Take off the list"))
        return tools

    def list_tools(self, request: HttpRequest) -> list[Tool]:
        tools = (
            (EXPORT, "admin:worklist_worklistitem_export", "Export a day's list"),
            (EXPORT, "admin:worklist_worklistitem_outcomes", "Export outcomes"),
            (MAKE_TEST_ITEM, "admin:worklist_worklistitem_test_item", "Create a test item"),
        )
        return [(reverse(name), text) for permission, name, text in tools if request.user.has_perm(permission)]

    def get_urls(self) -> list[URLPattern]:
        """Add the pages of this class's views."""
        views = (
            ("<uuid:pk>/explain/", self.explain_view, "explain"),
            ("<uuid:pk>/put-back/", self.put_back_view, "put_back"),
            ("<uuid:pk>/take-off/", self.take_off_view, "take_off"),
            ("export/", self.export_view, "export"),
            ("outcomes/", self.outcomes_view, "outcomes"),
            ("test-item/", self.test_item_view, "test_item"),
        )
        view = self.admin_site.admin_view
        pages = [path(route, view(each), name=f"worklist_worklistitem_{name}") for route, each, name in views]
        return [*pages, *super().get_urls()]

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a day and send its list. Only a POST exports: it is audited, and browsers prefetch links."""
        self._require(request, EXPORT)
        form = ExportForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            explanation = "The file has one line for each item of the day. The audit log records that you exported it."
            return self._form(
                request, "Export a day's list", form=form, explanation=explanation, button="Export as CSV"
            )
        day = form.cleaned_data["day"]
        with_persons = request.user.has_perm(VIEW_PATIENT_DATA)
        with_test_items = form.cleaned_data["with_test_items"]
        text, rows = as_csv(items_on(day, with_test_items=with_test_items), with_persons=with_persons)
        Auditor(actor_of(request)).note(
            AuditLog.Operation.EXPORT, WorklistItem, day=day.isoformat(), rows=rows, with_persons=with_persons
        )
        name = f'attachment; filename="worklist-{day.isoformat()}.csv"'
        return HttpResponse(text, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})

    def outcomes_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for days and send what happened on them, for Manage; as in `export_view`, only a POST exports."""
        self._require(request, EXPORT)
        form = OutcomesForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            explanation = (
                "Use this if the clinic cannot reach the relay. The file has every change of an item's status on these "
                "days, as Manage would have learnt it. It contains no patient data. The audit log records that you "
                "exported it."
            )
            return self._form(request, "Export outcomes", form=form, explanation=explanation, button="Export as JSON")
        given = form.cleaned_data
        days = {"first": given["first"].isoformat(), "last": given["last"].isoformat()}
        changes = outcomes(given["first"], given["last"], with_test_items=given["with_test_items"])
        Auditor(actor_of(request)).note(AuditLog.Operation.EXPORT, ItemChange, **days, changes=len(changes))
        name = f'attachment; filename="outcomes-{days["first"]}-to-{days["last"]}.json"'
        return JsonResponse({**days, "changes": changes}, headers={"Content-Disposition": name})

    def test_item_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for the machine, and create a test item for it."""
        self._require(request, MAKE_TEST_ITEM)
        form = TestItemForm(request.POST if request.method == "POST" else None)
        if not form.is_valid():
            explanation = (
                "A test item is scheduled for now, for ZZTEST^NOT A PATIENT with NHS number 999 999 9999. The test "
                "machines show it, and so does the one machine that you choose. It stays until it is performed, until "
                "you take it off the list on its page, or for an hour."
            )
            return self._form(
                request, "Create a test item", form=form, explanation=explanation, button="Create the test item"
            )
        given = form.cleaned_data
        item = create_test_item(given["station_ae_title"], given["modality"], actor_of(request))
        machine = given["station_ae_title"] or f"the {TestItemForm.TEST_MACHINES}"
        messages.success(request, f"{item} is on the list of {machine}. Take it off when you have seen it there.")
        return redirect("admin:worklist_worklistitem_change", item.pk)

    def take_off_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for confirmation, and take a test item off the list."""
        self._require(request, MAKE_TEST_ITEM)
        item = get_object_or_404(WorklistItem, pk=pk)
        if request.method == "POST":
            return self._act(request, item, discontinue_test_item, "is off the list")
        explanation = "The machines will no longer show it."
        return self._form(
            request, f"Take {item} off the list", explanation=explanation, button="Take it off the list", item=item
        )

    def put_back_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for confirmation, and put a discontinued item back on the list."""
        self._require(request, RESOLVE)
        item = get_object_or_404(WorklistItem, pk=pk)
        if request.method == "POST":
            return self._act(request, item, put_item_back, "is back on the list")
        explanation = (
            "A machine has discontinued this examination, or images of it have come by mistake. If you put the item "
            "back, the machines show it on their lists again, and its discontinued steps and its images no longer "
            f"count. {ABOUT_ITS_IMAGES} Manage receives the new status. If Manage has closed the item, only Manage can "
            "schedule the woman again."
        )
        return self._form(
            request, f"Put {item} back on the list", explanation=explanation, button="Put back on the list", item=item
        )

    def _act(
        self, request: HttpRequest, item: WorklistItem, act: Callable[[WorklistItem, str], None], outcome: str
    ) -> HttpResponse:
        def act_on_item() -> str:
            act(item, actor_of(request))
            item.refresh_from_db()
            if item.superseded_by_id:
                return f"{item} stays off the list: {item.current()} is on it in its place."
            return f"{item} {outcome}."

        return act_and_redirect(request, item, act_on_item)

    def _require(self, request: HttpRequest, permission: str) -> None:
        if not (self.has_view_permission(request) and request.user.has_perm(permission)):
            raise PermissionDenied

    def _form(self, request: HttpRequest, title: str, **page: Any) -> HttpResponse:
        """Return a page with an explanation and a button: with a form, or about one item that is to be confirmed."""
        page["title"] = title
        context = {**self.admin_site.each_context(request), "opts": self.opts, **page}
        return TemplateResponse(request, "admin/worklist/ask.html", context)

    def explain_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show what each of the latest queries made of an item; for one of them (`?query=`), every rule."""
        from worklist.services import explain_query as why  # noqa: PLC0415 - pydicom, of which no other page has need

        self._require(request, "worklist.view_worklistquery")
        item = get_object_or_404(WorklistItem, pk=pk)
        context: dict[str, Any] = {"title": f"Why {item} is on a list or not", "item": item}
        if chosen := request.GET.get("query"):
            try:
                query = get_object_or_404(WorklistQuery, pk=UUID(chosen))
            except ValueError:
                raise Http404 from None
            explanation = why.explain_query(item, why.logged_query(query))
            rule_lines = explanation.lines(with_patient_data=request.user.has_perm(VIEW_PATIENT_DATA))
            context |= {"query": query, "lines": rule_lines, "summary": explanation.summary}
        else:
            context["queries"] = why.latest_queries(item)
        context |= {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/worklist/explanation.html", context)


def _delivery_text(delivery: Delivery) -> str:
    first, last = (timezone.localtime(at) for at in (delivery.first_shown_at, delivery.last_shown_at))
    times = [date_and_time(first)]
    if last != first:
        times.append(f"{last:%H:%M}" if last.date() == first.date() else date_and_time(last))
    return f"{delivery.ae_title} at {', '.join(times)} ({count_of(delivery.times_shown, 'time')})"
