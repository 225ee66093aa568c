"""Read actions leniently, and hash their payloads."""

import json
from typing import Any

import pytest

from core import contract
from core.contract import GatewayAction
from tests.factories import payload


class TestGatewayAction:
    def test_the_accession_number_loses_insignificant_spaces(self) -> None:
        assert action_of(payload(accession_number=" A1 ")).accession_number == "A1"

    @pytest.mark.parametrize("value", [None, 5, "A" * 17, "A\nB"])
    def test_an_invalid_accession_number_reads_as_empty(self, value: Any) -> None:
        assert action_of(payload(accession_number=value)).accession_number == ""

    @pytest.mark.parametrize("parameters", [None, 5, [], {"worklist_item": 3}])
    def test_parameters_that_are_not_objects_read_as_empty(self, parameters: Any) -> None:
        assert action_of({"parameters": parameters}).worklist_item == {}

    def test_its_representation_shows_no_payload(self) -> None:
        assert "ZOË" not in repr(action_of(payload()))


def action_of(content: dict[str, Any]) -> GatewayAction:
    """Read a payload as an action."""
    return GatewayAction.from_payload(content)


class TestFingerprint:
    def test_key_order_white_space_and_escapes_make_no_difference(self) -> None:
        one, other = '{"a": 1, "b": {"c": "Ł", "d": 2}}', '{"b":{"d":2,"c":"\\u0141"},"a":1}'
        assert contract.fingerprint(json.loads(one)) == contract.fingerprint(json.loads(other))

    def test_a_different_value_makes_a_difference(self) -> None:
        assert contract.fingerprint({"a": 1}) != contract.fingerprint({"a": "1"})
