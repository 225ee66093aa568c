"""Export a day's worklist as CSV (RFC 4180) for a spreadsheet, and the outbox as JSON for Manage.

The CSV file is UTF-8 with the byte order mark that Excel needs.
"""

import csv
import io
import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from worklist.models import ItemChange, WorklistItem
from worklist.services.changes_since import as_reported

BYTE_ORDER_MARK = "\ufeff"
#: A spreadsheet executes text that begins with one of these signs: at the start of a cell, and after a character that
#: separates cells where the separator is not a comma, as our quotes do not help there. Some are full-width.
FORMULA = re.compile(r"(^|[;\t\r\n])(\s*[=+\-@\uff1d\uff0b\uff0d\uff20])")
#: Some spreadsheets skip these at the start of a cell, and then find a formula. None of our values begins with one.
BLANK = ("\t", "\r", "\n")

#: Column title → field.
WORK = {
    "Accession Number": "accession_number",
    "Test Item": "is_test",
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
#: Only for users who may see patient data.
PATIENT = {
    "NHS Number": "patient_id",
    "Name": "patient_name",
    "Birth Date": "patient_birth_date",
    "Sex": "patient_sex",
    "Address": "patient_address",
    "Comments": "patient_comments",
}


def as_csv(items: Iterable[WorklistItem], *, with_persons: bool) -> tuple[str, int]:
    """Return the file's text and the number of items in it."""
    columns = {**WORK, **PATIENT} if with_persons else WORK
    written = io.StringIO()
    written.write(BYTE_ORDER_MARK)
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    rows = [[cell(getattr(item, field)) for field in columns.values()] for item in items]
    writer.writerows(rows)
    return written.getvalue(), len(rows)


def cell(value: Any) -> str:
    """A value as text that no spreadsheet executes: it hides a leading apostrophe, and takes the rest as text."""
    text = FORMULA.sub(r"\1'\2", str(value))
    return f"'{text}" if text.startswith(BLANK) else text


def items_on(day: date, *, with_test_items: bool = False) -> Iterable[WorklistItem]:
    """The day's items in the order of the clinic."""
    current = WorklistItem.objects.not_superseded()
    items = current if with_test_items else current.of_patients()
    return items.filter(scheduled_date=day).order_by("scheduled_time", "accession_number")


def outcomes(first: date, last: date, *, with_test_items: bool) -> list[dict[str, Any]]:
    """The changes of items' status on these days, as `worklist.changes_since` would have reported them.

    That Manage has read them is not noted: it has not, until somebody gives it the file.
    """
    changes = ItemChange.objects.filter(at__date__range=(first, last)).order_by("number").select_related("item")
    chosen = changes if with_test_items else changes.filter(item__is_test=False)
    return [as_reported(change) for change in chosen]
