"""Find what needs attention in the worklist: wrong patients, items that no machine can show, and MPPS exceptions.

`check_items` reports the first two in the health reply as well, under the key that Manage knows.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils import timezone

from core.admin import admin_url
from core.concerns import COUNTED, LISTED, Concern, Occurrence, Severity, grouped
from core.database import UNAVAILABLE
from core.large_tables import counted
from core.wording import count_of
from worklist.models import ItemAlarm, MppsException

Reason = MppsException.Reason

WHAT_TO_DO = {
    Reason.WRONG_PATIENT: "Stop work at that machine. Check whose images these are, and tell the PACS team.",
    Reason.UNSCHEDULED: "Link the examination to the woman’s item, or dismiss it.",
    Reason.UNKNOWN_ITEM: "Link it when her item arrives, or look for a mistyped accession number.",
    Reason.MISSING_ATTRIBUTES: "Check what the machine left out, and dismiss it. If this continues, tell the supplier.",
    Reason.IGNORED_ATTRIBUTES: "Check what the machine changed too late, and dismiss it.",
    Reason.CONTRADICTS_CLOUD: "Manage took her off the list, but she was imaged. Tell the users of Manage.",
    Reason.DONE_AFTER_PUT_BACK: "She was put back on the list, but has been imaged. Make sure it is not done twice.",
    Reason.ABANDONED: "Ask at the machine how the examination ended, then link or dismiss it.",
}


def wrong_patient(now: datetime) -> Iterator[Concern]:
    """Yield the open exceptions of machines that may show one woman's images under another's name."""
    rows = MppsException.objects.alarms().order_by("-created_at")
    words = "A machine may show the wrong woman: its report names {} and another patient"
    latest = tuple(
        Occurrence(
            words.format(each.accession_number or "an item"),
            admin_url(each),
            words.format("an item"),
            each.created_at,
        )
        for each in rows[:LISTED]
    )
    yield Concern(
        key="wrong_patient",
        severity=Severity.PROBLEM,
        title="Wrong patient",
        what_to_do=WHAT_TO_DO[Reason.WRONG_PATIENT],
        permission="worklist.view_mppsexception",
        count=counted(rows, COUNTED) if len(latest) == LISTED else len(latest),
        latest=latest,
        link=_exceptions_page(Reason.WRONG_PATIENT),
        one_by_one=True,
    )


def item_not_shown(now: datetime) -> Iterator[Concern]:
    """Yield the open items of today or later that DICOM does not allow a machine to be sent."""
    alarms = ItemAlarm.objects.of_open_items_from(timezone.localtime(now).date())
    words = "{} is missing from the machines’ lists: DICOM does not allow her {}"
    latest = tuple(
        Occurrence(
            words.format(each.item.accession_number, each.attribute),
            admin_url(each.item),
            words.format("A woman", each.attribute),
            permission="worklist.view_worklistitem",
        )
        for each in alarms.select_related("item")[:LISTED]
    )
    yield Concern(
        key="item_not_shown",
        severity=Severity.PROBLEM,
        title="Missing from the machines’ lists",
        what_to_do="Enter her details at the machine. Correct them in Manage, and send her again.",
        permission="worklist.view_itemalarm",
        count=counted(alarms, COUNTED) if len(latest) == LISTED else len(latest),
        latest=latest,
        link=reverse("admin:worklist_itemalarm_changelist", query={"open": "yes"}),
        one_by_one=True,
    )


def mpps_exceptions(now: datetime) -> Iterator[Concern]:
    """Yield one concern for each reason for which an MPPS exception is open, except a wrong patient."""
    rows = MppsException.objects.open().exclude(reason=Reason.WRONG_PATIENT).order_by("-created_at")
    for value, exceptions, count in grouped(rows, "reason"):
        reason = Reason(value)
        what = f"{reason.label[0].lower()}{reason.label[1:]}"
        yield Concern(
            key="mpps_exceptions",
            severity=Severity.WARNING,
            title=f"{count_of(count, 'report')} from machines: {what}",
            what_to_do=WHAT_TO_DO[reason],
            permission="worklist.view_mppsexception",
            count=count,
            latest=tuple(
                Occurrence(each.accession_number or "No number", admin_url(each), "An examination", each.created_at)
                for each in exceptions[:LISTED]
            ),
            link=_exceptions_page(reason),
        )


def _exceptions_page(reason: MppsException.Reason) -> str:
    return reverse("admin:worklist_mppsexception_changelist", query={"reason__exact": reason.value})


def check_items() -> dict[str, Any]:
    """Check that no item of today or later fails to be shown and no wrong-patient alarm is open; count all alarms."""
    try:
        current = ItemAlarm.objects.of_open_items_from(timezone.localdate()).exists()
        alarm_count = ItemAlarm.objects.of_open_items().count()
        wrong_patient_alarms = MppsException.objects.alarms().count()
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the alarms cannot be read ({type(error).__name__})"}
    return {
        "ok": not current and not wrong_patient_alarms,
        "alarms": alarm_count,
        "wrong_patient_alarms": wrong_patient_alarms,
    }
