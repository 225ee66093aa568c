"""The commands `follow_action` and `status`."""

import signal

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from relay.models import ReceivedAction
from tests.dashboard.conftest import NAME, NHS_NUMBER, send_twice
from tests.dashboard.records import (
    configure_modality,
    deliver,
    item_of_today,
    record_query,
    run_all_daemons,
    wrong_patient_exception,
)
from tests.processes import Start

pytestmark = pytest.mark.once

Printed = pytest.CaptureFixture[str]


@pytest.mark.django_db
class TestFollowAction:
    @pytest.mark.parametrize("by", ["action_id", "correlation_id", "id", "accession_number"])
    def test_finds_an_action_by_every_identifier(self, imaged: ReceivedAction, capsys: Printed, by: str) -> None:
        call_command("follow_action", str(getattr(imaged, by)))
        printed = capsys.readouterr().out
        assert "Item ACC1: COMPLETED" in printed
        assert "First shown to MAMMO1" in printed
        assert NHS_NUMBER not in printed

    def test_finds_an_action_by_the_correlation_id_of_a_resend(self, imaged: ReceivedAction, capsys: Printed) -> None:
        call_command("follow_action", imaged.resends.get().correlation_id)
        assert str(imaged.action_id) in capsys.readouterr().out

    def test_says_when_there_is_no_item(self, capsys: Printed) -> None:
        action = send_twice(participant__birth_date="nonsense")
        call_command("follow_action", str(action.action_id))
        assert "Item ACC1: not found" in capsys.readouterr().out

    def test_says_when_nothing_has_this_identifier(self) -> None:
        with pytest.raises(CommandError, match="No action and no item has the ID a-b-c"):
            call_command("follow_action", "a-b-c")


@pytest.mark.django_db
class TestStatus:
    def test_exits_with_0_when_all_works_and_prints_no_names(self, capsys: Printed) -> None:
        run_all_daemons()
        configure_modality(room="Room 1")
        deliver(item_of_today(station_ae_title="MAMMO1", patient_name=NAME, patient_id=NHS_NUMBER))
        call_command("status")
        printed = capsys.readouterr().out
        assert "● OK  Connection to Manage: Connected" in printed
        assert "Room 1" in printed
        assert [secret for secret in ("SECRETARY", NHS_NUMBER) if secret in printed] == []

    def test_exits_with_1_on_a_problem_and_says_what_to_do(self, capsys: Printed) -> None:
        run_all_daemons()
        wrong_patient_exception()
        with pytest.raises(SystemExit) as end:
            call_command("status")
        assert end.value.code == 1
        printed = capsys.readouterr().out
        assert printed.startswith("■ Problem Screening gateway")
        assert "Stop work at that machine" in printed

    def test_a_machine_that_is_not_configured_is_a_warning(self, capsys: Printed) -> None:
        run_all_daemons()
        record_query("STRANGER", timezone.now())
        call_command("status")
        assert "▲ Warning Not configured" in capsys.readouterr().out

    def test_markup_in_a_room_is_text(self, capsys: Printed) -> None:
        run_all_daemons()
        configure_modality(room="[red]Room[/]")
        call_command("status")
        assert "[red]Room[/]" in capsys.readouterr().out


@pytest.mark.django_db(transaction=True)
class TestWatch:
    def test_refreshes_until_it_is_stopped(self, start: Start) -> None:
        watching = start("status", "--watch")
        for _ in range(2):
            watching.wait_for("Screening gateway")
        assert watching.stop(signal.SIGINT) == 0
