"""Actions are validated against the schema, and the schema files say the same as the code."""

import copy
import json
from functools import reduce
from operator import getitem
from typing import Any

import pytest
from django.utils import timezone
from jsonschema import Draft202012Validator

from core import contract
from core.contract import ActionRefused, ActionType, ErrorCode, ItemStatus
from tests.factories import payload

ITEM = "parameters.worklist_item"


def message_about(action: dict[str, Any]) -> str:
    """Validate an invalid action, and return the message of its refusal."""
    with pytest.raises(ActionRefused) as refused:
        contract.validate(action)
    assert refused.value.code is ErrorCode.INVALID_ACTION
    return refused.value.message


class TestValidate:
    @pytest.mark.parametrize(
        ("path", "limit"), [("accession_number", 16), ("participant__nhs_number", 64), ("procedure__modality", 16)]
    )
    def test_a_text_of_a_megabyte_is_refused_by_its_length_without_trying_its_pattern(
        self, path: str, limit: int
    ) -> None:
        """The patterns would take hours."""
        message = message_about(payload(**{path: "A" * 1_000_000 + "\x01"}))
        assert message.endswith(f"has 1000001 characters, at most {limit} are allowed")

    @pytest.mark.parametrize("example", contract.load_schema("gateway_action")["examples"])
    def test_every_example_of_the_schema_is_valid(self, example: dict[str, Any]) -> None:
        contract.validate(example)

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            ("participant__birth_date", "19701345", "participant.birth_date: '19701345' is not a date (YYYYMMDD)"),
            ("participant__birth_date", "SMITH^JANE", "participant.birth_date: '…' is not a date (YYYYMMDD)"),
            ("participant__birth_date", 19700321, "participant.birth_date: is not of type string"),
            ("scheduled__date", "20261199", "scheduled.date: '20261199' is not a date (YYYYMMDD)"),
            ("scheduled__time", "2500", "scheduled.time: '2500' is not a time (HHMMSS)"),
            ("accession_number", "A" * 17, "accession_number: has 17 characters, at most 16 are allowed"),
            ("accession_number", "", "accession_number: is empty"),
            ("accession_number", "   ", "accession_number: is not DICOM SH"),
            ("accession_number", "A\\B", "accession_number: is not DICOM SH"),
            ("accession_number", None, "accession_number: is required"),
            ("participant__name", None, "participant.name: is required"),
            ("participant__name", "^^", "participant.name: is not DICOM PN"),
            ("participant__name", "X" * 65, "participant.name: is not DICOM PN"),
            ("participant__name", "A\nB", "participant.name: is not DICOM PN"),
            ("participant__nhs_number", "9" * 65, "participant.nhs_number: has 65 characters, at most 64"),
            ("participant__weight", "heavy", "participant.weight: is not a weight in kg"),
            ("procedure__modality", "mg", "procedure.modality: is not DICOM CS"),
            ("procedure__modality", None, "procedure.modality: is required"),
            ("procedure__study_description", "X" * 65, "procedure.study_description: has 65 characters"),
            ("procedure__protocol_code", {"code": "X" * 17}, "procedure.protocol_code.code: has 17 characters"),
            ("procedure__study_description", 5, "procedure.study_description: is not of type string"),
            ("participant__weight", -3, "participant.weight: is not a weight in kg"),
            ("participant__weight", 1e300, "participant.weight: is not a weight in kg"),
            ("participant__birth_date", "9990000018", "participant.birth_date: '…' is not a date"),
            ("participant__birth_date", "1970-03-21", "participant.birth_date: '1970-03-21' is not a date"),
            ("scheduled__station_ae_title", "MÜLLER", "scheduled.station_ae_title: is not DICOM AE"),
            ("study_instance_uid", "1.02", "study_instance_uid: is not DICOM UI"),
        ],
    )
    def test_the_message_names_the_path_and_the_rule(self, path: str, value: Any, message: str) -> None:
        assert message_about(payload_with(path, value)).startswith(f"{ITEM}.{message}")

    @pytest.mark.parametrize("sex", ["F", "M", "O", "X", "f", "", None, "Female"])
    def test_any_value_of_sex_is_accepted(self, sex: str | None) -> None:
        action = payload()
        action["parameters"]["worklist_item"]["participant"]["sex"] = sex
        contract.validate(action)

    @pytest.mark.parametrize("nothing", ["", None])
    @pytest.mark.parametrize("path", ["scheduled__station_ae_title", "procedure__code", "study_instance_uid"])
    def test_an_optional_value_may_be_empty(self, path: str, nothing: str | None) -> None:
        action = payload(**{path: ""})
        if nothing is None:
            action = json.loads(json.dumps(action).replace('""', "null"))
        contract.validate(action)

    def test_a_birth_date_of_today_is_accepted_and_a_later_one_is_not(self) -> None:
        today = timezone.localdate()
        contract.validate(payload(participant__birth_date=f"{today:%Y%m%d}"))
        tomorrow = f"{today.year + 1}0101"
        assert message_about(payload(participant__birth_date=tomorrow)).endswith("is in the future")

    def test_the_message_lists_everything_that_is_wrong(self) -> None:
        message = message_about(payload(participant__name=None, scheduled__time="x", scheduled__date=None))
        assert [part.split(":")[0].removeprefix(f"{ITEM}.") for part in message.split("; ")] == [
            "participant.name",
            "scheduled.date",
            "scheduled.time",
        ]

    def test_no_message_quotes_a_name_or_an_nhs_number(self) -> None:
        action = payload(
            participant__name="SMITH\\JANE", participant__nhs_number="9990000018\n", scheduled__time="SMITH"
        )
        message = message_about(action)
        assert "SMITH" not in message
        assert "9990000018" not in message

    def test_unknown_keys_are_ignored(self) -> None:
        contract.validate({**payload(shoe_size=38), "priority": ["high"]})

    @pytest.mark.parametrize("action_id", ["", "x" * 101, 5, None, "a\nb", {}])
    def test_an_action_id_is_a_text_of_one_to_a_hundred_characters(self, action_id: Any) -> None:
        assert message_about({**payload(), "action_id": action_id}).startswith("action_id:")

    def test_the_message_lists_missing_parameters_and_a_missing_action_id(self) -> None:
        message = message_about({"action_type": "worklist.create_item"})
        assert message == "action_id: is required; parameters: is required"

    @pytest.mark.parametrize("parameters", [{}, {"parameters": {}}, {"parameters": {"cursor": "Y2hhbmdl"}}])
    def test_changes_since_needs_neither_action_id_nor_cursor(self, parameters: dict[str, Any]) -> None:
        contract.validate({"action_type": "worklist.changes_since", **parameters})

    @pytest.mark.parametrize("nothing", ["", None])
    def test_a_cursor_may_be_empty(self, nothing: str | None) -> None:
        contract.validate(changes_since(nothing))

    @pytest.mark.parametrize(
        ("cursor", "message"),
        [
            ("x" * 201, "has 201 characters, at most 200 are allowed"),
            (5, "is not of type string"),
            ({}, "is not of type string"),
        ],
    )
    def test_a_cursor_is_a_text_of_at_most_200_characters(self, cursor: Any, message: str) -> None:
        assert message_about(changes_since(cursor)) == f"parameters.cursor: {message}"

    @pytest.mark.parametrize("parameters", [None, [], "x"])
    def test_the_parameters_of_changes_since_are_an_object(self, parameters: Any) -> None:
        action = {"action_type": "worklist.changes_since", "parameters": parameters}
        assert message_about(action).startswith("parameters: ")

    def test_update_status_needs_no_action_id(self) -> None:
        action = update_status("ARRIVED")
        del action["action_id"]
        contract.validate(action)

    def test_echo_and_health_need_no_action_id(self) -> None:
        contract.validate({"action_type": "echo"})
        contract.validate({"action_type": "health"})

    @pytest.mark.parametrize("version", [2, 99, 2.0, 1e3])
    def test_a_higher_schema_version_is_refused(self, version: int) -> None:
        with pytest.raises(ActionRefused) as refused:
            contract.validate({**payload(), "schema_version": version})
        assert refused.value.code is ErrorCode.UNSUPPORTED_SCHEMA_VERSION

    @pytest.mark.parametrize("version", [0, -1, "1", True, None, 1.5])
    def test_a_schema_version_that_is_not_a_whole_number_from_one_is_invalid(self, version: Any) -> None:
        assert message_about({**payload(), "schema_version": version}).startswith("schema_version:")

    @pytest.mark.parametrize("status", ["COMPLETED", "completed", "In Progress", "in_progress", "Arrived", "ready"])
    def test_a_status_is_accepted_in_any_case(self, status: str) -> None:
        contract.validate(update_status(status))

    def test_the_message_about_an_unknown_status_lists_the_known_ones(self) -> None:
        assert message_about(update_status("DONE")) == (
            f"{ITEM}.status: is not one of SCHEDULED, ARRIVED, READY, IN PROGRESS, COMPLETED, DISCONTINUED, in any "
            "case, with a space or an underscore"
        )


