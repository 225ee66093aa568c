"""A patient's way from the clinic to the machine and back: pages, relay and DICOM."""

import pytest

from nonprod.pages.appointments import State, state_of
from tests.nonprod.pages.conftest import Browser, appointment_of
from tests.system.conftest import Gateway

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


class TestJourney:
    def state(self, browser: Browser, name: str) -> State:
        browser.clinic()
        return state_of(appointment_of(name))

    def test_an_appointment_is_sent_examined_and_done(self, browser: Browser, running: Gateway) -> None:
        assert self.state(browser, "O'BRIEN") is State.NOT_SENT
        browser.press(f"clinic/{appointment_of('O').pk}/send")
        assert self.state(browser, "O'BRIEN") is State.CONFIRMED
        assert "O&#x27;BRIEN-ŁUKASZ, ZOË" in browser.modality(unit="MAMMO1", ask="scanner")
        number = appointment_of("O'BRIEN").accession_number
        browser.press("modality/start", unit="MAMMO1", accession_number=number)
        assert self.state(browser, "O'BRIEN") is State.IN_PROGRESS
        browser.press("modality/finish", unit="MAMMO1")
        assert self.state(browser, "O'BRIEN") is State.DONE
        assert "4 images at MAMMO1" in browser.clinic()
        assert "0 on the list" in browser.modality(unit="MAMMO1", ask="accession", text=number)

    def test_the_reason_for_discontinuation_comes_back(self, browser: Browser, running: Gateway) -> None:
        browser.press(f"clinic/{appointment_of('SMITH').pk}/send")
        browser.press("modality/start", unit="MAMMO1", accession_number=appointment_of("SMITH").accession_number)
        browser.press("modality/discontinue", unit="MAMMO1", reason="110501")
        assert self.state(browser, "SMITH") is State.STOPPED
        assert "Equipment failure" in browser.clinic()
