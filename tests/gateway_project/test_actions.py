"""Every action type of the contract has a handler."""

from core.gateway_actions import load_schema
from gateway_project.actions import ACTIONS, PROBES


class TestActions:
    def test_the_tables_have_the_action_types_of_the_schema(self) -> None:
        known = load_schema("gateway_action")["properties"]["action_type"]["examples"]
        assert {*ACTIONS, *PROBES} == set(known)

    def test_no_type_is_both_recorded_and_untraced(self) -> None:
        assert not ACTIONS.keys() & PROBES.keys()
