"""Every action type of the contract has a handler."""

import json
from typing import Any

import pytest

from core.gateway_actions import load_schema
from gateway_project.actions import ACTIONS, PROBES
from nonprod.manage_emulator import item_status_action, update_status_action
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction
from tests.factories import WorklistItemFactory


class TestActions:
    def test_the_tables_have_the_action_types_of_the_schema(self) -> None:
        known = load_schema("gateway_action")["properties"]["action_type"]["examples"]
        assert {*ACTIONS, *PROBES} == set(known)

    def test_no_type_is_both_recorded_and_untraced(self) -> None:
        assert not ACTIONS.keys() & PROBES.keys()


@pytest.mark.django_db(transaction=True)
class TestItemStatus:
    def reply(self, action: dict[str, Any]) -> dict[str, Any]:
        """What the gateway answers."""
        reply: dict[str, Any] = json.loads(Dispatcher(ACTIONS, PROBES).dispatch(json.dumps(action), "test#1"))
        return reply

    def test_the_same_action_id_again_is_answered_afresh_and_leaves_no_row(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        question = item_status_action("ACC1")
        assert self.reply(question)["worklist_status"] == "SCHEDULED"
        assert self.reply(update_status_action("ACC1", "COMPLETED"))["status"] == "updated"
        answer = self.reply(question)
        assert (answer["worklist_status"], answer["action_id"]) == ("COMPLETED", question["action_id"])
        assert list(ReceivedAction.objects.values_list("action_type", flat=True)) == ["worklist.update_status"]

    def test_one_without_an_accession_number_is_invalid(self) -> None:
        question = item_status_action("")
        assert self.reply(question)["code"] == "invalid_action"

    def test_an_item_that_is_not_there_is_not_found(self) -> None:
        question = item_status_action("ACC1")
        assert (self.reply(question)["code"], self.reply(question)["action_id"]) == ("not_found", question["action_id"])
