"""Owns what the admin's landing page says needs attention: of each kind how many, the latest few, and where all are.

Of nothing more is counted than MOST, and each kind is asked for by an index: it costs the same after years.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser, User
from django.urls import reverse
from django.utils import timezone

from core.admin import page_of
from core.large_tables import counted, midnight
from core.models import Heartbeat
from dashboard.daemons import LISTENER, SERVER, relay_part, worklist_part
from dashboard.modalities import known_modalities, machines
from dashboard.severity import Level, moment
from relay.models import FAILURES, ReceivedAction
from worklist.models import ItemAlarm, MppsException

#: Of each kind so many are counted, and so many are named.
MOST, FEW = 100, 5
#: What failed longer ago is history: the list of the actions has it.
FAILED_WITHIN = timedelta(days=6)

Reason = MppsException.Reason


@dataclass(frozen=True)
class Line:
    """One that needs attention."""

    words: str
    link: str


@dataclass(frozen=True)
class Concern:
    """One kind of what needs attention. `count` is a number, or `100+`."""

    level: Level
    title: str
    what_to_do: str
    count: str
    latest: list[Line]
    everything: str


def concerns(user: User | AnonymousUser, now: datetime) -> list[Concern]:
    """All that this user may see, the worst first; what is in order is left out."""
    found = [find(now) for permission, find in KINDS if user.has_perm(permission)]
    return [concern for concern in found if concern.latest]


def _wrong_patients(now: datetime) -> Concern:
    rows = MppsException.objects.alarms().order_by("-created_at")
    return Concern(
        Level.PROBLEM,
        "Wrong patient",
        "A machine may show the wrong woman. Stop there, check whose images these are, and tell the PACS team.",
        str(counted(rows, MOST)),
        [Line(f"{each.accession_number}, {moment(each.created_at, now)}", page_of(each)) for each in rows[:FEW]],
        reverse("admin:worklist_mppsexception_changelist", query={"reason__exact": Reason.WRONG_PATIENT.value}),
    )


def _processes(now: datetime) -> Concern:
    beats = list(Heartbeat.objects.filter(role__in=(LISTENER, SERVER)))
    everything = reverse("admin:core_heartbeat_changelist")
    told = [
        Line(f"{name}: {part.words.lower()}. {part.what_to_do}", everything)
        for name, part in (
            ("Connection to Manage", relay_part(beats, now, None)),
            ("Worklist server", worklist_part(beats, now)),
        )
        if part.level is not Level.OK
    ]
    return Concern(Level.PROBLEM, "Processes", "", str(len(told)), told, everything)


def _unshowable(now: datetime) -> Concern:
    today = timezone.localtime(now).date()
    rows = ItemAlarm.objects.of_open_items().filter(item__scheduled_date__gte=today).select_related("item")
    return Concern(
        Level.PROBLEM,
        "Missing on the machines' lists",
        "A value is nothing that DICOM allows. Enter her by hand; correct it in Manage, and send her again.",
        str(counted(rows, MOST)),
        [Line(f"{each.item}: {each.attribute}", page_of(each.item)) for each in rows[:FEW]],
        reverse("admin:worklist_itemalarm_changelist", query={"open": "yes"}),
    )


def _failed_actions(now: datetime) -> Concern:
    since = midnight(timezone.localtime(now).date() - FAILED_WITHIN)
    rows = ReceivedAction.objects.filter(outcome__in=sorted(FAILURES), received_at__gte=since)
    latest = [
        Line(
            f"{each.outcome.replace('_', ' ')}: {each.accession_number or each}, {moment(each.received_at, now)}",
            page_of(each),
        )
        for each in rows.defer("payload", "reply")[:FEW]
    ]
    return Concern(
        Level.WARNING,
        "Failed actions of the past 7 days",
        "The page of each says why. Where the reason is gone, have it executed again.",
        str(counted(rows, MOST)),
        latest,
        reverse("admin:relay_receivedaction_changelist", query={"result": "failed", "day": "week"}),
    )


def _exceptions(now: datetime) -> Concern:
    rows = MppsException.objects.open().exclude(reason=Reason.WRONG_PATIENT).order_by("-created_at")
    return Concern(
        Level.WARNING,
        "MPPS exceptions",
        "A machine's report is not clear: link it, put the item back, or dismiss it.",
        str(counted(rows, MOST)),
        [Line(f"{each.get_reason_display()}, {moment(each.created_at, now)}", page_of(each)) for each in rows[:FEW]],
        reverse("admin:worklist_mppsexception_changelist"),
    )


def _strangers(now: datetime) -> Concern:
    strangers = [machine for machine in machines(known_modalities(), now) if not machine.is_known]
    lines = [
        Line(
            f"{machine.ae_title}, last {moment(machine.last_query, now)}",
            reverse("admin:worklist_worklistquery_changelist", query={"calling_ae_title": machine.ae_title}),
        )
        for machine in strangers[:FEW]
    ]
    return Concern(
        Level.WARNING,
        "Unknown AE titles",
        "Find out whose machine it is, and add it to the modalities.",
        str(len(strangers)),
        lines,
        reverse("admin:dicom_modality_changelist"),
    )


#: Permission → what it lets somebody see; the worst first.
KINDS: Iterable[tuple[str, Callable[[datetime], Concern]]] = (
    ("worklist.view_mppsexception", _wrong_patients),
    ("core.view_heartbeat", _processes),
    ("worklist.view_itemalarm", _unshowable),
    ("relay.view_receivedaction", _failed_actions),
    ("worklist.view_mppsexception", _exceptions),
    ("worklist.view_worklistquery", _strangers),
)
