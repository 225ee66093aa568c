"""The clinic's page, without a gateway and with a running one."""

from datetime import timedelta

import pytest
from django.utils import timezone

from nonprod.main_job import lose_next_reply
from nonprod.models import Appointment, Reading
from nonprod.pages.appointments import PARTICIPANTS, State, state_of
from nonprod.pages.gateway import send_to_modality
from relay.models import ReceivedAction
from tests.nonprod.pages.conftest import CLINIC, Browser, action_id, appointment_of
from tests.system.conftest import Gateway
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.mark.usefixtures("gateway_stopped")
class TestWithoutAGateway:
    def test_each_appointment_has_a_row_and_a_button(self, browser: Browser) -> None:
        text = browser.clinic()
        assert text.count("Send to modality") == len(PARTICIPANTS)
        assert "O&#x27;BRIEN-ŁUKASZ, ZOË" in text
        assert "999 000 0018" in text

    def test_a_failed_action_shows_the_reason(self, browser: Browser) -> None:
        text = browser.press(f"clinic/{self.pk(browser)}/send")
        assert "Failed" in text
        assert "Send again" in text
        assert appointment_of("SMITH").problem in text
        assert "sending to 127.0.0.1" in text

    def test_an_unanswered_action_is_sent_again_with_new_ids_for_the_same_appointment(self, browser: Browser) -> None:
        pk = self.pk(browser)
        browser.press(f"clinic/{pk}/send")
        first = appointment_of("SMITH")
        browser.press(f"clinic/{pk}/send")
        again = appointment_of("SMITH")
        assert first.action
        assert again.action
        assert action_id(again) != action_id(first)
        assert again.accession_number != first.accession_number
        assert again.action["source_reference"] == first.action["source_reference"]

    def test_did_not_attend_needs_no_gateway_if_nothing_was_sent(self, browser: Browser) -> None:
        assert "Did not attend" in browser.press(f"clinic/{self.pk(browser)}/absent")
        assert state_of(appointment_of("SMITH")) is State.DID_NOT_ATTEND

    def test_did_not_attend_needs_the_gateway_if_an_action_was_sent(self, browser: Browser) -> None:
        pk = self.pk(browser)
        browser.press(f"clinic/{pk}/send")
        browser.press(f"clinic/{pk}/absent")
        assert state_of(appointment_of("SMITH")) is State.FAILED

    def test_a_silent_gateway_is_shown_only_if_news_is_expected(self, browser: Browser) -> None:
        assert "is not responding" not in browser.clinic()
        Appointment.objects.filter(pk=self.pk(browser)).update(action={}, reply={"status": "created"})
        assert "The gateway is not responding" in browser.clinic()

    def test_start_again_creates_a_list_with_nothing_sent(self, browser: Browser) -> None:
        pk = self.pk(browser)
        browser.press(f"clinic/{pk}/send")
        assert "Failed" not in browser.press("clinic/again")
        assert not Appointment.objects.filter(pk=pk).exists()
        assert Appointment.objects.count() == len(PARTICIPANTS)

    def test_an_unknown_appointment_is_404(self, browser: Browser) -> None:
        assert browser.client.get(f"{CLINIC}/999999").status_code == 404

    def pk(self, browser: Browser) -> int:
        browser.clinic()
        return int(appointment_of("SMITH").pk)


