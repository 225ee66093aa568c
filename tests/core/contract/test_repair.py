"""Values that DICOM does not allow are repaired where that cannot change who is meant."""

import unicodedata
from typing import Any

import pytest

from core import value_representations as vr
from core.contract import ActionRefused, GatewayAction, load_schema, repaired, validate
from core.contract.repair import CLEANED, GROUPS_LEFT_OUT, JOINED, LEFT_OUT, RULES, SHORTENED, WORKLIST_ITEM
from tests.factories import payload
from tests.worklist.test_item_fields import leaves

#: Nobody may guess these: they are refused.
NEVER_REPAIRED = {
    "accession_number",
    "participant.nhs_number",
    "participant.birth_date",
    "scheduled.date",
    "scheduled.time",
    "procedure.modality",
}
ACCENTED = "x\u0301\u0302"  # no single character exists for it


def repair(path: str, value: Any) -> tuple[Any, list[str]]:
    """Return the value at the path after the repair, and the repairs; all of them are of this path."""
    content = payload(**{path.replace(".", "__"): value})
    action = repaired(GatewayAction(content, content["action_type"], content["action_id"]))
    assert {warning.path for warning in action.warnings} <= {f"{WORKLIST_ITEM}{path}"}
    found: Any = action.worklist_item
    for key in path.split("."):
        found = found[key]
    return found, [warning.repair for warning in action.warnings]


def test_every_value_of_an_item_is_repaired_or_refused() -> None:
    item = load_schema("gateway_action")["$defs"]["create_item"]["properties"]["worklist_item"]
    assert leaves(item) == (set(RULES) - {"procedure.protocol_code"}) | NEVER_REPAIRED


