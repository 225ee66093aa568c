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

from core.models import AuditLog
from relay.models import ReceivedAction
from tests.factories import payload
from tests.processes import database_url
from worklist.models import WorklistItem


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


@pytest.mark.django_db(transaction=True)
class TestStandardOutput:
    def test_contains_the_replies_and_nothing_else(self, tmp_path: Path) -> None:
        file = file_with(tmp_path, json.dumps([payload(), payload()]))
        environment = {**os.environ, "DATABASE_URL": database_url(), "LOG_LEVEL": "DEBUG"}
        command = [sys.executable, "manage.py", "execute_actions", str(file)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["created", "created"]
        assert "action answered" in done.stderr
