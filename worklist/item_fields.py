"""Declare the fields of a worklist item once. Pure.

A row says what a field may hold, where it stands in an action's JSON and whether it is personal. The lengths and
checks of the model's columns derive from it, and so does the reading of `worklist.create_item`. Tests compare it with
the columns, with the JSON schema of the contract, and with the information model, which says which DICOM attributes
each field feeds.

To add a field:

1. Add its row to ITEM_FIELDS.
2. Add the column to `WorklistItem` in worklist/models/items.py, with an index if modalities search by it. A name that
   they search by also needs a `NameSearchField` called `<field>_search`. Make the migration.
3. Describe the value in core/contract/schemas/gateway_action_v1.schema.json, and in its first example.
4. Say in `RULES` of core/contract/repair.py how a value that DICOM does not allow is repaired, or in the test's
   NEVER_REPAIRED that the action is then refused.
5. Show it: in the fieldsets of worklist/admin/items.py, and in the row of the attribute that it feeds in
   worklist/query/information_model.py.
6. Complete `FULL` in tests/worklist/services/test_create_worklist_item.py, and for a personal value `PERSON` and
   `SHOWN` in tests/worklist_fixtures.py, which prove who can see it. Note it in CHANGELOG.md.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from core import value_representations as vr


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _sex(value: Any) -> str:
    return value if value in ("F", "M", "O") else ""


def _decimal(value: Any) -> str:
    """Return a DS: at most 16 characters, whereas a JSON number may have more digits."""
    return _text(value if isinstance(value, str | None) else f"{value:.8g}")


READERS: dict[str, Callable[[Any], Any]] = {"DA": vr.parse_da, "TM": vr.parse_tm, "DS": _decimal}


@dataclass(frozen=True)
class ItemField:
    """One field: a column of WorklistItem, and the value representation of the attributes it feeds.

    `path` is its place in `parameters.worklist_item`; empty for a field that `worklist.create_item` does not set. An
    item without a value in a field that `is_required` cannot be shown to a modality. The gateway makes a value where
    the action has none for a field that `is_generated`.
    """

    name: str
    vr: str
    path: str = ""
    is_personal: bool = False
    is_required: bool = False
    is_generated: bool = False
    shorter: int | None = None  # than its VR allows
    reader: Callable[[Any], Any] | None = None

    @property
    def max_length(self) -> int | None:
        """The most characters; None for a date or time."""
        return self.shorter or vr.MAX_LENGTHS.get(self.vr)

    def read(self, worklist_item: Mapping[str, Any]) -> Any:
        """Return the value in an action's `parameters.worklist_item`, which has passed the schema."""
        value: Any = worklist_item
        for key in self.path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        return (self.reader or READERS.get(self.vr, _text))(value)


ITEM_FIELDS = (
    ItemField("accession_number", "SH", "accession_number", is_required=True),
    ItemField("status", "CS"),
    ItemField("patient_id", "LO", "participant.nhs_number", is_personal=True, is_required=True),
    ItemField("patient_name", "PN", "participant.name", is_personal=True, is_required=True),
    ItemField("patient_birth_date", "DA", "participant.birth_date", is_personal=True, is_required=True),
    ItemField("patient_sex", "CS", "participant.sex", is_personal=True, shorter=1, reader=_sex),
    ItemField("patient_address", "LO", "participant.address", is_personal=True),
    ItemField("patient_weight", "DS", "participant.weight", is_personal=True),
    ItemField("patient_comments", "LT", "participant.comments", is_personal=True),
    ItemField("scheduled_date", "DA", "scheduled.date", is_required=True),
    ItemField("scheduled_time", "TM", "scheduled.time", is_required=True),
    ItemField("station_ae_title", "AE", "scheduled.station_ae_title"),
    ItemField("station_name", "SH", "scheduled.station_name"),
    ItemField("location", "SH", "scheduled.location"),
    ItemField("performing_physician_name", "PN", "scheduled.performing_physician_name", is_personal=True),
    ItemField("modality", "CS", "procedure.modality", is_required=True),
    ItemField("study_description", "LO", "procedure.study_description"),
    ItemField("procedure_code", "SH", "procedure.code"),
    ItemField("procedure_coding_scheme", "SH", "procedure.coding_scheme"),
    ItemField("procedure_code_meaning", "LO", "procedure.code_meaning"),
    ItemField("protocol_code", "SH", "procedure.protocol_code.code"),
    ItemField("protocol_coding_scheme", "SH", "procedure.protocol_code.coding_scheme"),
    ItemField("protocol_code_meaning", "LO", "procedure.protocol_code.code_meaning"),
    ItemField("study_instance_uid", "UI", "study_instance_uid", is_required=True, is_generated=True),
    ItemField("requested_procedure_id", "SH", "requested_procedure_id", is_required=True, is_generated=True),
    ItemField("scheduled_procedure_step_id", "SH", "scheduled_procedure_step_id", is_required=True, is_generated=True),
)

#: The text fields, and the most characters of each. SQLite ignores max_length, so checks of the table repeat it.
FIELD_LENGTHS = {field.name: field.max_length for field in ITEM_FIELDS if field.max_length}
#: The text fields without which an item cannot be shown.
NEVER_EMPTY = tuple(field.name for field in ITEM_FIELDS if field.is_required and field.max_length)
PERSONAL = frozenset(field.name for field in ITEM_FIELDS if field.is_personal)
#: What `worklist.create_item` sets and never changes: the content, and the identifiers that the gateway can make.
CONTENT = tuple(
    field for field in ITEM_FIELDS if field.path and not field.is_generated and field.name != "accession_number"
)
IDENTIFIERS = tuple(field for field in ITEM_FIELDS if field.is_generated)
