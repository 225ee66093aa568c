"""Explanations name the rule that keeps an item out, and agree with the matching itself."""

from datetime import date, time
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.contract import ItemStatus
from dicom.modality_policy import ModalityPolicy
from tests.dicom.requests import dataset, request
from worklist.models import WorklistItem
from worklist.query.explanation import (
    Explanation,
    LoggedOutcome,
    ParsedQuery,
    RuleResult,
    Verdict,
    explain,
    row_limit_result,
)
from worklist.query.information_model import DEFAULT_OPTIONS
from worklist.query.kept_keys import hashed_keys, identifier_of, kept_keys, keyed_hash
from worklist.query.matching import apply_policy, parse_matching_keys

MAC = keyed_hash("only-for-tests")


def item(**values: Any) -> WorklistItem:
    """Return an item for MAMMO1."""
    made = {
        "accession_number": "ACC1",
        "patient_name": "SMITH^JANE",
        "patient_id": "9990000001",
        "scheduled_date": date(2026, 3, 10),
        "scheduled_time": time(9, 30),
        "station_ae_title": "MAMMO1",
        "modality": "MG",
    }
    return WorklistItem(**(made | values))


def explained(item: WorklistItem, identifier: Any, **query: Any) -> Explanation:
    """Explain the item by a query that is not from the log."""
    return explain(item, ParsedQuery(keys=parse_matching_keys(identifier), **query), MAC)


def against(explanation: Explanation) -> list[str]:
    """Return the lines of the rules that keep the item out."""
    return [result.text(with_patient_data=True) for result in explanation.against]


class TestExplain:
    @pytest.mark.parametrize(
        ("step", "line"),
        [
            (
                {"ScheduledStationAETitle": "MAMMO2"},
                "ScheduledStationAETitle: query MAMMO2, item MAMMO1 → not matched (PS3.4 C.2.2.2.1)",
            ),
            ({"Modality": "C*"}, "Modality: query C*, item MG → not matched (PS3.4 C.2.2.2.4)"),
            (
                {"ScheduledProcedureStepStartDate": "20260311-20260312"},
                "ScheduledProcedureStepStartDate: query 20260311-20260312, item 20260310 → not matched "
                "(PS3.4 C.2.2.2.5)",
            ),
            (
                {"ScheduledProcedureStepStartDate": "20260310-", "ScheduledProcedureStepStartTime": "1000-"},
                "ScheduledProcedureStepStartDate and ScheduledProcedureStepStartTime: query 20260310- 1000-, "
                "item 20260310 093000 → not matched (PS3.4 C.2.2.2.5.4 and K.5.1.1)",
            ),
        ],
    )
    def test_names_the_key_both_values_and_the_section(self, step: dict[str, str], line: str) -> None:
        explanation = explained(item(), request(dataset(**step)))
        assert against(explanation) == [line]
        assert explanation.shown is False

    def test_names_every_key_that_excludes_and_those_that_do_not(self) -> None:
        explanation = explained(item(), request(dataset(Modality="CT"), PatientID="1", AccessionNumber="ACC1"))
        assert [result.name for result in explanation.against] == ["PatientID", "Modality"]
        assert {"AccessionNumber", "ScheduledProcedureStepStatus"} <= {result.name for result in explanation.results}
        assert explanation.summary == "not shown, because of PatientID, Modality"

    def test_says_that_final_states_are_hidden_and_that_a_status_key_shows_them(self) -> None:
        done = item(status="COMPLETED")
        assert "final statuses are shown only if the query names a status" in against(explained(done, request()))[0]
        asked = request(dataset(ScheduledProcedureStepStatus="COMPLETED"))
        assert explained(done, asked).shown is True

    def test_covers_the_policy_of_the_modality(self) -> None:
        own, hides = (
            ModalityPolicy(is_known=True, own_list_only=True),
            ModalityPolicy(is_known=True, hides_in_progress=True),
        )
        (line,) = against(explained(item(), request(), policy=own, calling_ae_title="MAMMO2"))
        assert line == (
            "ScheduledStationAETitle: query MAMMO2, item MAMMO1 → not matched (the modality is shown its own list only)"
        )
        assert explained(item(), request(), policy=own, calling_ae_title="MAMMO1").shown is True
        started = item(status="IN PROGRESS")
        assert explained(started, request(), policy=hides).shown is False
        assert explained(started, request()).shown is True

    def test_covers_refused_associations_invalid_keys_and_the_row_limit(self) -> None:
        refused = explained(item(), request(), refused="its AE title is not among the modalities")
        assert against(refused) == ["Association: → not matched (its AE title is not among the modalities)"]
        assert against(explained(item(), request(), bad_key="PatientBirthDate is not a date")) == [
            "Query: → not matched (A900: PatientBirthDate is not a date)"
        ]
        assert explained(item(), request()).with_more(row_limit_result(500, 500)).shown is True
        assert against(explained(item(), request()).with_more(row_limit_result(501, 500)))[0].startswith(
            "Rows: query at most 500, item is number 501 → not matched"
        )

    def test_shows_patient_data_only_on_request(self) -> None:
        explanation = explained(item(), request(PatientName="JONES^ANN", PatientBirthDate="19500101"))
        lines = explanation.lines(with_patient_data=False)
        assert "PatientName: query …, item … → not matched (PS3.4 C.2.2.2.1)" in lines
        assert not [line for line in lines if "JONES" in line or "SMITH" in line or "1950" in line]
        assert "PatientName: query JONES^ANN, item SMITH^JANE → not matched (PS3.4 C.2.2.2.1)" in against(explanation)


