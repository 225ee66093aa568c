"""From the clinic to the machine and back, over the pages, the relay and DICOM."""

import pytest

from nonprod.pages.appointments import State, state_of
from tests.nonprod.pages.conftest import Browser, woman
from tests.system.conftest import Gateway

pytestmark = pytest.mark.django_db(transaction=True)


class TestJourney:
    def state(self, browser: Browser, name: str) -> State:
        """As the clinic sees it, once it has looked."""
        browser.clinic()
        return state_of(woman(name))

    def test_a_woman_is_sent_imaged_and_done(self, browser: Browser, running: Gateway) -> None:
        assert self.state(browser, "O'BRIEN") is State.NOT_SENT
        browser.press(f"clinic/{woman('O').pk}/send")
        assert self.state(browser, "O'BRIEN") is State.CONFIRMED
        assert "O&#x27;BRIEN-ŁUKASZ, ZOË" in browser.modality(unit="MAMMO1", ask="scanner")
        number = woman("O'BRIEN").accession_number
        browser.press("modality/start", unit="MAMMO1", accession_number=number)
        assert self.state(browser, "O'BRIEN") is State.IN_PROGRESS
        browser.press("modality/finish", unit="MAMMO1")
        assert self.state(browser, "O'BRIEN") is State.DONE
        assert "4 images at MAMMO1" in browser.clinic()
        assert "0 on the list" in browser.modality(unit="MAMMO1", ask="accession", text=number)

    def test_why_the_machine_broke_off_comes_back(self, browser: Browser, running: Gateway) -> None:
        browser.press(f"clinic/{woman('SMITH').pk}/send")
        browser.press("modality/start", unit="MAMMO1", accession_number=woman("SMITH").accession_number)
        browser.press("modality/discontinue", unit="MAMMO1", reason="110501")
        assert self.state(browser, "SMITH") is State.STOPPED
        assert "Equipment failure" in browser.clinic()
