"""Owns the clinic's list: who is on it, and how each stands, in the words of Manage."""

from collections.abc import Sequence
from datetime import date, time
from enum import Enum
from typing import NamedTuple

from django.utils import timezone

from nonprod.manage_emulator import CONFIRMED, NAME
from nonprod.models import Appointment


class State(Enum):
    """How an appointment stands: what it is called, the colour of its tag, and what it means."""

    NOT_SENT = ("Not sent", "grey", "Checked in. The machine does not know of her yet.")
    SENT = ("Sent", "blue", "Waiting for the gateway’s reply.")
    CONFIRMED = ("Confirmed", "aqua-green", "The gateway has her on the machine’s list.")
    FAILED = ("Failed", "red", "The gateway has not taken her.")
    IN_PROGRESS = ("In progress", "yellow", "The machine has begun.")
    DONE = ("Done", "green", "The machine has finished.")
    STOPPED = ("Discontinued", "orange", "The machine has broken off.")
    DID_NOT_ATTEND = ("Did not attend", "white", "She is on no list any more.")

    def __init__(self, label: str, colour: str, meaning: str) -> None:
        self.label, self.colour, self.meaning = label, colour, meaning


#: What the gateway's own word of an item is here.
BY_WORKLIST_STATUS = {
    "IN PROGRESS": State.IN_PROGRESS,
    "COMPLETED": State.DONE,
    "DISCONTINUED": State.STOPPED,
}
#: In these "Send to modality" makes sense; after SENT and FAILED it is sent again.
SENDABLE = frozenset({State.NOT_SENT, State.SENT, State.FAILED})
#: In these she may still be marked as one who did not attend.
EXPECTED = frozenset({State.NOT_SENT, State.FAILED, State.CONFIRMED})
#: In these something is still to come from the gateway.
AWAITED = frozenset({State.SENT, State.CONFIRMED, State.IN_PROGRESS})


def state_of(appointment: Appointment) -> State:
    """What is known of her, the strongest first."""
    if appointment.did_not_attend:
        return State.DID_NOT_ATTEND
    if appointment.worklist_status in BY_WORKLIST_STATUS:
        return BY_WORKLIST_STATUS[appointment.worklist_status]
    if appointment.action is None:
        return State.NOT_SENT
    if (appointment.reply or {}).get("status") in CONFIRMED:
        return State.CONFIRMED
    return State.FAILED if appointment.problem else State.SENT


class Line(NamedTuple):
    """An appointment, as a line of the page."""

    appointment: Appointment
    state: State

    @property
    def name(self) -> str:
        """Family name, given name."""
        return self.appointment.name.replace("^", ", ")

    @property
    def nhs_number(self) -> str:
        """As it is written: 999 000 0018."""
        number = self.appointment.nhs_number
        return f"{number[:3]} {number[3:6]} {number[6:]}"

    @property
    def send_label(self) -> str:
        """What the button says; empty where there is none."""
        if self.state not in SENDABLE:
            return ""
        return "Send to modality" if self.state is State.NOT_SENT else "Send again"

    @property
    def may_be_absent(self) -> bool:
        """Whether there is a button for one who did not attend."""
        return self.state in EXPECTED

    @property
    def details(self) -> str:
        """What there is to say besides the state: of the machine, and of why it broke off."""
        performed = self.appointment.performed or {}
        if self.state is State.STOPPED:
            return str(performed.get("discontinuation_reason") or self.state.meaning)
        if self.state is State.DONE and performed:
            images = performed["images"]
            return f"{images} {'image' if images == 1 else 'images'} at {performed['station_ae_title']}"
        if self.state is State.IN_PROGRESS and performed:
            return f"At {performed['station_ae_title']}"
        return self.state.meaning


class Woman(NamedTuple):
    """Somebody invented. The NHS numbers are of the range for tests, which begins with 999."""

    at: time
    name: str
    nhs_number: str
    birth_date: date
    station_ae_title: str = ""


WOMEN = (
    Woman(time(9, 0), NAME, "9990000018", date(1970, 3, 21), "MAMMO1"),
    Woman(time(9, 10), "SMITH^JANE", "9990000026", date(1966, 11, 2), "MAMMO1"),
    Woman(time(9, 20), "NGUYỄN^THỊ HOA", "9990000034", date(1972, 7, 15)),
    Woman(time(9, 30), "OKAFOR^ADAEZE", "9990000042", date(1959, 1, 30), "MAMMO2"),
    Woman(time(9, 40), "GARCÍA MÁRQUEZ^LUCÍA", "9990000050", date(1968, 5, 9)),
    Woman(time(9, 50), "ΠΑΠΑΔΟΠΟΥΛΟΥ^ΕΛΕΝΗ", "9990000069", date(1963, 9, 17), "MAMMO2"),
    # Somebody has typed 2070 for 1970: the gateway refuses that, and says why.
    Woman(time(10, 0), "FEATHERSTONE^MARGARET", "9990000077", date(2070, 3, 21), "MAMMO1"),
)


def appointments_of_today() -> Sequence[Appointment]:
    """The clinic's list of today, which is made the first time that somebody looks."""
    today = timezone.localdate()
    found = Appointment.objects.filter(date=today)
    if not found.exists():
        made = [Appointment(date=today, time=woman.at, **_told(woman)) for woman in WOMEN]
        Appointment.objects.bulk_create(made, ignore_conflicts=True)  # two may look at once
    return list(found.all())


def _told(woman: Woman) -> dict[str, object]:
    return {name: value for name, value in woman._asdict().items() if name != "at"}


def lines(appointments: Sequence[Appointment]) -> list[Line]:
    """The lines of the page."""
    return [Line(appointment, state_of(appointment)) for appointment in appointments]
