"""Tests for `python manage.py send_gateway_action`."""

import pytest
from django.core.management import CommandError, call_command

from core.contract import ActionType
from nonprod.management.commands import send_gateway_action


def test_an_action_of_an_unknown_type_is_not_sent() -> None:
    with pytest.raises(CommandError, match=r"Unknown --type worklist\.no_such_action"):
        call_command("send_gateway_action", "--type", "worklist.no_such_action")


@pytest.mark.parametrize("action_type", ActionType)
def test_it_knows_every_action_type(action_type: ActionType) -> None:
    options = {"file": None, "type": action_type.value, "accession": "ACC1", "cursor": "", "status": "READY"}
    action = send_gateway_action.action_from({**options, "name": "ZZTEST^A", "nhs_number": "9990000018", "station": ""})
    assert action["action_type"] == action_type