class TestNames:
    @pytest.mark.parametrize(
        ("sent", "kept", "repairs"),
        [
            ("SMITH^JANE", "SMITH^JANE", []),
            ("  SMITH^JANE ", "SMITH^JANE", []),
            ("S" * 35 + "^" + "J" * 35, "S" * 35 + "^" + "J" * 28, [SHORTENED]),
            ("S" * 20 + "^" + "J" * 20 + "^" + "M" * 40, "S" * 20 + "^" + "J" * 20 + "^" + "M" * 22, [SHORTENED]),
            ("S" * 20 + "^" + "J" * 50 + "^" + "M" * 40, "S" * 20 + "^" + "J" * 43, [SHORTENED]),
            ("S" * 70 + "^" + "J" * 70, "S" * 64, [SHORTENED]),
            ("^" + "J" * 70, "^" + "J" * 63, [SHORTENED]),
            ("A^B=" + "C" * 65, "A^B=" + "C" * 64, [SHORTENED]),
            ("SM\\ITH^JA\tNE", "SM ITH^JA NE", [CLEANED]),
            ("SMITH\r\n^ JANE\u2028ANN\x85", "SMITH^JANE ANN", [CLEANED]),
            ("A^B^C^D^E^F^G", "A^B^C^D^E F G", [JOINED]),
            ("A^B^C^D^^^G", "A^B^C^D^G", [JOINED]),
            ("A^B^^^^^^", "A^B", []),
            ("A=B=C=D=E", "A=B=C", [GROUPS_LEFT_OUT]),
            ("A\t^B^C^D^E^F=B=C=D", "A^B^C^D^E F=B=C", [CLEANED, GROUPS_LEFT_OUT, JOINED]),
        ],
    )
    def test_are_repaired(self, sent: str, kept: str, repairs: list[str]) -> None:
        assert repair("participant.name", sent) == (kept, repairs)
        assert vr.is_pn(kept)

    def test_with_letters_of_several_characters_are_composed_before_they_are_shortened(self) -> None:
        name = "e\u0301" * 50 + "^JANE"
        assert repair("participant.name", name) == (unicodedata.normalize("NFC", name), [])

    @pytest.mark.parametrize("letter", [ACCENTED, "👩\u200d🚀", "👋🏽", "\uae30\u11f9"])
    def test_lose_whole_letters(self, letter: str) -> None:
        kept, repairs = repair("participant.name", letter * 40)
        assert (len(kept) // len(letter), len(kept) % len(letter)) == (64 // len(letter), 0)
        assert repairs == [SHORTENED]

    def test_with_a_letter_that_is_longer_than_a_name_may_be_are_kept_in_part(self) -> None:
        assert repair("participant.name", "A" + "\u0300\u0301" * 50)[0].startswith("À")

    @pytest.mark.parametrize("name", ["^^", "\\\t^\n", "\u200b^\u3000", "===SMITH^JANE", "   ", 5, None, ["SMITH"]])
    def test_with_nothing_to_read_are_refused(self, name: Any) -> None:
        content = payload()
        content["parameters"]["worklist_item"]["participant"]["name"] = name
        with pytest.raises(ActionRefused, match=r"participant\.name: "):
            validate(repaired(GatewayAction(content, content["action_type"], "1")).payload)

    def test_of_staff_are_left_out_instead(self) -> None:
        assert repair("scheduled.performing_physician_name", "\\") == (None, [LEFT_OUT])
        assert repair("scheduled.performing_physician_name", "A\\B") == ("A B", [CLEANED])


class TestOtherValues:
    @pytest.mark.parametrize(
        ("path", "sent", "kept", "repairs"),
        [
            ("procedure.study_description", "X" * 65, "X" * 64, [SHORTENED]),
            ("procedure.study_description", "X" * 64 + "  ", "X" * 64, []),
            ("procedure.study_description", "X" * 63 + ACCENTED, "X" * 63, [SHORTENED]),
            ("procedure.study_description", " A\\\t B\n", "A B", [CLEANED]),
            ("procedure.study_description", 5, None, [LEFT_OUT]),
            ("procedure.code_meaning", "X" * 65, "X" * 64, [SHORTENED]),
            ("procedure.protocol_code.code_meaning", "X" * 65, "X" * 64, [SHORTENED]),
            ("participant.address", "1 Long Lane\nLeeds", "1 Long Lane Leeds", [CLEANED]),
            ("scheduled.station_name", "X" * 17, "X" * 16, [SHORTENED]),
            ("scheduled.location", "X" * 17, "X" * 16, [SHORTENED]),
            ("participant.weight", "heavy", None, [LEFT_OUT]),
            ("participant.weight", -3, None, [LEFT_OUT]),
            ("participant.weight", True, None, [LEFT_OUT]),
            ("participant.weight", 70.5, 70.5, []),
            ("participant.comments", "X" * 10241, None, [LEFT_OUT]),
            ("participant.comments", "A\x00B", None, [LEFT_OUT]),
            ("participant.comments", "A\nB\\C", "A\nB\\C", []),
            ("participant.sex", 5, None, [LEFT_OUT]),
            ("participant.sex", "Female", "Female", []),
            ("procedure.code", "X" * 17, None, [LEFT_OUT]),
            ("procedure.protocol_code", "2V", None, [LEFT_OUT]),
            ("procedure.protocol_code.code", "A\\B", None, [LEFT_OUT]),
            ("scheduled.station_ae_title", "MÜLLER", None, [LEFT_OUT]),
            ("scheduled.station_ae_title", "X" * 17, None, [LEFT_OUT]),
            ("study_instance_uid", "1.02", None, [LEFT_OUT]),
            ("requested_procedure_id", "X" * 17, None, [LEFT_OUT]),
            ("scheduled_procedure_step_id", {}, None, [LEFT_OUT]),
        ],
    )
    def test_are_repaired(self, path: str, sent: Any, kept: Any, repairs: list[str]) -> None:
        assert repair(path, sent) == (kept, repairs)

    @pytest.mark.parametrize("path", sorted(set(RULES) - {"participant.name"}))
    def test_that_are_only_white_space_are_empty_without_a_warning(self, path: str) -> None:
        assert repair(path, " \r\t")[1] == []
        content = payload(**{path.replace(".", "__"): " \r\t"})
        validate(repaired(GatewayAction(content, content["action_type"], "1")).payload)


class TestOtherActions:
    def test_are_not_touched(self) -> None:
        echo: dict[str, Any] = {"action_type": "echo", "parameters": {"worklist_item": {"study_instance_uid": 5}}}
        for content in (echo, payload()):
            action = GatewayAction(content, content["action_type"], None)
            assert repaired(action) is action

    @pytest.mark.parametrize("parameters", [None, 5, {}, {"worklist_item": "x"}, {"worklist_item": {"participant": 1}}])
    def test_without_an_item_are_left_to_the_schema(self, parameters: Any) -> None:
        action = GatewayAction({"parameters": parameters}, "worklist.create_item", "1")
        assert repaired(action) is action

    def test_never_change_what_was_received(self) -> None:
        content = payload(participant__name="A\\B")
        repaired(GatewayAction(content, content["action_type"], "1"))
        assert content["parameters"]["worklist_item"]["participant"]["name"] == "A\\B"
