"""Owns a day's list as a file for a spreadsheet: CSV of RFC 4180, UTF-8 with the mark by which Excel knows it."""

import csv
import io
import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from worklist.models import WorklistItem

BYTE_ORDER_MARK = "\ufeff"
#: A spreadsheet takes for a formula, and executes, what begins with one of these: in a cell, and behind what may part
#: cells where the separator is no comma, as our quotes do not hold there. The wide signs are Japanese.
FORMULA = re.compile(r"(^|[;\t\r\n])(\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
#: What begins with one of these is no value of ours, and some spreadsheets pass over it.
BLANK = ("\t", "\r", "\n")

#: Title → field.
WORK = {
    "Accession Number": "accession_number",
    "Status": "status",
    "Date": "scheduled_date",
    "Time": "scheduled_time",
    "Station AE Title": "station_ae_title",
    "Station": "station_name",
    "Location": "location",
    "Modality": "modality",
    "Study Description": "study_description",
    "Requested Procedure ID": "requested_procedure_id",
    "Scheduled Procedure Step ID": "scheduled_procedure_step_id",
    "Study Instance UID": "study_instance_uid",
}
#: For those who may see who it is.
PERSON = {
    "NHS Number": "patient_id",
    "Name": "patient_name",
    "Birth Date": "patient_birth_date",
    "Sex": "patient_sex",
    "Address": "patient_address",
    "Comments": "patient_comments",
}


def as_csv(items: Iterable[WorklistItem], *, with_persons: bool) -> tuple[str, int]:
    """The file's text, and how many items are in it."""
    columns = {**WORK, **PERSON} if with_persons else WORK
    written = io.StringIO()
    written.write(BYTE_ORDER_MARK)
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    rows = [[cell(getattr(item, field)) for field in columns.values()] for item in items]
    writer.writerows(rows)
    return written.getvalue(), len(rows)


def cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula: the quotation mark says so, and is not shown."""
    text = FORMULA.sub(r"\1'\2", str(value))
    return f"'{text}" if text.startswith(BLANK) else text


def items_of(day: date) -> Iterable[WorklistItem]:
    """The day's list, as the clinic goes through it."""
    return WorklistItem.objects.filter(scheduled_date=day).order_by("scheduled_time", "accession_number")
