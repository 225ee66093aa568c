"""Find what needs attention in the worklist: wrong patients, alarms about items, and MPPS exceptions.

`check_items` reports the wrong patients and the items that no machine can show in the health reply as well, under the
key that Manage knows.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from django.db.models import Case, Value, When
from django.utils import timezone

from core.concerns import COUNTED, LISTED, Concern, Occurrence, Severity, grouped
from core.database import UNAVAILABLE
from core.large_tables import counted
from core.links import admin_url, page_url
from core.wording import count_of
from worklist.models import ItemAlarm, MppsException

Reason = MppsException.Reason

WHAT_TO_DO = {
    Reason.WRONG_PATIENT: "Stop work at that machine. Check whose images these are, and tell the PACS team.",
    Reason.UNSCHEDULED: "Link the examination to the woman’s item, or dismiss it.",
    Reason.UNKNOWN_ITEM: "Link it when her item arrives, or look for a mistyped accession number.",
    Reason.MISSING_ATTRIBUTES: "Check what the machine left out, and dismiss it. If this continues, tell the supplier.",
    Reason.IGNORED_ATTRIBUTES: "Check what the machine sent that was ignored, and dismiss it.",
    Reason.CONTRADICTS_CLOUD: "Manage took her off the list, but she was imaged. Tell the users of Manage.",
    Reason.DONE_AFTER_PUT_BACK: "She was put back on the list, but has been imaged. Make sure it is not done twice.",
    Reason.ABANDONED: "Ask at the machine how the examination ended, then link or dismiss it.",
    Reason.TEST_MACHINE: "Her item is unchanged. Find out who reported as the test machine, then dismiss it.",
}


class AlarmWording(NamedTuple):
    """How the concern of one kind of alarm is worded, and how bad it is."""

    key: str
    severity: Severity
    title: str
    what_to_do: str


ALARMS = {
    ItemAlarm.Kind.NOT_SHOWN: AlarmWording(
        "item_not_shown",
        Severity.PROBLEM,
        "Missing from the machines’ lists",
        "Enter her details at the machine. Correct them in Manage, and send her again.",
    ),
    ItemAlarm.Kind.REPAIRED: AlarmWording(
        "item_repaired",
        Severity.WARNING,
        "Shown with repaired details",
        "Compare her details at the machine with Manage’s, then dismiss the alarm.",
    ),
    ItemAlarm.Kind.SENT_AGAIN: AlarmWording(
        "item_sent_again",
        Severity.PROBLEM,
        "On the list again after the examination had begun",
        "Make sure that she is not imaged twice. If it is to be repeated, dismiss the alarm.",
    ),
    ItemAlarm.Kind.ANOTHER_PATIENT: AlarmWording(
        "item_another_patient",
        Severity.PROBLEM,
        "One appointment, two women",
        "Find out in Manage whose appointment it is, and discontinue the other item there.",
    ),
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


def item_alarms(now: datetime) -> Iterator[Concern]:
    """Yield one concern for each kind of alarm about open items of today or later that nobody has dismissed."""
    current = ItemAlarm.objects.open().of_open_items_from(timezone.localtime(now).date())
    # However many values were repaired, no problem is left uncounted for them.
    problems_first = Case(When(kind=ItemAlarm.Kind.REPAIRED, then=Value(1)), default=Value(0))
    for kind, alarms, count in grouped(current.select_related("item").order_by(problems_first, "-last_at"), "kind"):
        wording = ALARMS[ItemAlarm.Kind(kind)]
        yield Concern(
            key=wording.key,
            severity=wording.severity,
            title=wording.title,
            what_to_do=wording.what_to_do,
            permission="worklist.view_itemalarm",
            count=count,
            latest=tuple(
                Occurrence(
                    str(alarm),
                    admin_url(alarm.item),
                    f"A woman {alarm.words}",
                    permission="worklist.view_worklistitem",
                )
                for alarm in alarms[:LISTED]
            ),
            link=page_url("admin:worklist_itemalarm_changelist", query={"open": "yes", "kind__exact": kind}),
            one_by_one=True,
        )


def mpps_exceptions(now: datetime) -> Iterator[Concern]:
    """Yield one concern for each reason for which an MPPS exception is open, except a wrong patient."""
    rows = MppsException.objects.open().of_patients().exclude(reason=Reason.WRONG_PATIENT).order_by("-created_at")
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
    return page_url("admin:worklist_mppsexception_changelist", query={"reason__exact": reason.value})


def check_items() -> dict[str, Any]:
    """Check that no item of today or later fails to be shown and no wrong-patient alarm is open; count all alarms."""
    try:
        alarms = ItemAlarm.objects.open().not_shown()
        current = alarms.of_open_items_from(timezone.localdate()).exists()
        alarm_count = alarms.of_open_items().count()
        wrong_patient_alarms = MppsException.objects.alarms().count()
    except UNAVAILABLE as error:
        return {"ok": False, "error": f"the alarms cannot be read ({type(error).__name__})"}
    return {
        "ok": not current and not wrong_patient_alarms,
        "alarms": alarm_count,
        "wrong_patient_alarms": wrong_patient_alarms,
    }