class TestALoggedQuery:
    def explained(self, **keys: Any) -> Explanation:
        """Explain the item by what the log keeps of a query."""
        kept = kept_keys(request(**keys), MAC)
        hashed = tuple(hashed_keys(kept, MAC, DEFAULT_OPTIONS))
        return explain(item(), ParsedQuery(keys=parse_matching_keys(identifier_of(kept)), hashed=hashed), MAC)

    def test_is_compared_by_hash_and_the_line_says_so(self) -> None:
        explanation = self.explained(PatientID="9990000002", AccessionNumber="ACC1")
        assert explanation.shown is False
        (line,) = [result.text(with_patient_data=False) for result in explanation.against]
        assert line == "PatientID: query …, item … → not matched (PS3.4 C.2.2.2.1, compared by its hash)"
        assert self.explained(PatientID="999 000 0001").shown is True

    def test_says_what_cannot_be_determined(self) -> None:
        explanation = self.explained(PatientName="SM*")
        assert explanation.shown is None
        assert explanation.summary == "cannot be determined, because of PatientName"

    @pytest.mark.parametrize(
        ("was_shown", "changed", "keys", "summary"),
        [
            (True, (), {}, "it was shown at 09:02"),
            (True, (), {"PatientID": "9990000002"}, "it was shown at 09:02"),  # the log outweighs the hash
            (True, (), {"PatientName": "SM*"}, "it was shown at 09:02"),
            (
                True,
                ("the item",),
                {"PatientID": "9990000002"},
                "it was shown at 09:02; the same query now would not show it, because of PatientID: the item has "
                "changed since",
            ),
            (
                True,
                (),
                {"AccessionNumber": "ACC2"},
                "it was shown at 09:02; the same query now would not show it, because of AccessionNumber: no change "
                "since is known, except perhaps of the settings",
            ),
            (False, (), {"AccessionNumber": "ACC2"}, "it was not shown at 09:02, because of AccessionNumber"),
            (
                False,
                ("the item", "the modality"),
                {"AccessionNumber": "ACC2"},
                "it was not shown at 09:02; the same query now would not show it either, because of AccessionNumber: "
                "the item and the modality have changed since",
            ),
            (
                False,
                ("the modality",),
                {},
                "it was not shown at 09:02; the same query now would show it: the modality has changed since",
            ),
            (
                False,
                (),
                {"PatientName": "SM*"},
                "it was not shown at 09:02; the reason cannot be determined, because of PatientName",
            ),
            (
                False,
                (),
                {"PatientID": "9990000001"},
                "it was not shown at 09:02; the reason cannot be determined: no change since is known, except perhaps "
                "of the settings",
            ),
        ],
    )
    def test_never_contradicts_the_log(
        self, was_shown: bool, changed: tuple[str, ...], keys: dict[str, str], summary: str
    ) -> None:
        kept = kept_keys(request(**keys), MAC)
        hashed = tuple(hashed_keys(kept, MAC, DEFAULT_OPTIONS))
        outcome = LoggedOutcome(was_shown, "09:02", changed)
        explanation = explain(
            item(), ParsedQuery(keys=parse_matching_keys(identifier_of(kept)), hashed=hashed, outcome=outcome), MAC
        )
        assert explanation.summary == summary
        assert explanation.on_the_list is was_shown

    def test_names_the_reason_that_applied_at_the_time(self) -> None:
        query = ParsedQuery(outcome=LoggedOutcome(was_shown=False, asked_at="09:02", changed=("the item",)))
        arrival = RuleResult("Arrival", Verdict.NOT_MATCHED, "the item came after the query", is_historical=True)
        summary = explain(item(status="COMPLETED"), query, MAC).with_more(arrival).summary
        assert summary == "it was not shown at 09:02, because of Arrival"


