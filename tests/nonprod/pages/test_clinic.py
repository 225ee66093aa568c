"""The clinic's page: where nobody answers, and over a gateway that runs."""

from datetime import timedelta

import pytest
from django.utils import timezone

from nonprod.models import Appointment, Reading
from nonprod.pages.appointments import WOMEN, State, state_of
from nonprod.pages.messages import send_to_modality
from relay.models import ReceivedAction
from tests.nonprod.pages.conftest import CLINIC, Browser, action_id, woman
from tests.system.conftest import Gateway
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.usefixtures("nobody_there")
class TestWithoutAGateway:
    def test_each_woman_has_her_line_and_her_button(self, browser: Browser) -> None:
        text = browser.clinic()
        assert text.count("Send to modality") == len(WOMEN)
        assert "O&#x27;BRIEN-ŁUKASZ, ZOË" in text
        assert "999 000 0018" in text

    def test_what_cannot_be_sent_has_failed_and_says_why(self, browser: Browser) -> None:
        text = browser.press(f"clinic/{self.pk(browser)}/send")
        assert "Failed" in text
        assert "Send again" in text
        assert woman("SMITH").problem in text
        assert "sending to 127.0.0.1" in text

    def test_what_was_not_answered_is_sent_again_as_the_same_action(self, browser: Browser) -> None:
        pk = self.pk(browser)
        browser.press(f"clinic/{pk}/send")
        first = woman("SMITH").action
        browser.press(f"clinic/{pk}/send")
        assert woman("SMITH").action == first is not None

    def test_one_who_was_never_sent_needs_no_gateway_to_be_absent(self, browser: Browser) -> None:
        assert "Did not attend" in browser.press(f"clinic/{self.pk(browser)}/absent")
        assert state_of(woman("SMITH")) is State.DID_NOT_ATTEND

    def test_of_one_who_may_have_been_sent_the_gateway_must_hear(self, browser: Browser) -> None:
        pk = self.pk(browser)
        browser.press(f"clinic/{pk}/send")
        browser.press(f"clinic/{pk}/absent")
        assert state_of(woman("SMITH")) is State.FAILED

    def test_a_gateway_that_does_not_answer_is_told_where_something_is_awaited(self, browser: Browser) -> None:
        assert "does not answer" not in browser.clinic()
        Appointment.objects.filter(pk=self.pk(browser)).update(action={}, reply={"status": "created"})
        assert "The gateway does not answer" in browser.clinic()

    def test_to_begin_again_makes_a_list_on_which_nobody_was_sent(self, browser: Browser) -> None:
        pk = self.pk(browser)
        browser.press(f"clinic/{pk}/send")
        assert "Failed" not in browser.press("clinic/again")
        assert not Appointment.objects.filter(pk=pk).exists()
        assert Appointment.objects.count() == len(WOMEN)

    def test_one_who_is_not_there_is_404(self, browser: Browser) -> None:
        assert browser.client.get(f"{CLINIC}/999999").status_code == 404

    def pk(self, browser: Browser) -> int:
        """Her key, on a list that somebody has looked at."""
        browser.clinic()
        return int(woman("SMITH").pk)


class TestWithAGateway:
    def test_what_is_taken_is_confirmed_and_stands_on_the_worklist(self, browser: Browser, running: Gateway) -> None:
        appointment = woman("O'BRIEN")
        assert "Confirmed" in browser.press(f"clinic/{appointment.pk}/send")
        item = WorklistItem.objects.get(accession_number=appointment.accession_number)
        assert (item.patient_name, item.patient_id) == ("O'BRIEN-ŁUKASZ^ZOË", "9990000018")
        assert (item.scheduled_date, item.scheduled_time) == (appointment.date, appointment.time)
        assert item.station_ae_title == "MAMMO1"

    def test_what_is_refused_has_failed_in_the_gateways_words(self, browser: Browser, running: Gateway) -> None:
        text = browser.press(f"clinic/{woman('FEATHERSTONE').pk}/send")
        assert "invalid_action: parameters.worklist_item.participant.birth_date: &#x27;20700321&#x27;" in text
        first = action_id(woman("FEATHERSTONE"))
        browser.press(f"clinic/{woman('FEATHERSTONE').pk}/send")
        assert action_id(woman("FEATHERSTONE")) != first  # that one is refused for good

    def test_a_second_tab_that_sends_her_too_does_no_harm(self, browser: Browser, running: Gateway) -> None:
        one, other = woman("SMITH"), woman("SMITH")
        send_to_modality(one)
        send_to_modality(other)
        assert state_of(woman("SMITH")) is State.CONFIRMED
        assert WorklistItem.objects.count() == 1

    def test_one_who_did_not_attend_leaves_the_worklist(self, browser: Browser, running: Gateway) -> None:
        pk = woman("SMITH").pk
        browser.press(f"clinic/{pk}/send")
        assert "Did not attend" in browser.press(f"clinic/{pk}/absent")
        assert WorklistItem.objects.get().status == "DISCONTINUED"
        browser.clinic()
        assert state_of(woman("SMITH")) is State.DID_NOT_ATTEND

    def test_one_whom_the_machine_has_begun_cannot_be_absent(self, browser: Browser, running: Gateway) -> None:
        pk = woman("SMITH").pk
        browser.press(f"clinic/{pk}/send")
        Appointment.objects.filter(pk=pk).update(worklist_status="IN PROGRESS")
        browser.press(f"clinic/{pk}/absent")
        assert state_of(woman("SMITH")) is State.IN_PROGRESS

    def test_what_was_said_can_be_read_word_for_word(self, browser: Browser, running: Gateway) -> None:
        appointment = woman("O'BRIEN")
        browser.press(f"clinic/{appointment.pk}/send")
        text = browser.client.get(f"{CLINIC}/{appointment.pk}").content.decode()
        assert "worklist.create_item" in text
        assert "&quot;status&quot;: &quot;created&quot;" in text
        assert action_id(woman("O'BRIEN")) == ReceivedAction.objects.get().action_id
        assert action_id(woman("O'BRIEN")) in text

    def test_many_who_look_ask_the_gateway_once(self, browser: Browser, running: Gateway) -> None:
        browser.press(f"clinic/{woman('SMITH').pk}/send")
        browser.clinic()
        Reading.objects.update(asked_at=timezone.now() + timedelta(hours=1))  # however slowly they look, just now
        told = running.processes["run_relay_listener"].lines
        asked = [line for line in told if "action answered" in line and "changes_since" in line]
        for _ in range(20):
            assert browser.client.get(f"{CLINIC}/list").status_code == 200
        assert [line for line in told if "action answered" in line and "changes_since" in line] == asked

    def test_a_gateway_with_another_past_is_read_from_its_beginning(self, browser: Browser, running: Gateway) -> None:
        browser.press(f"clinic/{woman('SMITH').pk}/send")
        browser.clinic()
        Reading.objects.update(cursor="bm9uc2Vuc2U=")
        assert "parameters.cursor" in browser.clinic()
        assert "parameters.cursor" not in browser.clinic()

    def test_to_begin_again_takes_those_who_wait_off_the_worklist(self, browser: Browser, running: Gateway) -> None:
        browser.press(f"clinic/{woman('SMITH').pk}/send")
        browser.press("clinic/again")
        assert WorklistItem.objects.get().status == "DISCONTINUED"
