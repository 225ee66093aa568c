"""Every action type of the contract has a handler."""

import json
from typing import Any

import pytest

from core.contract import load_schema
from gateway_project.actions import ACTIONS, PROBES
from nonprod.manage_emulator import changes_since_action, item_status_action, update_status_action
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction
from tests.factories import WorklistItemFactory, payload
from worklist.models import WorklistItem

pytestmark = pytest.mark.once


class TestActions:
    def test_the_tables_have_the_action_types_of_the_schema(self) -> None:
        known = load_schema("gateway_action")["properties"]["action_type"]["examples"]
        assert {*ACTIONS, *PROBES} == set(known)

    def test_no_type_is_both_recorded_and_untraced(self) -> None:
        assert not ACTIONS.keys() & PROBES.keys()


def reply_to(action: dict[str, Any]) -> dict[str, Any]:
    """What the gateway answers."""
    reply: dict[str, Any] = json.loads(Dispatcher(ACTIONS, PROBES).dispatch(json.dumps(action), "test#1"))
    return reply


@pytest.mark.django_db(transaction=True)
class TestItemStatus:
    def test_the_same_action_id_again_is_answered_afresh_and_leaves_no_row(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        question = item_status_action("ACC1")
        assert reply_to(question)["worklist_status"] == "SCHEDULED"
        assert reply_to(update_status_action("ACC1", "COMPLETED"))["status"] == "updated"
        answer = reply_to(question)
        assert (answer["worklist_status"], answer["action_id"]) == ("COMPLETED", question["action_id"])
        assert list(ReceivedAction.objects.values_list("action_type", flat=True)) == ["worklist.update_status"]

    def test_one_without_an_accession_number_is_invalid(self) -> None:
        question = item_status_action("")
        assert reply_to(question)["code"] == "invalid_action"

    def test_an_item_that_is_not_there_is_not_found(self) -> None:
        question = item_status_action("ACC1")
        assert (reply_to(question)["code"], reply_to(question)["action_id"]) == ("not_found", question["action_id"])


@pytest.mark.django_db(transaction=True)
class TestChangesSince:
    def test_manage_asks_again_and_again_and_learns_each_change_once(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        learnt, cursor = [], ""
        for status in ("IN PROGRESS", "COMPLETED"):
            assert reply_to(update_status_action("ACC1", status))["status"] == "updated"
            answer = reply_to(changes_since_action(cursor))
            learnt += [change["worklist_status"] for change in answer["changes"]]
            cursor = answer["cursor"]
        assert learnt == ["IN PROGRESS", "COMPLETED"]

    def test_the_same_action_id_again_is_answered_afresh_and_leaves_no_row(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        question = changes_since_action()
        assert reply_to(question)["changes"] == []
        reply_to(update_status_action("ACC1", "COMPLETED"))
        answer = reply_to(question)
        assert (len(answer["changes"]), answer["action_id"]) == (1, question["action_id"])
        assert list(ReceivedAction.objects.values_list("action_type", flat=True)) == ["worklist.update_status"]

    def test_a_cursor_of_another_gateway_is_refused_and_says_what_to_do(self) -> None:
        question = changes_since_action("x")
        answer = reply_to(question)
        assert (answer["code"], answer["action_id"]) == ("invalid_action", question["action_id"])
        assert "start again without one" in answer["message"]


@pytest.mark.django_db(transaction=True)
class TestUpdateStatusWithoutAnActionId:
    def test_is_executed_each_time_and_leaves_no_row(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        action = update_status_action("ACC1", "ARRIVED")
        del action["action_id"]
        assert [reply_to(action) for _ in range(2)] == [{"status": "updated", "accession_number": "ACC1"}] * 2
        assert not ReceivedAction.objects.exists()
        assert WorklistItem.objects.get().status == "ARRIVED"

    def test_of_an_unknown_item_is_refused(self) -> None:
        action = update_status_action("ACC404", "ARRIVED")
        del action["action_id"]
        assert reply_to(action)["code"] == "not_found"


@pytest.mark.django_db(transaction=True)
class TestCreateTestItem:
    def test_makes_an_item_that_is_marked_as_a_test(self) -> None:
        action = {**payload(accession_number="ACC1"), "action_type": "worklist.create_test_item"}
        assert reply_to(action)["status"] == "created"
        assert WorklistItem.objects.get().is_test
        assert reply_to(item_status_action("ACC1"))["is_test"] is True
        reply_to(update_status_action("ACC1", "COMPLETED"))
        (change,) = reply_to(changes_since_action())["changes"]
        assert change["is_test"] is True