VALUES = {
    "ScheduledStationAETitle": st.sampled_from(["", "*", "MAMMO1", "MAMMO2", "MAM*"]),
    "ScheduledProcedureStepStartDate": st.sampled_from(["", "20260310", "20260309-20260311", "-20260309", "20260310-"]),
    "ScheduledProcedureStepStartTime": st.sampled_from(["", "0930", "0900-1000", "-0900", "1000-"]),
    "Modality": st.sampled_from(["", "MG", "CT", ["CT", "MG"]]),
    "ScheduledProcedureStepStatus": st.sampled_from(["", "*", "STARTED", "SCHEDULED", "COMPLETED"]),
}
PERSONS = {
    "PatientName": st.sampled_from(["", "smith^jane", "SMITH", "SM*", "JONES^ANN"]),
    "PatientID": st.sampled_from(["", "999 000 0001", "2"]),
}
ITEMS = st.builds(
    item,
    status=st.sampled_from(list(ItemStatus)),
    station_ae_title=st.sampled_from(["", "MAMMO1", "MAMMO2"]),
    patient_id=st.sampled_from(["9990000001", "2"]),
)
POLICIES = st.builds(
    ModalityPolicy, is_known=st.just(value=True), own_list_only=st.booleans(), hides_in_progress=st.booleans()
)


class TestAgreement:
    @given(ITEMS, st.fixed_dictionaries(VALUES), st.fixed_dictionaries(PERSONS), POLICIES)
    def test_an_explanation_says_shown_if_and_only_if_the_server_shows_the_item(
        self, candidate: WorklistItem, step: dict[str, Any], root: dict[str, str], policy: ModalityPolicy
    ) -> None:
        identifier = request(dataset(**step), **root)
        answer = apply_policy(parse_matching_keys(identifier), policy, "MAMMO1").matches(candidate)
        typed = explained(candidate, identifier, policy=policy, calling_ae_title="MAMMO1")
        assert typed.shown is answer
        kept = kept_keys(identifier, MAC)
        hashed = tuple(hashed_keys(kept, MAC, DEFAULT_OPTIONS))
        query = ParsedQuery(parse_matching_keys(identifier_of(kept)), hashed, policy=policy, calling_ae_title="MAMMO1")
        assert explain(candidate, query, MAC).shown in (None, answer)

    @given(ITEMS, st.fixed_dictionaries(VALUES))
    def test_some_rule_is_against_the_item_if_and_only_if_it_is_not_shown(
        self, candidate: WorklistItem, step: dict[str, Any]
    ) -> None:
        explanation = explained(candidate, request(dataset(**step)))
        assert bool(explanation.against) is not explanation.shown

    def test_an_item_needs_only_the_fields_that_the_rules_compare(self) -> None:
        other = SimpleNamespace(status="SCHEDULED", is_test=False, personal_fields=frozenset())
        assert explain(other, ParsedQuery(), MAC).shown is True
