"""Show MPPS exceptions beside the worklist items they concern, and let staff resolve them.

Forms are sent by POST alone: what a query string holds is in the log of every proxy.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core import value_representations as vr
from core.admin import RecordAdmin, actor_of
from core.large_tables import day_filter
from core.notes import NoteForm, ReasonForm
from worklist.admin.common import (
    ABOUT_ITS_IMAGES,
    RESOLVE,
    VIEW_PATIENT_DATA,
    ShowsAlarms,
    act_and_redirect,
    link_to,
    local_date_and_time,
    summary_of,
)
from worklist.models import MppsException, WorklistItem
from worklist.performed_step.identity import is_same_patient
from worklist.performed_step.mpps_exceptions import dismiss, link_to_item, put_back
from worklist.performed_step.report import from_json, scheduled_steps, text_of

#: How many items with the reported NHS number a page names.
MAX_POSSIBLE_ITEMS = 5

#: Row title → the field of an item, and of the scheduled steps that a report names.
IDENTIFIERS = {
    "Accession Number": "accession_number",
    "Requested Procedure ID": "requested_procedure_id",
    "Scheduled Procedure Step ID": "scheduled_procedure_step_id",
    "Study Instance UID": "study_instance_uid",
}
#: Row title → the attribute of the report, and the item's value.
PATIENT: dict[str, tuple[str, Callable[[WorklistItem], str]]] = {
    "NHS number": ("PatientID", lambda item: item.patient_id),
    "Name": ("PatientName", lambda item: item.patient_name),
    "Birth date": ("PatientBirthDate", lambda item: vr.format_da(item.patient_birth_date)),
    "Sex": ("PatientSex", lambda item: item.patient_sex),
}

#: A title, what the machine reported, what the item has.
Row = tuple[str, str, str]

WRONG_PATIENT_FIRST = Case(When(reason=MppsException.Reason.WRONG_PATIENT, then=Value(0)), default=Value(1))


class LinkForm(NoteForm):
    """Asks for the item that the machine worked on."""

    accession_number = forms.CharField(max_length=16, help_text="Of the item that the machine worked on.")
    another_patient = forms.BooleanField(
        label="Link it although the NHS numbers differ",
        required=False,
        help_text="Select this only if you know that the machine had the wrong NHS number.",
    )
    field_order = ("accession_number", "another_patient", "note")

    def clean(self) -> dict[str, Any]:
        """Add the item; refuse another patient's unless the user confirms it, as a typing error would name it too."""
        given = super().clean() or self.cleaned_data
        number = given.get("accession_number")
        if not number:
            return given
        item = WorklistItem.objects.filter(accession_number=number).first()
        if item is None:
            self.add_error("accession_number", "No worklist item has this accession number.")
        elif not (given.get("another_patient") or is_same_patient(self.about.step.patient_id, item.patient_id)):
            self.add_error(
                "another_patient", "The machine's NHS number is not the item's. Check that this is the same woman."
            )
        return {**given, "item": item}


@dataclass(frozen=True)
class Resolution:
    """One way to resolve an exception: its page, its form and what it does."""

    title: str
    explanation: str
    form: type[NoteForm]
    resolve: Callable[[MppsException, dict[str, Any], str], None]

    @staticmethod
    def url_name(slug: str) -> str:
        """The name of the page's URL pattern, without the namespace."""
        return f"worklist_mppsexception_{slug.replace('-', '_')}"


#: The last part of the page's address → the resolution.
RESOLUTIONS = {
    "link": Resolution(
        "Link to an item",
        "What the machine reports will count as the work on this item, and take it off the list when it is done.",
        LinkForm,
        lambda exception, given, actor: link_to_item(exception, given["item"], actor, given["note"]),
    ),
    "put-back": Resolution(
        "Put back on the list",
        f"What the machine reports will not count for the item: the woman still needs to be imaged. {ABOUT_ITS_IMAGES}",
        NoteForm,
        lambda exception, given, actor: put_back(exception, actor, given["note"]),
    ),
    "dismiss": Resolution(
        "Dismiss",
        "The exception is closed, and nothing else changes.",
        ReasonForm,
        lambda exception, given, actor: dismiss(exception, actor, given["note"]),
    ),
}