class TestWithAGateway:
    def test_an_accepted_action_is_confirmed_and_on_the_worklist(self, browser: Browser, running: Gateway) -> None:
        appointment = appointment_of("O'BRIEN")
        assert "Confirmed" in browser.press(f"clinic/{appointment.pk}/send")
        item = WorklistItem.objects.get(accession_number=appointment.accession_number)
        assert (item.patient_name, item.patient_id) == ("O'BRIEN-ŁUKASZ^ZOË", "9990000018")
        assert (item.scheduled_date, item.scheduled_time) == (appointment.date, appointment.time)
        assert item.station_ae_title == "MAMMO1"

    def test_a_refused_action_shows_the_gateways_words(self, browser: Browser, running: Gateway) -> None:
        text = browser.press(f"clinic/{appointment_of('FEATHERSTONE').pk}/send")
        assert "invalid_action: parameters.worklist_item.participant.birth_date: &#x27;20700321&#x27;" in text
        first = action_id(appointment_of("FEATHERSTONE"))
        browser.press(f"clinic/{appointment_of('FEATHERSTONE').pk}/send")
        assert action_id(appointment_of("FEATHERSTONE")) != first  # the refusal of the first is final

    def test_sent_again_after_a_lost_reply_she_is_on_the_list_once(self, browser: Browser, running: Gateway) -> None:
        pk = appointment_of("SMITH").pk
        lose_next_reply()
        assert "Send again" in browser.press(f"clinic/{pk}/send")
        first = WorklistItem.objects.get()
        assert "Confirmed" in browser.press(f"clinic/{pk}/send")
        appointment = appointment_of("SMITH")
        assert appointment.reply
        assert appointment.reply["supersedes"] == [first.accession_number]
        assert WorklistItem.objects.get(status="SCHEDULED").accession_number == appointment.accession_number
        browser.clinic()
        assert state_of(appointment_of("SMITH")) is State.CONFIRMED  # whatever became of the first item

    def test_sending_from_a_second_tab_does_no_harm(self, browser: Browser, running: Gateway) -> None:
        one, other = appointment_of("SMITH"), appointment_of("SMITH")
        send_to_modality(one)
        send_to_modality(other)
        assert state_of(appointment_of("SMITH")) is State.CONFIRMED
        assert WorklistItem.objects.count() == 1

    def test_did_not_attend_discontinues_the_item(self, browser: Browser, running: Gateway) -> None:
        pk = appointment_of("SMITH").pk
        browser.press(f"clinic/{pk}/send")
        assert "Did not attend" in browser.press(f"clinic/{pk}/absent")
        assert WorklistItem.objects.get().status == "DISCONTINUED"
        browser.clinic()
        assert state_of(appointment_of("SMITH")) is State.DID_NOT_ATTEND

    def test_did_not_attend_is_ignored_after_the_start(self, browser: Browser, running: Gateway) -> None:
        pk = appointment_of("SMITH").pk
        browser.press(f"clinic/{pk}/send")
        Appointment.objects.filter(pk=pk).update(worklist_status="IN PROGRESS")
        browser.press(f"clinic/{pk}/absent")
        assert state_of(appointment_of("SMITH")) is State.IN_PROGRESS

    def test_the_action_and_reply_are_shown_as_json(self, browser: Browser, running: Gateway) -> None:
        appointment = appointment_of("O'BRIEN")
        browser.press(f"clinic/{appointment.pk}/send")
        text = browser.client.get(f"{CLINIC}/{appointment.pk}").content.decode()
        assert "worklist.create_item" in text
        assert "&quot;status&quot;: &quot;created&quot;" in text
        assert action_id(appointment_of("O'BRIEN")) == ReceivedAction.objects.get().action_id
        assert action_id(appointment_of("O'BRIEN")) in text

    def test_many_requests_poll_the_gateway_once(self, browser: Browser, running: Gateway) -> None:
        browser.press(f"clinic/{appointment_of('SMITH').pk}/send")
        browser.clinic()
        Reading.objects.update(asked_at=timezone.now() + timedelta(hours=1))  # just now, however slow the requests are
        log = running.processes["run_relay_listener"].lines
        polls = [line for line in log if "action answered" in line and "changes_since" in line]
        for _ in range(20):
            assert browser.client.get(f"{CLINIC}/list").status_code == 200
        assert [line for line in log if "action answered" in line and "changes_since" in line] == polls

    def test_an_unknown_cursor_is_dropped(self, browser: Browser, running: Gateway) -> None:
        browser.press(f"clinic/{appointment_of('SMITH').pk}/send")
        browser.clinic()
        Reading.objects.update(cursor="bm9uc2Vuc2U=")
        assert "parameters.cursor" in browser.clinic()
        assert "parameters.cursor" not in browser.clinic()

    def test_start_again_discontinues_waiting_items(self, browser: Browser, running: Gateway) -> None:
        browser.press(f"clinic/{appointment_of('SMITH').pk}/send")
        browser.press("clinic/again")
        assert WorklistItem.objects.get().status == "DISCONTINUED"
