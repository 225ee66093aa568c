"""Whatever Manage's own columns can hold becomes an item that a modality can be sent."""

import json
import unicodedata
from datetime import UTC
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core import value_representations as vr
from core.contract import load_schema
from core.models import AuditLog
from gateway_project.actions import ACTIONS, PROBES
from relay.dispatcher import Dispatcher
from relay.models import ReceivedAction
from tests.dicom.requests import illegal, request
from tests.factories import payload
from tests.relay.test_dispatcher import REPLY_SCHEMA
from tests.worklist.query.test_response import received
from tests.worklist.services.executing import create
from worklist.item_fields import ITEM_FIELDS
from worklist.models import ItemAlarm, WorklistItem
from worklist.query.response import ResponseOptions, response_for

pytestmark = [pytest.mark.django_db, pytest.mark.once]

#: What a column of PostgreSQL holds: every character but NUL and half a surrogate pair.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
#: Texts that break the rules more often than any letters at random.
AWKWARD = st.text(st.sampled_from("AÉŁé=^\\\t\n =\u0301\u0338\u200b\u200d👩李\ud7a3\u11f9"), max_size=255)
COLUMN = st.text(CHARACTERS, max_size=255) | AWKWARD


def reply_to(content: dict[str, Any]) -> dict[str, Any]:
    """Return the reply to a frame, which must be as the schema says."""
    reply: dict[str, Any] = json.loads(Dispatcher(ACTIONS, PROBES).dispatch(json.dumps(content), "test#1"))
    REPLY_SCHEMA.validate(reply)
    return reply


def is_readable(name: str) -> bool:
    """Return whether something can be printed of the three component groups that a name may have."""
    kept = "".join(name.split("=")[:3]).replace("^", "").replace("\\", "")
    return any(unicodedata.category(each)[0] not in "CZ" or unicodedata.category(each) in ("Co", "Cn") for each in kept)


class TestWhateverManageHolds:
    @hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(last=COLUMN, first=COLUMN, description=COLUMN)
    def test_is_on_the_list_of_a_modality_with_legal_values(self, last: str, first: str, description: str) -> None:
        name = f"{last}^{first}"
        content = payload(participant__name=name, procedure__study_description=description)
        with transaction.atomic():
            reply = reply_to(content)
            if not is_readable(name):
                assert (reply["code"], "participant.name" in reply["message"]) == ("invalid_action", True)
            else:
                assert reply["status"] == "created"
                item = WorklistItem.objects.get()
                for field in ITEM_FIELDS:
                    value = getattr(item, field.name)
                    if isinstance(value, str) and value:
                        assert vr.IS_VALUE[field.vr](value)
                        assert len(value) <= vr.MAX_LENGTHS[field.vr]
                response = response_for(item, request(), ResponseOptions("MAMMO1", UTC))
                assert illegal(response) == []
                read = received(response)
                assert str(read.PatientName) == str(response.PatientName) != ""
                assert read.RequestedProcedureDescription == (item.study_description or item.modality)
                warned = {warning["path"].rpartition(".")[2] for warning in reply.get("warnings", [])}
                assert warned == {KEY_OF[alarm.attribute] for alarm in ItemAlarm.objects.all()}
            transaction.set_rollback(True)


KEY_OF = {"PatientName": "name", "RequestedProcedureDescription": "study_description"}


class TestARepair:
    def test_is_in_the_reply_and_the_payload_is_kept_as_it_came(self) -> None:
        content = payload(participant__name="S" * 35 + "^" + "J" * 35, scheduled__station_ae_title="MÜLLER")
        assert reply_to(content) == {
            "status": "created",
            "action_id": content["action_id"],
            "warnings": [
                {"path": "parameters.worklist_item.participant.name", "repair": "shortened"},
                {"path": "parameters.worklist_item.scheduled.station_ae_title", "repair": "left out"},
            ],
        }
        assert json.loads(ReceivedAction.objects.get().payload) == content
        assert WorklistItem.objects.get().station_ae_title == ""

    def test_is_repeated_byte_for_byte_when_the_action_comes_again(self) -> None:
        content = payload(participant__name="A\\B")
        assert reply_to(content) == reply_to(content)
        assert ItemAlarm.objects.count() == 1

    def test_raises_an_alarm_for_each_value_without_the_value(self) -> None:
        create(payload(participant__name="SE\tCRET^" + "X" * 99, procedure__protocol_code="5"))
        alarms = ItemAlarm.objects.order_by("attribute").values_list("kind", "attribute", "detail")
        assert list(alarms) == [
            ("repaired", "PatientName", "control characters replaced by spaces, shortened"),
            ("repaired", "protocol_code", "left out"),
        ]
        assert "CRET" not in json.dumps(list(AuditLog.objects.values()), default=str)

    def test_makes_the_same_content_the_same_again(self) -> None:
        content = payload(participant__name="A\\B")
        create(content)
        again = {**content, "action_id": "another"}
        assert create(again)["status"] == "exists"
        assert ItemAlarm.objects.count() == 1

    def test_is_none_for_an_action_in_order(self) -> None:
        assert "warnings" not in create(payload())
        assert not ItemAlarm.objects.exists()

    def test_is_described_in_the_schema_of_the_reply(self) -> None:
        assert any("warnings" in example for example in load_schema("gateway_reply")["examples"])