def payload_with(path: str, value: Any) -> dict[str, Any]:
    """Build a create_item action with one value changed; None removes it."""
    return payload(**{path: value})


def update_status(status: str) -> dict[str, Any]:
    """Build an update_status action."""
    item = {"accession_number": "A1", "status": status}
    return {"action_id": "1", "action_type": "worklist.update_status", "parameters": {"worklist_item": item}}


def changes_since(cursor: Any) -> dict[str, Any]:
    """Build a changes_since action."""
    return {"action_type": "worklist.changes_since", "parameters": {"cursor": cursor}}


class TestSchemas:
    @pytest.mark.parametrize("name", contract.SCHEMA_NAMES)
    def test_each_file_is_a_valid_json_schema_with_title_and_description(self, name: str) -> None:
        schema = contract.load_schema(name)
        Draft202012Validator.check_schema(schema)
        assert schema["title"]
        assert schema["description"]

    def test_every_property_of_an_action_is_described(self) -> None:
        def undescribed(schema: Any, path: str) -> list[str]:
            found = []
            for name, value in schema.get("properties", {}).items():
                if path and not (
                    {"title", "description", "$ref", "const", "enum"} & value.keys() or "properties" in value
                ):
                    found.append(f"{path}.{name}")
                found += undescribed(value, f"{path}.{name}")
            return found

        schema = contract.load_schema("gateway_action")
        assert [name for definition, body in schema["$defs"].items() for name in undescribed(body, definition)] == []

    @pytest.mark.parametrize("example", contract.load_schema("gateway_reply")["examples"])
    def test_every_example_of_a_reply_is_valid(self, example: dict[str, Any]) -> None:
        Draft202012Validator(contract.load_schema("gateway_reply")).validate(example)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("changes", 0, "worklist_status"), "DONE"),
            (("changes", 0, "performed", "status"), "SCHEDULED"),
            (("changes", 0, "performed", "started_at"), "2026-11-23T14:31:07+00:00"),
            (("changes", 0, "performed", "images"), -1),
            (("changes", 0, "performed"), {}),
            (("changes",), [{}]),
            (("cursor",), ""),
            (("more",), None),
        ],
    )
    def test_a_reply_to_changes_since_with_an_invalid_value_fails(self, path: tuple[Any, ...], value: Any) -> None:
        schema = contract.load_schema("gateway_reply")
        reply = copy.deepcopy(next(example for example in schema["examples"] if example.get("changes")))
        *parents, last = path
        reduce(getitem, parents, reply)[last] = value
        assert not Draft202012Validator(schema).is_valid(reply)

    def test_a_reply_has_at_most_500_changes(self) -> None:
        schema = contract.load_schema("gateway_reply")
        reply = next(example for example in schema["examples"] if example.get("changes"))
        full = {**reply, "changes": reply["changes"][:1] * 500}
        assert Draft202012Validator(schema).is_valid(full)
        assert not Draft202012Validator(schema).is_valid({**full, "changes": reply["changes"][:1] * 501})

    def test_the_action_types_of_the_schema_match_the_code(self) -> None:
        examples = contract.load_schema("gateway_action")["properties"]["action_type"]["examples"]
        assert examples == list(ActionType)

    def test_the_item_statuses_of_the_schema_match_the_code(self) -> None:
        assert contract.load_schema("gateway_reply")["$defs"]["worklist_status"]["enum"] == list(ItemStatus)

    def test_every_error_code_is_in_the_reply_schema(self) -> None:
        failure = contract.load_schema("gateway_reply")["oneOf"][-1]
        codes = {code["const"] for code in failure["properties"]["code"]["oneOf"]}
        assert codes == {code.value for code in ErrorCode}

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("accession_number", "A\\B"),
            ("accession_number", "  "),
            ("participant__birth_date", "yesterday"),
            ("participant__birth_date", "19701345"),
            ("participant__name", "^^"),
            ("participant__name", "X" * 65),
            ("participant__name", "A^B^C^D^E^F"),
            ("participant__name", "A=B=C=D"),
            ("scheduled__time", "late"),
            ("scheduled__time", "2460"),
            ("scheduled__station_ae_title", "MÜLLER"),
            ("procedure__modality", "mg"),
            ("study_instance_uid", "1.02"),
        ],
    )
    def test_a_validator_without_the_dicom_formats_refuses_the_same(self, path: str, value: str) -> None:
        schema = Draft202012Validator(contract.load_schema("gateway_action"))
        assert schema.is_valid(payload())
        assert not schema.is_valid(payload(**{path: value}))
        assert not schema.is_valid(update_status("BANANA"))
        assert schema.is_valid(update_status("in progress"))
