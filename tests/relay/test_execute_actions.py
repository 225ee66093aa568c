"""The execute_actions command executes the actions in a file."""

import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection

from core.contract import GatewayAction, Reply
from core.models import AuditLog
from relay.configuration import configured_dispatcher
from relay.dispatcher import TOGETHER, Dispatcher
from relay.models import ReceivedAction, Resend
from tests.factories import payload
from tests.processes import KILL, database_url, processes
from worklist.models import WorklistItem
from worklist.services.create_worklist_item import create_worklist_item


def execute(path: Path) -> tuple[list[dict[str, Any]], str]:
    """Run the command, and return the replies and the error message (empty if none)."""
    output, message = StringIO(), ""
    try:
        call_command("execute_actions", str(path), stdout=output)
    except CommandError as error:
        message = str(error)
    return [json.loads(line) for line in output.getvalue().splitlines()], message


def file_with(folder: Path, content: str | bytes) -> Path:
    """Write a file of actions into the folder."""
    path = folder / "actions.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.once
@pytest.mark.django_db
class TestExecuteActions:
    def test_each_action_is_executed_and_answered_on_its_own_line(self, tmp_path: Path) -> None:
        actions = [payload(), payload(), {"action_type": "echo"}]
        replies, message = execute(file_with(tmp_path, json.dumps(actions)))
        assert [reply["status"] for reply in replies] == ["created", "created", "echo"]
        assert message == ""
        assert WorklistItem.objects.count() == 2

    def test_a_file_can_be_executed_again_without_further_effects(self, tmp_path: Path) -> None:
        file = file_with(tmp_path, json.dumps([payload(), payload()]))
        assert execute(file) == execute(file)
        assert (WorklistItem.objects.count(), AuditLog.objects.count()) == (2, 2)

    def test_an_action_that_fails_is_counted_and_does_not_stop_the_others(self, tmp_path: Path) -> None:
        file = file_with(tmp_path, json.dumps([payload(), {"action_type": "nonsense"}, 5, payload()]))
        replies, message = execute(file)
        assert [reply.get("code", "fine") for reply in replies] == [
            "fine",
            "unsupported_action",
            "invalid_json",
            "fine",
        ]
        assert message == "2 of 4 actions failed"

    def test_the_row_names_the_file_and_the_position_in_it(self, tmp_path: Path) -> None:
        execute(file_with(tmp_path, json.dumps([{"action_type": "echo"}, payload()])))
        assert ReceivedAction.objects.get().connection == "file:actions.json#2"

    def test_the_payload_is_stored_as_written_in_the_file(self, tmp_path: Path) -> None:
        member = '{ "action_id":"1", "action_type" : "x", "n": 1.50 }'
        execute(file_with(tmp_path, f"\n[ {member} ,{member}]\n"))
        assert ReceivedAction.objects.get().payload == member

    @pytest.mark.parametrize(
        ("content", "fault"),
        [
            (b"\xff", "is not UTF-8"),
            ("[1,", "is not JSON"),
            ('{"name": "SMITH"}', "does not contain a JSON list of actions"),
            ('[{"name": SMITH}]', "is not JSON"),
            ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
            ("[" + "9" * 5000 + "]", "number"),
        ],
    )
    def test_the_message_explains_why_a_file_is_not_a_list_and_does_not_quote_it(
        self, tmp_path: Path, content: str | bytes, fault: str
    ) -> None:
        replies, message = execute(file_with(tmp_path, content))
        assert replies == []
        assert fault in message
        assert "SMITH" not in message

    def test_a_byte_order_mark_is_ignored(self, tmp_path: Path) -> None:
        replies, _ = execute(file_with(tmp_path, b"\xef\xbb\xbf" + json.dumps([payload()]).encode()))
        assert replies[0]["status"] == "created"

    def test_a_missing_file_is_reported(self, tmp_path: Path) -> None:
        assert "No such file" in execute(tmp_path / "missing.json")[1]