class StateFilter(admin.SimpleListFilter):
    """Open exceptions, unless others are chosen."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("open", "Open"), ("closed", "Resolved"), ("all", "All")]

    def value(self) -> str:
        return super().value() or "open"

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Leave out Django's own *All*, which has no value and would show the open ones."""
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self.value() == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        narrowed = {"open": queryset.filter(resolution=""), "closed": queryset.exclude(resolution="")}
        return narrowed.get(self.value(), queryset)


@admin.register(MppsException)
class MppsExceptionAdmin(ShowsAlarms, RecordAdmin):
    """Lists what staff must resolve: open exceptions, those about a wrong patient first."""

    change_form_template = "admin/worklist/mppsexception/change_form.html"
    guarded_fields = {"patients": VIEW_PATIENT_DATA}

    list_display = ("reason_text", "created_at", "station", "accession_number", "detail", "resolution", "resolved_by")
    list_filter = (StateFilter, "reason", day_filter("created_at", "day"))
    list_select_related = ("step",)
    sortable_by = ("created_at",)
    search_fields = ("accession_number", "item__accession_number", "step__sop_instance_uid", "step__correlation_id")
    search_help_text = "Enter a whole accession number, SOP Instance UID or correlation id."
    fieldsets = (
        (None, {"fields": ("reason", "created_at", "accession_number", "detail", "step_link", "item_link")}),
        ("The report and the item", {"fields": ("identifiers", "patients")}),
        ("Resolution", {"fields": ("resolution", "resolved_at", "resolved_by", "note")}),
    )

    @admin.display(description="reason")
    def reason_text(self, exception: MppsException) -> SafeString | str:
        """The reason, highlighted while a wrong patient is open."""
        text = exception.get_reason_display()
        if exception.reason == MppsException.Reason.WRONG_PATIENT and not exception.resolution:
            return format_html('<strong class="alarm">{}</strong>', text)
        return text

    @admin.display(description="machine")
    def station(self, exception: MppsException) -> str:
        """The station of the report, or else the AE title that sent it."""
        return exception.step.station_ae_title or exception.step.calling_ae_title

    @admin.display(description="step")
    def step_link(self, exception: MppsException) -> SafeString:
        return link_to(exception.step, summary_of(exception.step))

    @admin.display(description="item")
    def item_link(self, exception: MppsException) -> SafeString | str:
        """The item and its status; without one, the latest items with the NHS number that the machine reported."""
        if exception.item:
            return format_html("{}, {}", link_to(exception.item), exception.item.status)
        patient_id = exception.step.patient_id
        possible = WorklistItem.objects.filter(patient_id__in={patient_id, re.sub("[ -]", "", patient_id)} - {""})
        latest = possible.order_by("-scheduled_date", "-scheduled_time")[:MAX_POSSIBLE_ITEMS]
        links = format_html_join(", ", "{}", ((link_to(item),) for item in latest))
        return format_html("none; items with the same NHS number: {}", links) if links else "none"

    @admin.display(description="which item")
    def identifiers(self, exception: MppsException) -> SafeString:
        """Compare the identifiers, the station and the start. Nobody starts on the minute: that is never marked."""
        step, item = exception.step, exception.item
        named = scheduled_steps(from_json(step.data_set))
        rows = [
            (title, ", ".join(filter(None, (getattr(each, field) for each in named))), str(getattr(item, field, "")))
            for title, field in IDENTIFIERS.items()
        ]
        rows.append(("Station AE Title", step.station_ae_title, item.station_ae_title if item else ""))
        started = local_date_and_time(step.started_at) if step.started_at else ""
        scheduled = local_date_and_time(datetime.combine(item.scheduled_date, item.scheduled_time)) if item else ""
        return _comparison(rows, [("Start", started, scheduled)])

    @admin.display(description="which patient")
    def patients(self, exception: MppsException) -> SafeString:
        """Compare the patients."""
        report, item = from_json(exception.step.data_set), exception.item
        return _comparison(
            (title, text_of(report, keyword), value_of(item) if item else "")
            for title, (keyword, value_of) in PATIENT.items()
        )

    def get_ordering(self, request: HttpRequest) -> Any:
        """Sort by alarm only the open exceptions, which are few; the closed ones of years would take too long."""
        state = request.GET.get(StateFilter.parameter_name, "open")
        return (WRONG_PATIENT_FIRST, "-created_at") if state == "open" else ("-created_at",)

    def get_urls(self) -> list[URLPattern]:
        """Add a page for each resolution."""
        view = self.admin_site.admin_view(self.resolve_view)
        pages = [path(f"<uuid:pk>/{slug}/", view, {"slug": slug}, Resolution.url_name(slug)) for slug in RESOLUTIONS]
        return [*pages, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the exception, with a button for each resolution that is open to this user."""
        exception = self.get_object(request, object_id)
        buttons: list[tuple[str, str]] = []
        if exception and not exception.resolution and self._may_resolve(request):
            counts = exception.step.links.filter(counts=True).exists()
            buttons = [
                (reverse(f"admin:{Resolution.url_name(slug)}", args=[exception.pk]), resolution.title)
                for slug, resolution in RESOLUTIONS.items()
                if counts or slug != "put-back"  # a step that counts for no item has none to put back
            ]
        subtitle = exception.get_reason_display() if exception else ""
        context = {**(extra_context or {}), "buttons": buttons, "subtitle": subtitle}
        return super().change_view(request, object_id, form_url, context)

    def resolve_view(self, request: HttpRequest, pk: UUID, slug: str) -> HttpResponse:
        """Show the form of a resolution; when it is filled in, resolve the exception in this user's name."""
        if not self._may_resolve(request):
            raise PermissionDenied
        exception = get_object_or_404(MppsException.objects.select_related("step", "item"), pk=pk)
        resolution = RESOLUTIONS[slug]
        form = resolution.form(request.POST if request.method == "POST" else None, about=exception)
        if form.is_valid():

            def resolve() -> str:
                resolution.resolve(exception, form.cleaned_data, actor_of(request))
                exception.refresh_from_db()
                return f"Resolved: {exception.get_resolution_display()}."

            return act_and_redirect(request, exception, resolve)
        shown = [name for name in ("step_link", "item_link", "identifiers", "patients") if self._visible(request, name)]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{resolution.title}: {exception.get_reason_display()}",
            "opts": self.opts,
            "exception": exception,
            "resolution": resolution,
            "form": form,
            "facts": [(getattr(type(self), name).short_description, getattr(self, name)(exception)) for name in shown],
        }
        return TemplateResponse(request, "admin/worklist/mppsexception/resolve.html", context)

    def _may_resolve(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and bool(request.user.has_perm(RESOLVE))


def _comparison(rows: Iterable[Row], unmarked: Iterable[Row] = ()) -> SafeString:
    """A table of the report beside the item. Rows that differ are marked, except the `unmarked` ones."""
    marked = [(*row, "" if is_same_patient(row[1], row[2]) else "differs") for row in rows]
    body = format_html_join(
        "",
        "<tr><th>{}</th><td>{}</td><td>{}</td><td><strong>{}</strong></td></tr>",
        (
            (title, reported or "-", scheduled or "-", mark)
            for title, reported, scheduled, mark in [*marked, *((*row, "") for row in unmarked)]
        ),
    )
    head = format_html("<tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr>", "", "The machine", "The item", "")
    return format_html('<table class="compared"><thead>{}</thead><tbody>{}</tbody></table>', head, body)
