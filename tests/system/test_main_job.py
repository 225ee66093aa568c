"""From an action of Manage to the worklist of a modality, with real processes and DCMTK as the modality."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from nonprod.manage_emulator import item_status_action, poll, update_status_action
from nonprod.modality_emulator import ModalityEmulator, step_query
from relay.models import ReceivedAction
from tests.factories import payload
from tests.processes import processes
from tests.system.conftest import Gateway
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("findscu")]

PARTS = ("run_relay_emulator", "run_relay_listener", "run_mwl_scp")
STEP = "ScheduledProcedureStepSequence[0]"


def query(*keys: str) -> list[str]:
    """The query of a mammography unit: AE title, date, modality, name."""
    return [
        "SpecificCharacterSet=ISO_IR 192",
        "PatientName",
        "PatientID",
        "AccessionNumber",
        "StudyInstanceUID",
        f"{STEP}.ScheduledStationAETitle=MAMMO1",
        f"{STEP}.ScheduledProcedureStepStartDate=20261123",
        f"{STEP}.ScheduledProcedureStepStartTime",
        f"{STEP}.Modality=MG",
        *keys,
    ]


def scheduled() -> dict[str, object]:
    """An action for MAMMO1 on a day of its own."""
    changes = {"scheduled__date": "20261123", "scheduled__time": "1430", "scheduled__station_ae_title": "MAMMO1"}
    return payload(accession_number="ACC1", participant__name="O'BRIEN-ŁUKASZ^ZOË", **changes)


def summary(change: dict[str, Any]) -> tuple[str, str, int]:
    """Return the accession number, the status and the number of images of a change."""
    return change["accession_number"], change["worklist_status"], change["performed"]["images"]


@pytest.fixture(scope="class")
def running(django_db_setup: None) -> Iterator[Gateway]:
    """One gateway for all tests of a class, which leave it as it was."""
    with processes() as start:
        yield Gateway(start).run(*PARTS)


class TestMainJob:
    def test_what_manage_sends_a_modality_sees_by_an_independent_client(self, running: Gateway) -> None:
        assert running.reply(scheduled())["status"] == "created"
        shown = running.findscu(*query())
        assert "O'BRIEN-ŁUKASZ^ZOË" in shown
        assert "[ACC1]" in shown
        assert "[143000]" in shown

    def test_manage_learns_by_its_poll_what_the_machine_has_done(self, running: Gateway) -> None:
        running.reply(scheduled())
        machine = ModalityEmulator("127.0.0.1", running.mwl_port, settings.MWL_AE_TITLE)
        begun = machine.start(*machine.query(step_query("ACC1")))
        assert "ŁUKASZ" in running.findscu(*query())
        first = poll(lambda action: asyncio.run(running.send(action)))
        begun.complete()
        assert "ŁUKASZ" not in running.findscu(*query())
        second = poll(lambda action: asyncio.run(running.send(action)), first.cursor)
        assert [summary(change) for change in first.changes] == [("ACC1", "IN PROGRESS", 0)]
        assert [summary(change) for change in second.changes] == [("ACC1", "COMPLETED", 4)]
        assert running.reply(item_status_action("ACC1"))["performed"] == second.changes[0]["performed"]

    def test_the_cursor_of_a_reply_is_good_for_the_command(self, running: Gateway) -> None:
        running.reply(scheduled())
        running.reply(update_status_action("ACC1", "COMPLETED"))
        cursor = poll(lambda action: asyncio.run(running.send(action))).cursor
        arguments = ("--type", "worklist.changes_since", "--cursor")
        sent = running.start("send_gateway_action", *arguments, cursor, **running.environment)
        assert sent.exit_status() == 0
        assert json.loads(sent.output.splitlines()[-1])["changes"] == []
        assert running.start("send_gateway_action", *arguments, "x", **running.environment).exit_status() == 1

    def test_another_rooms_modality_does_not(self, running: Gateway) -> None:
        running.reply(scheduled())
        keys = [key.replace("MAMMO1", "MAMMO2") for key in query()]
        assert "ŁUKASZ" not in running.findscu(*keys, calling="MAMMO2")

    def test_one_who_did_not_attend_leaves_the_list(self, running: Gateway) -> None:
        running.reply(scheduled())
        item = {"accession_number": "ACC1", "status": "discontinued"}
        update = {"action_id": "u1", "action_type": "worklist.update_status", "parameters": {"worklist_item": item}}
        assert running.reply(update) == {"status": "updated", "accession_number": "ACC1", "action_id": "u1"}
        assert "ŁUKASZ" not in running.findscu(*query())


@pytest.mark.once
class TestProcesses:
    def test_manage_can_ask_whether_she_was_shown(self, gateway: Gateway) -> None:
        gateway.run(*PARTS)
        gateway.reply(scheduled())
        question = item_status_action("ACC1")
        assert gateway.reply(question)["first_shown"] is None
        gateway.findscu(*query())
        gateway.processes["run_mwl_scp"].stop()  # it writes what it has shown before it ends
        sent = gateway.start(
            "send_gateway_action", "--type", "worklist.item_status", "--accession", "ACC1", **gateway.environment
        )
        assert sent.exit_status() == 0
        answer = json.loads(sent.output.splitlines()[-1])
        assert answer["first_shown"]["to"] == answer["last_shown"]["to"] == "MAMMO1"
        assert answer["worklist_status"] == "SCHEDULED"

    def test_the_correlation_id_goes_from_the_accept_to_the_row_and_to_the_answer_that_shows_it(
        self, gateway: Gateway
    ) -> None:
        gateway.run(*PARTS)
        gateway.reply(scheduled())
        # By its type: the listener also answers the echoes that it sends itself.
        answered = gateway.processes["run_relay_listener"].wait_for_field("worklist.create_item", "correlation_id")
        gateway.findscu(*query())
        shown = gateway.processes["run_mwl_scp"].wait_for_field("worklist query ended", "shown")
        rows = (ReceivedAction.objects.get().correlation_id, WorklistItem.objects.get().correlation_id)
        assert {answered, shown, *rows} == {answered}
        # The listener also accepts rendezvous of its own, which test the way.
        accepted = gateway.processes["run_relay_listener"].output.splitlines()
        assert any("sender accepted" in line and answered in line for line in accepted)

    def test_health_tells_of_both_daemons(self, gateway: Gateway) -> None:
        gateway.run(*PARTS)
        # A heartbeat is written after the state that it tells of: asked again and again until both have been.
        replies = (gateway.reply({"action_type": "health", "action_id": "h1"}) for _ in range(100))
        assert next((reply for reply in replies if reply["health"]["healthy"]), None)
        server = gateway.processes["run_mwl_scp"]
        assert server.stop() == 0
        reply = gateway.reply({"action_type": "health"})
        assert reply["health"]["checks"]["mwl_scp"]["ok"] is False, (reply, server.output)


@pytest.mark.once
class TestStopping:
    @pytest.mark.parametrize("name", ["run_relay_emulator", "run_relay_listener", "run_mwl_scp", "run_web"])
    def test_every_part_ends_with_0_on_sigterm_and_says_nothing_bad(self, gateway: Gateway, name: str) -> None:
        parts = ["run_relay_emulator"] if name == "run_relay_listener" else []
        gateway.run(*parts, name)
        process = gateway.processes[name]
        assert process.stop() == 0
        assert "Traceback" not in process.output
        assert [line for line in process.lines if json.loads(line)["level"] in ("ERROR", "CRITICAL")] == []

    @pytest.mark.parametrize(
        ("name", "setting"),
        [("run_relay_emulator", "RELAY_EMULATOR_PORT"), ("run_mwl_scp", "MWL_PORT"), ("run_web", "WEB_PORT")],
    )
    def test_a_taken_port_is_one_sentence_with_the_port_and_the_setting_and_exit_2(
        self, gateway: Gateway, name: str, setting: str
    ) -> None:
        gateway.run(name)
        second = gateway.start(name, **gateway.environment)
        assert second.exit_status() == 2
        assert len(second.lines) == 1
        assert gateway.environment[setting] in second.output
        assert setting in second.output