@pytest.mark.once
@pytest.mark.django_db(transaction=True)
class TestStandardOutput:
    def test_contains_the_replies_and_nothing_else(self, tmp_path: Path) -> None:
        file = file_with(tmp_path, json.dumps([payload(), payload()]))
        environment = {**os.environ, "DATABASE_URL": database_url(), "LOG_LEVEL": "DEBUG"}
        command = [sys.executable, "manage.py", "execute_actions", str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["created", "created"]
        assert "action answered" in done.stderr


def replies_of(*actions: dict[str, Any]) -> list[dict[str, Any]]:
    """Execute actions in one file's way, and return the replies."""
    frames = [(json.dumps(action), f"file#{position}") for position, action in enumerate(actions, 1)]
    return [json.loads(answer.text) for answer in configured_dispatcher().answer_all(frames)]


def many(count: int) -> list[dict[str, Any]]:
    """Return actions whose accession numbers certainly differ; random ones sometimes do not."""
    return [payload(accession_number=f"MANY{number}") for number in range(count)]


def of_appointment(appointment: str, **changes: Any) -> dict[str, Any]:
    return {**payload(**changes), "source_reference": {"appointment_id": appointment}}


def stored_at_each_answer(*actions: dict[str, Any]) -> list[int]:
    """Execute actions in one file's way; return for each how many were stored when it was answered."""
    frames = [(json.dumps(action), "file") for action in actions]
    return [ReceivedAction.objects.count() for _ in configured_dispatcher().answer_all(frames)]


@pytest.mark.django_db(transaction=True)
class TestTogether:
    def test_many_actions_are_committed_at_once(self) -> None:
        actions = many(TOGETHER + 1)
        assert stored_at_each_answer(*actions) == [*[TOGETHER] * TOGETHER, TOGETHER + 1]

    def test_the_same_action_twice_is_executed_once_and_both_get_the_same_reply(self) -> None:
        action = payload()
        first, again, reused = replies_of(action, action, {**payload(), "action_id": action["action_id"]})
        assert first == again
        assert reused["code"] == "action_id_reused"
        assert (WorklistItem.objects.count(), Resend.objects.count()) == (1, 2)

    def test_the_same_accession_number_twice_exists_or_conflicts(self) -> None:
        action = payload()
        same = {**action, "action_id": "another"}
        other = payload(accession_number=number_of(action), participant__nhs_number="9990000026")
        replies = replies_of(action, same, other, payload())
        assert [reply.get("code", reply["status"]) for reply in replies] == [
            "created",
            "exists",
            "accession_conflict",
            "created",
        ]
        assert ReceivedAction.objects.filter(is_final=True).count() == 4

    def test_of_one_appointment_each_supersedes_the_one_before(self) -> None:
        actions = [of_appointment("1"), payload(), of_appointment("1"), of_appointment("1")]
        replies = replies_of(*actions)
        numbers = [number_of(action) for action in actions]
        assert [reply.get("supersedes") for reply in replies] == [None, None, [numbers[0]], [numbers[2]]]
        assert set(WorklistItem.objects.open().values_list("accession_number", flat=True)) == {numbers[1], numbers[3]}

    def test_what_takes_the_outboxs_lock_is_committed_before_the_next(self) -> None:
        """Others wait for that lock while they hold locks that the next action may need."""
        item = payload()
        status = {"worklist_item": {"accession_number": number_of(item), "status": "ARRIVED"}}
        arrived = {"action_id": "2", "action_type": "worklist.update_status", "parameters": status}
        assert stored_at_each_answer(item, arrived, payload(), payload()) == [2, 2, 4, 4]

    def test_one_that_fails_for_the_gateways_fault_costs_the_others_nothing(self) -> None:
        def fail_for_two(action: GatewayAction) -> Reply:
            reply = create_worklist_item(action)
            if action.action_id == "2":
                raise RuntimeError
            return reply

        dispatcher = Dispatcher({"worklist.create_item": fail_for_two}, {})
        frames = [(json.dumps({**payload(), "action_id": str(number)}), "file") for number in range(5)]
        outcomes = [answer.outcome for answer in dispatcher.answer_all(frames)]
        assert outcomes == ["created", "created", "internal_error", "created", "created"]
        assert WorklistItem.objects.count() == 4
        assert list(ReceivedAction.objects.filter(is_final=False).values_list("action_id", flat=True)) == ["2"]

    def test_a_database_that_fails_at_one_action_costs_the_others_nothing(self) -> None:
        def fail_for_two(action: GatewayAction) -> Reply:
            if action.action_id == "2":
                raise OperationalError
            return create_worklist_item(action)

        dispatcher = Dispatcher({"worklist.create_item": fail_for_two}, {})
        frames = [(json.dumps({**payload(), "action_id": str(number)}), "file") for number in range(5)]
        outcomes = [answer.outcome for answer in dispatcher.answer_all(frames)]
        assert outcomes == ["created", "created", "temporarily_unavailable", "created", "created"]
        assert (WorklistItem.objects.count(), ReceivedAction.objects.count()) == (4, 4)

    def test_no_answer_is_given_before_its_commit(self) -> None:
        for _ in configured_dispatcher().answer_all([(json.dumps(payload()), "file") for _ in range(3)]):
            assert not connection.in_atomic_block
            assert ReceivedAction.objects.count() == 3

    def test_two_runs_of_one_file_at_once_give_the_same_replies(self, tmp_path: Path) -> None:
        file = file_with(tmp_path, json.dumps(many(3 * TOGETHER)))
        with processes() as start:
            runs = [start("execute_actions", str(file)) for _ in range(2)]
            assert [run.exit_status() for run in runs] == [0, 0]
        first, second = ([line for line in run.lines if line.startswith('{"status"')] for run in runs)
        assert first == second
        assert len(first) == WorklistItem.objects.count() == AuditLog.objects.count() == 3 * TOGETHER

    def test_a_run_that_is_killed_has_stored_what_it_answered_and_can_be_repeated(self, tmp_path: Path) -> None:
        actions = many(8 * TOGETHER)
        file = file_with(tmp_path, json.dumps(actions))
        with processes() as start:
            run = start("execute_actions", str(file))
            run.wait_for('{"status"')
            run.stop(KILL)
        answered = {json.loads(line)["action_id"] for line in run.lines if line.startswith('{"status"')}
        stored = set(ReceivedAction.objects.values_list("action_id", flat=True))
        assert answered <= stored
        assert WorklistItem.objects.count() == len(stored)
        assert execute(file)[1] == ""
        assert WorklistItem.objects.count() == len(actions)


def number_of(action: dict[str, Any]) -> str:
    return str(action["parameters"]["worklist_item"]["accession_number"])
