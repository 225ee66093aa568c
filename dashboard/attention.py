"""Owns what went wrong, and what to do about it: the worst first, each with a way to where it can be mended."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from django.conf import settings
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from core.contract import ErrorCode
from core.large_tables import midnight
from dashboard.daemons import RelayPart, WorklistPart
from dashboard.modalities import Machine
from dashboard.severity import Level
from dashboard.viewer_permissions import Right, Standing
from relay.models import FAILURES, ReceivedAction
from worklist.models import ItemAlarm, MppsException

#: Of one kind so many are told one by one.
MOST = 5
#: Exceptions that are looked at; there are a handful, and of more than this the count is wrong and the message right.
MOST_EXCEPTIONS = 500

Reason = MppsException.Reason


@dataclass(frozen=True)
class Attention:
    """One thing that went wrong. `link` is where in the admin to look, and takes `right`; nobody's name stands in it.

    `without_number` is what is said instead to those who may not see items, where the words name one.
    """

    level: Level
    words: str
    what_to_do: str
    link: str
    right: Right
    without_number: str = ""

    def seen_by(self, standing: Standing) -> "Attention":
        """As somebody may see it: without a number, without a link that is a dead end."""
        words = self.words if standing.sees_numbers else self.without_number or self.words
        return replace(self, words=words, link=self.link if standing.follows(self.right) else "")


#: What to do about an exception that a machine's report has raised.
ABOUT_EXCEPTIONS = {
    Reason.WRONG_PATIENT: "Stop at that machine: check whose images these are, and tell the PACS team.",
    Reason.UNSCHEDULED: "Link the examination to the woman's item, or dismiss it.",
    Reason.UNKNOWN_ITEM: "Link it when her item has come, or look for a mistyped number.",
    Reason.MISSING_ATTRIBUTES: "Look at what the machine left out, and dismiss it; tell its supplier if it stays so.",
    Reason.IGNORED_ATTRIBUTES: "Look at what the machine has changed late, and dismiss it.",
    Reason.CONTRADICTS_CLOUD: "Manage had taken her off the list: tell Manage's users that she was imaged.",
    Reason.DONE_AFTER_PUT_BACK: "Put back on the list, she has been imaged: take care that it is not done twice.",
    Reason.ABANDONED: "Ask at the machine how the examination ended; link or dismiss it.",
}
WRONG_PATIENT = "A machine may show the wrong woman: its report names {item} and another patient"
UNSHOWABLE = "{who} is missing on the machines' lists: DICOM does not allow her {attribute}"
ENTER_BY_HAND = "Enter her by hand. Correct it in Manage, and send her again."
SENDER = "What Manage sent cannot be done: its support finds the reason in the reply."
#: What to do about an action that failed.
ABOUT_ACTIONS = {
    ErrorCode.TEMPORARILY_UNAVAILABLE: "Manage sends it again by itself. If this goes on, look at the database.",
    ErrorCode.INTERNAL_ERROR: "A fault of the gateway: support finds it in the log by the correlation id.",
    ErrorCode.ACCESSION_CONFLICT: "The accession number is another item's: compare both, and correct it in Manage.",
    ErrorCode.NOT_FOUND: "The gateway has no such item: has its creation failed before?",
}


def attention(
    relay: RelayPart, worklist: WorklistPart, machines: Iterable[Machine], now: datetime
) -> tuple[Attention, ...]:
    """Everything, the worst first."""
    today = timezone.localtime(now).date()
    found = [
        *_wrong_patients(exceptions := _open_exceptions()),
        *_daemons(relay, worklist),
        *_unshowable(today),
        *_exceptions(exceptions),
        *_failed_actions(today),
        *_machines(list(machines)),
    ]
    return tuple(sorted(found, key=lambda each: each.level is not Level.PROBLEM))


def _daemons(relay: RelayPart, worklist: WorklistPart) -> Iterator[Attention]:
    link = reverse("admin:core_heartbeat_changelist")
    for name, part in (("Connection to Manage", relay), ("Worklist server", worklist)):
        if part.level is not Level.OK:
            yield Attention(part.level, f"{name}: {_lowered(part.words)}", part.what_to_do, link, Right.HEARTBEATS)


Exceptions = list[tuple[str, str, str]]


def _open_exceptions() -> Exceptions:
    rows = MppsException.objects.open().values_list("id", "reason", "accession_number")
    return [(str(pk), reason, number) for pk, reason, number in rows[:MOST_EXCEPTIONS]]


def _wrong_patients(exceptions: Exceptions) -> Iterator[Attention]:
    for pk, reason, number in exceptions:
        if reason == Reason.WRONG_PATIENT:
            words, anonymous = (WRONG_PATIENT.format(item=item) for item in (number or "an item", "an item"))
            link = reverse("admin:worklist_mppsexception_change", args=[pk])
            what = ABOUT_EXCEPTIONS[Reason.WRONG_PATIENT]
            yield Attention(Level.PROBLEM, words, what, link, Right.EXCEPTIONS, anonymous)


def _exceptions(exceptions: Exceptions) -> Iterator[Attention]:
    counted = Counter(Reason(reason) for _, reason, _ in exceptions if reason != Reason.WRONG_PATIENT)
    for reason, count in counted.most_common():
        link = reverse("admin:worklist_mppsexception_changelist", query={"reason__exact": reason.value})
        words = f"{count} {'report' if count == 1 else 'reports'} of machines: {_lowered(reason.label)}"
        yield Attention(Level.WARNING, words, ABOUT_EXCEPTIONS[reason], link, Right.EXCEPTIONS)


def _unshowable(today: date) -> Iterator[Attention]:
    alarms = ItemAlarm.objects.of_open_items().filter(item__scheduled_date__gte=today)
    for item, number, attribute in alarms.values_list("item_id", "item__accession_number", "attribute")[:MOST]:
        words, anonymous = (UNSHOWABLE.format(who=who, attribute=attribute) for who in (number, "A woman"))
        link = reverse("admin:worklist_worklistitem_change", args=[item])
        yield Attention(Level.PROBLEM, words, ENTER_BY_HAND, link, Right.ITEMS, anonymous)


def _failed_actions(today: date) -> Iterator[Attention]:
    failed = ReceivedAction.objects.filter(received_at__gte=midnight(today), outcome__in=sorted(FAILURES))
    counts = failed.order_by().values_list("outcome").annotate(found=Count("*"))
    for outcome, count in Counter(dict(counts)).most_common():
        words = f"{count} {'action' if count == 1 else 'actions'} of Manage failed today: {outcome.replace('_', ' ')}"
        link = reverse("admin:relay_receivedaction_changelist", query={"outcome": outcome})
        yield Attention(Level.WARNING, words, ABOUT_ACTIONS.get(ErrorCode(outcome), SENDER), link, Right.ACTIONS)


def _machines(machines: list[Machine]) -> Iterator[Attention]:
    for machine in machines:
        if machine.is_silent:
            words = f"{machine.name or machine.ae_title}: {_lowered(machine.words)}"
            link = reverse("admin:worklist_worklistquery_changelist", query={"calling_ae_title": machine.ae_title})
            yield Attention(machine.level, words, machine.what_to_do, link, Right.QUERIES)
    if settings.MWL_UNKNOWN_AE_TITLES == "accept" or not any(machine.is_known for machine in machines):
        return
    for machine in machines:
        if not machine.is_known:
            link = reverse("admin:dicom_modality_add", query={"ae_title": machine.ae_title})
            words = f"A machine that nobody knows has asked for the list: {machine.ae_title}"
            what = "Find out whose it is, and add it to the modalities."
            yield Attention(Level.WARNING, words, what, link, Right.NEW_MODALITIES)


def _lowered(words: str) -> str:
    return f"{words[:1].lower()}{words[1:]}"
