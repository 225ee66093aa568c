"""Report the status of an item to Manage."""

from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator

from core.contract import ActionRefused, ErrorCode, GatewayAction, Reply, load_schema, validate
from nonprod.manage_emulator import item_status_action
from tests.factories import WorklistItemFactory
from tests.worklist.services.executing import action
from worklist.models import Delivery
from worklist.services.item_status import worklist_item_status

pytestmark = pytest.mark.django_db


class TestWorklistItemStatus:
    def ask(self, accession_number: str) -> Reply:
        """Return the reply to a worklist.item_status after validating it."""
        reply = worklist_item_status(action(item_status_action(accession_number)))
        Draft202012Validator(load_schema("gateway_reply")).validate(reply)
        return reply

    def test_has_no_times_for_an_item_without_deliveries(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1", status="IN PROGRESS")
        reply = self.ask("ACC1")
        assert (reply["status"], reply["worklist_status"]) == ("ok", "IN PROGRESS")
        assert (reply["first_shown"], reply["last_shown"]) == (None, None)

    def test_has_the_first_and_the_last_delivery(self) -> None:
        item = WorklistItemFactory.create(accession_number="ACC1")
        for minute, ae_title in ((2, "MAMMO1"), (10, "MAMMO2")):
            Delivery.objects.add([item.pk], ae_title, datetime(2026, 11, 23, 9, minute, tzinfo=UTC))
        reply = self.ask("ACC1")
        assert reply["first_shown"] == {"at": "2026-11-23T09:02:00+00:00", "to": "MAMMO1"}
        assert reply["last_shown"] == {"at": "2026-11-23T09:10:00+00:00", "to": "MAMMO2"}

    def test_is_refused_for_an_unknown_item(self) -> None:
        with pytest.raises(ActionRefused) as refused:
            self.ask("ACC1")
        assert refused.value.code is ErrorCode.NOT_FOUND

    @pytest.mark.parametrize("given", [{}, {"action_id": "i1"}])
    def test_repeats_the_action_id_of_the_question(self, given: dict[str, str]) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        content = {key: value for key, value in item_status_action("ACC1").items() if key != "action_id"} | given
        validate(content)
        reply = worklist_item_status(GatewayAction(content, "worklist.item_status", given.get("action_id")))
        assert {key: value for key, value in reply.items() if key == "action_id"} == given

    def test_holds_no_personal_data(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1", patient_name="SECRETARY^ZOE", patient_id="9990123456")
        assert not [word for word in ("SECRETARY", "9990123456") if word in str(self.ask("ACC1"))]
