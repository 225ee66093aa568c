"""Owns how what a machine has said of a step stands beside what the worklist item is."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core import value_representations as vr
from worklist.admin.texts import link, wall_clock
from worklist.models import MppsException, PerformedProcedureStep, WorklistItem
from worklist.performed_step.report import from_json, is_same_patient, scheduled_steps, text_of

#: A title, what the machine said, what the item has.
Row = tuple[str, str, str]
#: So many other items of one patient are named.
MOST_ITEMS = 5

#: Of the item that the machine names: title → the attribute that it gave, which is the item's field, too.
IDS = {
    "Accession Number": "accession_number",
    "Requested Procedure ID": "requested_procedure_id",
    "Scheduled Procedure Step ID": "scheduled_procedure_step_id",
    "Study Instance UID": "study_instance_uid",
}
#: Title → what the machine said, what the item has.
PERSON: dict[str, tuple[str, Callable[[WorklistItem], str]]] = {
    "NHS number": ("PatientID", lambda item: item.patient_id),
    "Name": ("PatientName", lambda item: item.patient_name),
    "Birth date": ("PatientBirthDate", lambda item: vr.format_da(item.patient_birth_date)),
    "Sex": ("PatientSex", lambda item: item.patient_sex),
}


def compared_work(exception: MppsException) -> SafeString:
    """Which item it is, where and when. Nobody's data."""
    step, item = exception.step, exception.item
    named = scheduled_steps(from_json(step.data_set))
    ids = [
        (title, ", ".join(filter(None, (getattr(each, field) for each in named))), str(getattr(item, field, "")))
        for title, field in IDS.items()
    ]
    station = ("Station AE Title", step.station_ae_title, item.station_ae_title if item else "")
    scheduled = datetime.combine(item.scheduled_date, item.scheduled_time) if item else None
    return _table([*ids, station], [("Start", _clock(step.started_at), _clock(scheduled))])


def compared_persons(exception: MppsException) -> SafeString:
    """Who it is: for those who may see that."""
    report, item = from_json(exception.step.data_set), exception.item
    return _table(
        (title, text_of(report, keyword), of(item) if item else "") for title, (keyword, of) in PERSON.items()
    )


def of_the_same_woman(step: PerformedProcedureStep) -> SafeString:
    """Links to the latest items with the NHS number that the machine gave: it may be one of them."""
    numbers = {step.patient_id, re.sub("[ -]", "", step.patient_id)} - {""}
    items = WorklistItem.objects.filter(patient_id__in=numbers).order_by("-scheduled_date", "-scheduled_time")
    links = format_html_join(", ", "{}", ((link(item),) for item in items[:MOST_ITEMS]))
    return format_html("none; of the same NHS number: {}", links) if links else links


def _table(compared: Iterable[Row], unmarked: Iterable[Row] = ()) -> SafeString:
    """What is not the same in both is marked, but for `unmarked`: nobody starts on the minute."""
    marked = [(*row, "" if is_same_patient(row[1], row[2]) else "differs") for row in compared]
    rows = format_html_join(
        "",
        "<tr><th>{}</th><td>{}</td><td>{}</td><td><strong>{}</strong></td></tr>",
        (
            (title, said or "-", has or "-", mark)
            for title, said, has, mark in [*marked, *((*row, "") for row in unmarked)]
        ),
    )
    head = format_html("<tr><th>{}</th><th>{}</th><th>{}</th><th>{}</th></tr>", "", "The machine", "The item", "")
    return format_html('<table class="compared"><thead>{}</thead><tbody>{}</tbody></table>', head, rows)


def _clock(at: datetime | None) -> str:
    return wall_clock(at) if at else ""
