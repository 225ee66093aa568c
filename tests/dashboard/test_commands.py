"""`status` and `follow_action`, as support calls them; and the timeline, which the item's page tells, too."""

import json
import signal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import Client
from django.utils import timezone

from dashboard.timeline import timeline_of, timeline_of_action
from gateway_project.actions import ACTIONS, PROBES
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction
from tests.dashboard.gatherings import everything_runs, item_of_today, machine, query, show, wrong_patient
from tests.factories import payload
from tests.processes import Start
from tests.worklist.performed_step.reports import create_step, final_change, scheduled_step, set_step
from worklist.models import Delivery, MppsException, WorklistItem

Printed = pytest.CaptureFixture[str]
NAME, NUMBER = "SECRETARY^ZOË", "9990123456"


def send(**changes: str) -> ReceivedAction:
    """An action of Manage's, through the dispatcher: twice, as its reply is lost the first time."""
    person = {"participant__name": NAME, "participant__nhs_number": NUMBER, "accession_number": "ACC1"}
    action = json.dumps(payload(**{**person, **changes}))
    for _ in range(2):
        Dispatcher(ACTIONS, PROBES).dispatch(action, "test#1")
    return ReceivedAction.objects.order_by("received_at").last()  # type: ignore[return-value]


@pytest.fixture
def imaged(db: None) -> ReceivedAction:
    """An action whose woman was shown to a machine and imaged there."""
    action = send()
    item = WorklistItem.objects.get()
    for _ in range(2):
        Delivery.objects.add([item.pk], "MAMMO1", timezone.now())
    create_step("2.25.1", scheduled_step(item), PatientID=NUMBER)
    set_step("2.25.1", final_change())
    return action


def words_of(action: ReceivedAction) -> list[str]:
    """What is told of it, in order."""
    return [entry.words for entry in timeline_of_action(action)]


@pytest.mark.django_db
class TestTimeline:
    def test_tells_the_whole_way_in_order(self, imaged: ReceivedAction) -> None:
        told = iter(words_of(imaged))
        for beginning in (
            f"worklist.create_item came from manage-breast-screening: {imaged.action_id}",
            "Item made by relay:manage-breast-screening",
            "worklist.create_item came again: the first reply again",
            "First shown to MAMMO1",
            "Last shown to MAMMO1, 2 times in all",
            "MPPS started at MAMMO1, 14:31:07 by its clock",
            "Item changed by modality:MAMMO1: status SCHEDULED → IN PROGRESS",
            "MPPS COMPLETED at MAMMO1, 14:36:40 by its clock, 4 images",
            "Item changed by modality:MAMMO1: status IN PROGRESS → COMPLETED",
        ):
            assert any(words.startswith(beginning) for words in told), (beginning, words_of(imaged))

    def test_what_manage_is_told_is_in_it(self, imaged: ReceivedAction) -> None:
        changes = [words.split(": ", 1)[1] for words in words_of(imaged) if words.startswith("Change ")]
        assert changes == ["IN PROGRESS, MPPS IN PROGRESS", "COMPLETED, MPPS COMPLETED"]

    def test_of_an_action_that_was_refused_it_has_what_came_and_what_was_answered(self) -> None:
        action = send(participant__birth_date="nonsense")
        came, answered, again = words_of(action)
        assert came.startswith("worklist.create_item came from")
        assert answered.startswith("worklist.create_item answered: invalid_action")
        assert again.startswith("worklist.create_item came again")

    def test_of_a_step_that_is_another_womans_it_has_the_exception(self, imaged: ReceivedAction) -> None:
        item = WorklistItem.objects.get()
        create_step("2.25.2", scheduled_step(item), PatientID="9990000018")
        exception = MppsException.objects.get(reason="wrong_patient")
        assert any("Wrong patient" in entry.words and str(exception.pk) in entry.link for entry in timeline_of(item))

    def test_nobody_is_in_it(self, imaged: ReceivedAction) -> None:
        told = " ".join(words_of(imaged))
        assert [secret for secret in ("SECRETARY", "ZOË", NUMBER) if secret in told] == []

    def test_every_link_leads_to_a_page(self, imaged: ReceivedAction, admin_client: Client) -> None:
        wrong_patient("ACC1")
        links = {entry.link for entry in timeline_of_action(imaged)}
        assert {link: admin_client.get(link).status_code for link in links} == dict.fromkeys(links, 200)


@pytest.mark.django_db
class TestFollowAction:
    @pytest.mark.parametrize("by", ["action_id", "correlation_id", "id", "accession_number"])
    def test_finds_it_by_every_id_that_people_have(self, imaged: ReceivedAction, capsys: Printed, by: str) -> None:
        call_command("follow_action", str(getattr(imaged, by)))
        printed = capsys.readouterr().out
        assert "Item ACC1: COMPLETED" in printed
        assert "First shown to MAMMO1" in printed
        assert NUMBER not in printed

    def test_finds_it_by_the_correlation_id_of_a_resend(self, imaged: ReceivedAction, capsys: Printed) -> None:
        call_command("follow_action", imaged.resends.get().correlation_id)
        assert str(imaged.action_id) in capsys.readouterr().out

    def test_says_that_there_is_no_item(self, capsys: Printed) -> None:
        action = send(participant__birth_date="nonsense")
        call_command("follow_action", str(action.action_id))
        assert "Item ACC1: there is none" in capsys.readouterr().out

    def test_says_that_nothing_has_this_id(self) -> None:
        with pytest.raises(CommandError, match="Nothing that came, and no item, has the id a-b-c"):
            call_command("follow_action", "a-b-c")


@pytest.mark.django_db
class TestStatus:
    def test_all_is_well_with_0_and_without_names(self, capsys: Printed) -> None:
        everything_runs()
        machine(room="Room 1")
        show(item_of_today(station_ae_title="MAMMO1", patient_name=NAME, patient_id=NUMBER))
        call_command("status")
        printed = capsys.readouterr().out
        assert "● OK  Connection to Manage: Connected" in printed
        assert "Room 1" in printed
        assert [secret for secret in ("SECRETARY", NUMBER) if secret in printed] == []

    def test_a_problem_is_1_and_says_what_to_do(self, capsys: Printed) -> None:
        everything_runs()
        wrong_patient()
        with pytest.raises(SystemExit) as end:
            call_command("status")
        assert end.value.code == 1
        printed = capsys.readouterr().out
        assert printed.startswith("■ Problem Screening gateway")
        assert "Stop at that machine" in printed

    def test_a_machine_that_nobody_has_configured_is_a_warning_as_on_the_page(self, capsys: Printed) -> None:
        everything_runs()
        query("STRANGER", timezone.now())
        call_command("status")
        assert "▲ Warning Nobody has configured it" in capsys.readouterr().out

    def test_markup_in_a_room_is_text(self, capsys: Printed) -> None:
        everything_runs()
        machine(room="[red]Room[/]")
        call_command("status")
        assert "[red]Room[/]" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
class TestWatch:
    def test_looks_again_until_it_is_told_to_stop(self, start: Start) -> None:
        watching = start("status", "--watch")
        for _ in range(2):
            watching.wait_for("Screening gateway")
        assert watching.stop(signal.SIGINT) == 0
