"""Owns how people are shown what is unclear about a performed step, and what they can do about it.

Nothing of a form stands in an address: it would be in every proxy's log.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Case, QuerySet, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.admin import RecordAdmin, actor_of
from core.large_tables import on_a_day
from worklist.admin.comparison import compared_persons, compared_work, of_the_same_woman
from worklist.admin.forms import LinkForm, NoteForm, ReasonForm
from worklist.admin.permissions import RESOLVE, VIEW_PATIENT_DATA
from worklist.admin.steps import summary
from worklist.admin.texts import link
from worklist.models import MppsException
from worklist.performed_step.exceptions import CannotResolve, dismiss, link_to_item, put_back

Given = dict[str, Any]


@dataclass(frozen=True)
class Way:
    """One thing that a person can do about an exception."""

    title: str
    explanation: str
    form: type[NoteForm]
    do: Callable[[MppsException, Given, str], None]


#: The last part of the address → what is done there.
WAYS = {
    "link": Way(
        "Link to an item",
        "What the machine reports is then the work on this item: it goes on and leaves the list as the machine says.",
        LinkForm,
        lambda exception, given, actor: link_to_item(exception, given["item"], actor, given["note"]),
    ),
    "put-back": Way(
        "Put back on the list",
        "What the machine reports does then not count for the item: the woman is still to be imaged.",
        NoteForm,
        lambda exception, given, actor: put_back(exception, actor, given["note"]),
    ),
    "dismiss": Way(
        "Dismiss",
        "Nothing changes but that nobody is asked to look at this any more.",
        ReasonForm,
        lambda exception, given, actor: dismiss(exception, actor, given["note"]),
    ),
}


ALARMS_FIRST = Case(When(reason=MppsException.Reason.WRONG_PATIENT, then=Value(0)), default=Value(1))


class StateFilter(admin.SimpleListFilter):
    """The open ones, unless others are asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [("open", "Open"), ("closed", "Dealt with"), ("all", "All")]

    def value(self) -> str:
        """What is chosen."""
        return super().value() or "open"

    def choices(self, changelist: Any) -> Iterator[Any]:
        """Without Django's own `All`, which would be the open ones."""
        for value, title in self.lookup_choices:
            query = changelist.get_query_string({self.parameter_name: value})
            yield {"selected": self.value() == value, "query_string": query, "display": title}

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Those of the state."""
        narrowed = {"open": queryset.filter(resolution=""), "closed": queryset.exclude(resolution="")}
        return narrowed.get(self.value(), queryset)


@admin.register(MppsException)
class MppsExceptionAdmin(RecordAdmin):
    """What waits for a person: open ones first shown, those of a wrong patient before all others."""

    guarded_fields = {"who_it_is": VIEW_PATIENT_DATA}

    list_display = ("what", "created_at", "station", "accession_number", "detail", "resolution", "resolved_by")
    list_filter = (StateFilter, "reason", on_a_day("created_at", "day"))
    list_select_related = ("step",)
    sortable_by = ("created_at",)
    search_fields = ("accession_number", "item__accession_number", "step__sop_instance_uid", "step__correlation_id")
    search_help_text = "Accession number, SOP Instance UID or correlation id, whole."
    fieldsets = (
        (None, {"fields": ("reason", "created_at", "accession_number", "detail", "step_link", "item_link")}),
        ("The machine and the item", {"fields": ("work", "who_it_is")}),
        ("Dealt with", {"fields": ("resolution", "resolved_at", "resolved_by", "note")}),
    )

    @admin.display(description="reason")
    def what(self, exception: MppsException) -> SafeString | str:
        """The reason; of an alarm so that nobody passes over it."""
        text = exception.get_reason_display()
        return format_html('<strong class="alarm">{}</strong>', text) if _is_alarm(exception) else text

    @admin.display(description="machine")
    def station(self, exception: MppsException) -> str:
        """Where it was performed, or who says so."""
        return exception.step.station_ae_title or exception.step.calling_ae_title

    @admin.display(description="step")
    def step_link(self, exception: MppsException) -> SafeString:
        """What the machine said last of it."""
        return link(exception.step, summary(exception.step))

    @admin.display(description="item")
    def item_link(self, exception: MppsException) -> SafeString | str:
        """The item, or those that it may be."""
        if exception.item:
            return format_html("{}, {}", link(exception.item), exception.item.status)
        return of_the_same_woman(exception.step) or "none is known"

    @admin.display(description="which item")
    def work(self, exception: MppsException) -> SafeString:
        """The ids and the times of both."""
        return compared_work(exception)

    @admin.display(description="who it is")
    def who_it_is(self, exception: MppsException) -> SafeString:
        """The patients of both."""
        return compared_persons(exception)

    def get_ordering(self, request: HttpRequest) -> Any:
        """Of the open ones, which are few, the alarms first; all of years are not sorted for that."""
        state = request.GET.get(StateFilter.parameter_name, "open")
        return (ALARMS_FIRST, "-created_at") if state == "open" else ("-created_at",)

    def get_urls(self) -> list[URLPattern]:
        """A page for each way of dealing with it, too."""
        view = self.admin_site.admin_view(self.resolve_view)
        ways = [path(f"<uuid:pk>/{name}/", view, {"name": name}, name=_page(name)) for name in WAYS]
        return [*ways, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The exception, and what this user can do about it."""
        exception = self.get_object(request, object_id)
        buttons = _buttons(exception) if exception and self._may_resolve(request) else []
        subtitle = exception.get_reason_display() if exception else ""
        context = {**(extra_context or {}), "buttons": buttons, "subtitle": subtitle}
        return super().change_view(request, object_id, form_url, context)

    def resolve_view(self, request: HttpRequest, pk: UUID, name: str) -> HttpResponse:
        """Ask for what is needed, and do it."""
        if not self._may_resolve(request):
            raise PermissionDenied
        exception = get_object_or_404(MppsException.objects.select_related("step", "item"), pk=pk)
        way = WAYS[name]
        form = way.form(request.POST if request.method == "POST" else None, exception=exception)
        if form.is_valid():
            _deal_with(request, exception, way, form.cleaned_data)
            return redirect("admin:worklist_mppsexception_change", pk)
        fields = [each for each in ("step_link", "item_link", "work", "who_it_is") if self._visible(request, each)]
        context = {
            **self.admin_site.each_context(request),
            "title": f"{way.title}: {exception.get_reason_display()}",
            "opts": self.opts,
            "exception": exception,
            "way": way,
            "form": form,
            "facts": [(getattr(type(self), each).short_description, getattr(self, each)(exception)) for each in fields],
        }
        return TemplateResponse(request, "admin/worklist/mppsexception/resolve.html", context)

    class Media:
        css = {"all": ("worklist/admin.css",)}

    def _may_resolve(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request) and bool(request.user.has_perm(RESOLVE))


def _is_alarm(exception: MppsException) -> bool:
    return exception.reason == MppsException.Reason.WRONG_PATIENT and not exception.resolution


def _page(name: str) -> str:
    return f"worklist_mppsexception_{name.replace('-', '_')}"


def _buttons(exception: MppsException) -> list[tuple[str, str]]:
    """Address and title of each way that is open: what counts for no item cannot be put back."""
    if exception.resolution:
        return []
    counts = exception.step.links.filter(counts=True).exists()
    ways = {name: way for name, way in WAYS.items() if counts or name != "put-back"}
    return [(reverse(f"admin:{_page(name)}", args=[exception.pk]), way.title) for name, way in ways.items()]


def _deal_with(request: HttpRequest, exception: MppsException, way: Way, given: Given) -> None:
    try:
        way.do(exception, given, actor_of(request))
    except CannotResolve as reason:
        messages.error(request, f"Not done. {reason}.")
    else:
        messages.success(request, f"Done: {MppsException.objects.get(pk=exception.pk).get_resolution_display()}.")
