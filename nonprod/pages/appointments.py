"""The clinic's appointments and their states, in the words of Manage."""

import datetime as dt
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from django.utils import timezone

from core.wording import count_of
from nonprod.manage_emulator import CONFIRMED, NAME
from nonprod.models import Appointment, ManageFailure, ManageImage


class State(Enum):
    """The state of an appointment: its label, the colour of its tag, and its meaning."""

    NOT_SENT = ("Not sent", "grey", "Checked in, not yet sent to the machine.")
    SENT = ("Sent", "blue", "Waiting for the gateway’s reply.")
    CONFIRMED = ("Confirmed", "aqua-green", "On the machine’s worklist.")
    FAILED = ("Failed", "red", "The gateway did not accept the appointment.")
    IN_PROGRESS = ("In progress", "yellow", "The examination has started.")
    DONE = ("Done", "green", "The examination is complete.")
    STOPPED = ("Discontinued", "orange", "The examination was stopped early.")
    DID_NOT_ATTEND = ("Did not attend", "white", "Removed from the worklist.")

    def __init__(self, label: str, colour: str, meaning: str) -> None:
        self.label, self.colour, self.meaning = label, colour, meaning


#: The states that follow from the status of the gateway's worklist item.
BY_WORKLIST_STATUS = {
    "IN PROGRESS": State.IN_PROGRESS,
    "COMPLETED": State.DONE,
    "DISCONTINUED": State.STOPPED,
}
#: States with a "Send to modality" button; after SENT and FAILED the button sends again.
SENDABLE = frozenset({State.NOT_SENT, State.SENT, State.FAILED})
#: States with a "Did not attend" button.
EXPECTED = frozenset({State.NOT_SENT, State.FAILED, State.CONFIRMED})
#: States in which news from the gateway is expected.
AWAITED = frozenset({State.SENT, State.CONFIRMED, State.IN_PROGRESS})


def state_of(appointment: Appointment) -> State:
    """Return the state of an appointment. The machine's word counts more than the gateway's reply."""
    if appointment.did_not_attend:
        return State.DID_NOT_ATTEND
    if appointment.worklist_status in BY_WORKLIST_STATUS:
        return BY_WORKLIST_STATUS[appointment.worklist_status]
    if appointment.action is None:
        return State.NOT_SENT
    if (appointment.reply or {}).get("status") in CONFIRMED:
        return State.CONFIRMED
    return State.FAILED if appointment.problem else State.SENT


class AppointmentRow(NamedTuple):
    """An appointment as a row of the page, with the images that Manage has taken, and why it gets no more of them."""

    appointment: Appointment
    state: State
    images: tuple[ManageImage, ...] = ()
    image_problem: str = ""

    @property
    def name(self) -> str:
        """Family name, given name."""
        return self.appointment.name.replace("^", ", ")

    @property
    def nhs_number(self) -> str:
        """The NHS number in groups: 999 000 0018."""
        number = self.appointment.nhs_number
        return f"{number[:3]} {number[3:6]} {number[6:]}"

    @property
    def send_label(self) -> str:
        """The button's label; empty without a button."""
        if self.state not in SENDABLE:
            return ""
        return "Send to modality" if self.state is State.NOT_SENT else "Send again"

    @property
    def may_be_absent(self) -> bool:
        return self.state in EXPECTED

    @property
    def details(self) -> str:
        """Details of the state: the machine and its images, or the reason for discontinuation."""
        performed = self.appointment.performed or {}
        if self.state is State.STOPPED:
            return str(performed.get("discontinuation_reason") or self.state.meaning)
        if self.state is State.DONE and performed:
            images = performed["images"]
            return f"{count_of(images, 'image')} at {performed['station_ae_title']}"
        if self.state is State.IN_PROGRESS and performed:
            return f"At {performed['station_ae_title']}"
        return self.state.meaning


def rows_of(appointments: Sequence[Appointment]) -> list[AppointmentRow]:
    """Return the appointments as rows, each with the images of its action, in the order of the views."""
    actions = {one.pk: str((one.action or {}).get("action_id", "")) for one in appointments}
    images: dict[str, list[ManageImage]] = {}
    found = ManageImage.objects.filter(action_id__in=actions.values()).exclude(picture=b"").defer("picture")
    for image in found.order_by("view_position", "-laterality"):
        images.setdefault(image.action_id, []).append(image)
    failures = dict(ManageFailure.objects.filter(action_id__in=actions.values()).values_list("action_id", "error"))
    return [
        AppointmentRow(one, state_of(one), tuple(images.get(action, ())), failures.get(action, ""))
        for one in appointments
        for action in [actions[one.pk]]
    ]


class Participant(NamedTuple):
    """An invented participant. NHS numbers that begin with 999 are reserved for tests."""

    time: dt.time
    name: str
    nhs_number: str
    birth_date: dt.date
    station_ae_title: str = ""


PARTICIPANTS = (
    Participant(dt.time(9, 0), NAME, "9990000018", dt.date(1970, 3, 21), "MAMMO1"),
    Participant(dt.time(9, 10), "SMITH^JANE", "9990000026", dt.date(1966, 11, 2), "MAMMO1"),
    Participant(dt.time(9, 20), "NGUYỄN^THỊ HOA", "9990000034", dt.date(1972, 7, 15)),
    Participant(dt.time(9, 30), "OKAFOR^ADAEZE", "9990000042", dt.date(1959, 1, 30), "MAMMO2"),
    Participant(dt.time(9, 40), "GARCÍA MÁRQUEZ^LUCÍA", "9990000050", dt.date(1968, 5, 9)),
    Participant(dt.time(9, 50), "ΠΑΠΑΔΟΠΟΥΛΟΥ^ΕΛΕΝΗ", "9990000069", dt.date(1963, 9, 17), "MAMMO2"),
    # A typing error, 2070 for 1970: the gateway refuses the date and says why.
    Participant(dt.time(10, 0), "FEATHERSTONE^MARGARET", "9990000077", dt.date(2070, 3, 21), "MAMMO1"),
)


def appointments_of_today() -> Sequence[Appointment]:
    """Return today's appointments; create them on the first call of the day."""
    today = timezone.localdate()
    found = Appointment.objects.filter(date=today)
    if not found.exists():
        created = [Appointment(date=today, **participant._asdict()) for participant in PARTICIPANTS]
        Appointment.objects.bulk_create(created, ignore_conflicts=True)  # two requests may come at once
    return list(found.all())
