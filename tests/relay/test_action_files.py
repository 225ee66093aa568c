"""A person checks the actions in a file, and then has them executed, once and only once."""

import json
import logging
import threading
from datetime import date
from typing import Any

import pytest
from django.db import connection

from core.models import AuditLog
from nonprod.manage_emulator import update_status_action
from relay.action_files import FileAction, check, execute, members
from relay.configuration import configured_dispatcher
from relay.models import ReceivedAction, Resend
from tests.factories import payload
from worklist.models import ItemChange, WorklistItem

pytestmark = [pytest.mark.django_db, pytest.mark.once]


def frames(*actions: Any) -> list[str]:
    """Return the text of each action."""
    return [json.dumps(action) for action in actions]


def checked(*actions: Any) -> list[FileAction]:
    """Check these actions."""
    return check(configured_dispatcher(), frames(*actions))


def executed(*actions: Any) -> list[FileAction]:
    """Execute these actions for Jane."""
    return execute(configured_dispatcher(), frames(*actions), "admin:jane")


def outcomes(lines: list[FileAction]) -> list[str]:
    """Return each outcome."""
    return [line.answer.outcome for line in lines]


class TestMembers:
    @pytest.mark.parametrize("text", ["[]", " [ ] ", '[1, "a,]", {"b": [2]}]', "[[],[[]]]", "[\n1\t,\r2 ]"])
    def test_yields_the_text_of_each_member_of_the_list(self, text: str) -> None:
        assert [json.loads(member) for member in members(text)] == json.loads(text)


class TestCheck:
    def test_changes_nothing(self) -> None:
        checked(
            payload(accession_number="ACC1"), update_status_action("ACC1", "COMPLETED"), {"action_type": "nonsense"}
        )
        tables = (WorklistItem, ReceivedAction, Resend, ItemChange, AuditLog)
        assert [model._default_manager.count() for model in tables] == [0] * len(tables)

    def test_names_number_and_day_and_what_would_be_answered(self) -> None:
        (line,) = checked(payload(accession_number="ACC1", scheduled__date="20261124"))
        assert (line.position, line.action_type, line.accession_number) == (1, "worklist.create_item", "ACC1")
        assert (line.day, line.outcome, line.notes, line.refused) == (date(2026, 11, 24), "created", [], False)

    def test_says_why_an_action_would_be_refused(self) -> None:
        broken, odd, no_object = checked(payload(participant__birth_date="19701345"), {"action_type": "x"}, 5)
        assert (broken.refused, broken.outcome) == (True, "invalid action")
        assert "birth_date: '19701345' is not a date" in broken.notes[0]
        assert odd.notes == ["Unsupported action: x"]
        assert (no_object.outcome, no_object.accession_number, no_object.day) == ("invalid json", "", None)

    def test_takes_earlier_actions_of_the_file_into_account(self) -> None:
        first = payload(accession_number="ACC1")
        other = payload(accession_number="ACC1", participant__nhs_number="9990000026")
        other["source_reference"] = {}
        lines = checked(first, payload(), update_status_action("ACC1", "IN PROGRESS"), other, first)
        assert outcomes(lines) == ["created", "created", "updated", "accession_conflict", "created"]
        assert lines[4].outcome == "created (received before: nothing is done again)"

    def test_knows_what_has_arrived_by_the_relay(self) -> None:
        action = payload()
        configured_dispatcher().dispatch(json.dumps(action), "test#1")
        same, changed = checked(action, {**action, "source_system": "other"})
        assert "received before" in same.outcome
        assert changed.outcome == "action id reused"
        assert ReceivedAction.objects.get().times_received == 1

    def test_answers_questions_too(self) -> None:
        assert outcomes(checked({"action_type": "echo"})) == ["echo"]

    def test_logs_no_action_as_answered(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        checked(payload())
        assert "action answered" not in caplog.text

    @pytest.mark.django_db(transaction=True)
    def test_keeps_no_lock(self) -> None:
        checked(payload(accession_number="ACC1"))
        outcome: list[str] = []

        def other_process() -> None:
            outcome.append(configured_dispatcher().dispatch(json.dumps(payload(accession_number="ACC1")), "test#1"))
            connection.close()

        thread = threading.Thread(target=other_process)
        thread.start()
        thread.join()
        assert json.loads(outcome[0])["status"] == "created"


class TestExecute:
    def test_does_what_the_check_has_shown(self) -> None:
        actions = [payload(accession_number="ACC1"), update_status_action("ACC1", "COMPLETED"), {"action_type": "x"}]
        assert outcomes(checked(*actions)) == outcomes(executed(*actions))
        assert WorklistItem.objects.get().status == "COMPLETED"

    def test_executes_an_action_that_the_relay_has_brought_only_once(self) -> None:
        action = payload()
        configured_dispatcher().dispatch(json.dumps(action), "test#1")
        executed(action, action)
        assert (WorklistItem.objects.count(), ReceivedAction.objects.get().times_received) == (1, 3)

    def test_the_audit_log_names_the_person_and_leads_to_the_actions(self) -> None:
        executed(payload(), payload())
        note = AuditLog.objects.get(operation="execute")
        assert (note.actor, note.object_type, note.after) == ("admin:jane", "relay.receivedaction", {"imported": 2})
        expected = [f"import:{note.correlation_id}#{position}" for position in (1, 2)]
        assert list(ReceivedAction.objects.order_by("received_at").values_list("connection", flat=True)) == expected
