"""The fields of an item agree with the JSON schema of the contract, the model and the information model."""

from typing import Any

import pytest
from django.db import models

from core.contract import load_schema
from core.value_representations import MAX_LENGTHS
from worklist.item_fields import FIELD_LENGTHS, ITEM_FIELDS, ItemField
from worklist.models import WorklistItem
from worklist.query.information_model import Attribute, rows

DEFINITIONS = load_schema("gateway_action")["$defs"]
SENT = [field for field in ITEM_FIELDS if field.path]


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow references, and of several alternatives take the one that is a text or an object."""
    if "$ref" in schema:
        return resolved(DEFINITIONS[schema["$ref"].removeprefix("#/$defs/")])
    for alternative in map(resolved, schema.get("anyOf", [])):
        if alternative.get("type") in ("string", "object"):
            return alternative
    return schema


def schema_of(path: str) -> tuple[dict[str, Any], bool]:
    """Return the schema of a value in `parameters.worklist_item`, and whether the value is required."""
    schema = DEFINITIONS["create_item"]["properties"]["worklist_item"]
    is_required = True
    for key in path.split("."):
        is_required = is_required and key in schema.get("required", [])
        schema = resolved(schema["properties"][key])
    return schema, is_required


def leaves(schema: dict[str, Any], prefix: str = "") -> set[str]:
    """Return the paths of all values in a schema."""
    found = set()
    for key, value in resolved(schema)["properties"].items():
        inner = resolved(value)
        found |= leaves(inner, f"{prefix}{key}.") if "properties" in inner else {f"{prefix}{key}"}
    return found


class TestContract:
    def test_has_the_same_values(self) -> None:
        item = DEFINITIONS["create_item"]["properties"]["worklist_item"]
        assert leaves(item) == {field.path for field in SENT}

    @pytest.mark.parametrize("field", SENT, ids=lambda field: field.name)
    def test_has_the_same_length_and_requires_the_same(self, field: ItemField) -> None:
        schema, is_required = schema_of(field.path)
        assert schema.get("maxLength") == (None if field.name == "patient_sex" else field.max_length)
        assert is_required == (field.is_required and not field.is_generated)


class TestModel:
    @pytest.mark.parametrize("field", ITEM_FIELDS, ids=lambda field: field.name)
    def test_has_a_column_of_the_same_length(self, field: ItemField) -> None:
        column = WorklistItem._meta.get_field(field.name)
        assert isinstance(column, models.Field)
        assert column.max_length == field.max_length
        assert column.blank == (not field.is_required and field.name != "status")


class TestInformationModel:
    @pytest.mark.parametrize(
        "row", [row for _, row in rows() if row.field in FIELD_LENGTHS], ids=lambda row: row.keyword
    )
    def test_has_attributes_that_can_hold_the_field(self, row: Attribute) -> None:
        assert FIELD_LENGTHS[row.field] <= MAX_LENGTHS[row.vr]
