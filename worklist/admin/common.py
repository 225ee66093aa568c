"""Define what the worklist's admin pages share: permissions, and how times, links, steps and exceptions are shown."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from django.apps import apps
from django.contrib import messages
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from core.admin import TEST_MARK, AuditedAdmin
from core.links import admin_url
from core.wording import count_of
from worklist.models import MppsException, PerformedProcedureStep
from worklist.performed_step.mpps_exceptions import DecisionRefused

# Permissions besides Django's own for each model.
VIEW_PATIENT_DATA = "worklist.view_patient_data"
VIEW_OPERATOR = "worklist.view_operator"
VIEW_DATA_SET = "worklist.view_data_set"
VIEW_EXCEPTIONS = "worklist.view_mppsexception"
EXPORT = "worklist.export_worklist"
MAKE_TEST_ITEM = "worklist.make_test_item"
RESOLVE = "worklist.resolve_mppsexception"
DISMISS = "worklist.dismiss_itemalarm"

#: What a person must know who puts an item back on the list.
ABOUT_ITS_IMAGES = (
    "Images that have already come for it may show another woman. Those that Manage does not have yet are held back "
    "under Received images until somebody sends them again, links them to another item or discards them. So are "
    "further images of the same Series: at the machine, end that examination and begin a new one. Manage keeps those "
    "that it has: call its support if they are not hers."
    if apps.is_installed("images")
    else ""
)


class ShowsAlarms(AuditedAdmin):
    """Shows the open wrong-patient alarms on every page of a model."""

    change_form_template = "admin/worklist/change_form.html"
    change_list_template = "admin/worklist/change_list.html"

    class Media:
        css = {"all": ("worklist/admin.css",)}


def act_and_redirect(request: HttpRequest, record: Model, act: Callable[[], str]) -> HttpResponse:
    """Act in this user's name, and show on the record's page what `act` returns, or why it raised DecisionRefused."""
    try:
        messages.success(request, act())
    except DecisionRefused as reason:
        messages.error(request, f"Nothing has changed. {reason}.")
    return redirect(admin_url(record))


def date_and_time(at: datetime) -> str:
    """A moment by the clinic's clock, as in `local_date_and_time`."""
    return local_date_and_time(timezone.localtime(at))


def local_date_and_time(local: datetime) -> str:
    """A naive or local time: 14:31 today, 23 Nov 2026 14:31 on another day."""
    return f"{local:%H:%M}" if local.date() == timezone.localdate() else date_format(local, "j M Y H:i")


def as_lines(texts: Iterable[str]) -> SafeString:
    """Join texts by line breaks."""
    return format_html_join(mark_safe("<br>"), "{}", ((text,) for text in texts))


def link_to(record: Model, text: Any = "") -> SafeString:
    """A link to a record's page, after the mark of a test item."""
    mark = format_html("{} ", TEST_MARK) if getattr(record, "is_test", False) else ""
    return format_html('{}<a href="{}">{}</a>', mark, admin_url(record), text or record)


def end_of(step: PerformedProcedureStep) -> str:
    """When a step ended: `14:40`, or `14:40 (assumed: when the report arrived)`; empty if it has not."""
    assumed = " (assumed: when the report arrived)" if step.end_is_assumed else ""
    return f"{local_date_and_time(step.ended_at)}{assumed}" if step.ended_at else ""


def summary_of(step: PerformedProcedureStep) -> str:
    """A step on one line: `DISCONTINUED, 23 Nov 2026 14:31 to 14:40, MAMMO1, 2 images, Patient refused`."""
    times = filter(None, (local_date_and_time(step.started_at) if step.started_at else "", end_of(step)))
    images = count_of(step.images, "image")
    parts = (step.status, " to ".join(times), step.station_ae_title, images, step.discontinuation_reason)
    return ", ".join(filter(None, parts))


def exception_lines(exceptions: Iterable[MppsException]) -> SafeString | str:
    """Each exception on a line: a link with its reason and resolution."""
    links = (link_to(each, f"{each.get_reason_display()} ({each.get_resolution_display()})") for each in exceptions)
    return as_lines(links) or "-"
