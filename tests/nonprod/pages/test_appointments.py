"""The clinic's appointments and their states."""

from datetime import date, time
from typing import Any

import pytest

from nonprod.models import Appointment
from nonprod.pages.appointments import PARTICIPANTS, AppointmentRow, State, appointments_of_today, state_of
from tests.nonprod.pages.conftest import appointment_of

pytestmark = pytest.mark.once

SENT = {"action": {"action_id": "a"}}
TAKEN = {**SENT, "reply": {"status": "created"}}


def appointment(**values: Any) -> Appointment:
    return Appointment(date=date(2026, 11, 23), time=time(9), name="SMITH^JANE", nhs_number="9990000026", **values)


class TestState:
    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            ({}, State.NOT_SENT),
            (SENT, State.SENT),
            (TAKEN, State.CONFIRMED),
            ({**SENT, "reply": {"status": "exists"}}, State.CONFIRMED),
            ({**SENT, "reply": {"status": "error"}, "problem": "invalid_action: no"}, State.FAILED),
            ({**SENT, "problem": "nobody listens"}, State.FAILED),
            ({**TAKEN, "worklist_status": "SCHEDULED"}, State.CONFIRMED),
            ({**TAKEN, "worklist_status": "IN PROGRESS"}, State.IN_PROGRESS),
            ({**TAKEN, "worklist_status": "COMPLETED"}, State.DONE),
            ({**TAKEN, "worklist_status": "DISCONTINUED"}, State.STOPPED),
            ({**TAKEN, "worklist_status": "DISCONTINUED", "did_not_attend": True}, State.DID_NOT_ATTEND),
            ({"did_not_attend": True}, State.DID_NOT_ATTEND),
            # The machine's report counts although the reply was lost.
            ({**SENT, "problem": "no reply", "worklist_status": "IN PROGRESS"}, State.IN_PROGRESS),
        ],
    )
    def test_state_follows_from_replies_and_reports(self, values: dict[str, Any], expected: State) -> None:
        assert state_of(appointment(**values)) is expected


class TestAppointmentRow:
    def test_details_have_the_reason_for_discontinuation(self) -> None:
        performed = {"status": "DISCONTINUED", "discontinuation_reason": "Equipment failure (110501 DCM)"}
        one = appointment(**TAKEN, worklist_status="DISCONTINUED", performed=performed)
        assert AppointmentRow(one, state_of(one)).details == "Equipment failure (110501 DCM)"

    def test_details_have_the_number_of_images(self) -> None:
        performed = {"status": "COMPLETED", "images": 4, "station_ae_title": "MAMMO1"}
        one = appointment(**TAKEN, worklist_status="COMPLETED", performed=performed)
        assert AppointmentRow(one, state_of(one)).details == "4 images at MAMMO1"

    def test_an_nhs_number_is_in_groups(self) -> None:
        assert AppointmentRow(appointment(), State.SENT).nhs_number == "999 000 0026"


class TestParticipants:
    def test_their_nhs_numbers_are_valid_and_reserved_for_tests(self) -> None:
        for one in PARTICIPANTS:
            weighed = sum(int(digit) * (10 - place) for place, digit in enumerate(one.nhs_number[:9]))
            assert (one.nhs_number[:3], int(one.nhs_number[9])) == ("999", (11 - weighed % 11) % 11)

    @pytest.mark.django_db(transaction=True)
    def test_todays_appointments_are_created_once(self) -> None:
        first = appointments_of_today()
        assert first == appointments_of_today()
        assert len(first) == len(PARTICIPANTS)
        assert appointment_of("O'BRIEN-ŁUKASZ").accession_number.startswith("ACC")
