"""She is not on the list, why? The answer is the matcher's own, and says which key it was."""

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
from worklist.query.explanation import Explanation, Fact, Question, explain, in_row, obstacle
from worklist.query.kept_keys import hidden_keys, identifier_of, kept_keys, keyed_hash
from worklist.query.matching import DEFAULT_OPTIONS, keys_from, restricted

MAC = keyed_hash("only-for-tests")


def item(**values: Any) -> WorklistItem:
    """A woman for MAMMO1."""
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


def explained(woman: WorklistItem, identifier: Any, **question: Any) -> Explanation:
    """By a query that is typed in."""
    return explain(woman, Question(keys=keys_from(identifier), **question), MAC)


def against(explanation: Explanation) -> list[str]:
    """The lines of what keeps it from the list."""
    return [reason.text(with_persons=True) for reason in explanation.against]


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
        assert [reason.name for reason in explanation.against] == ["PatientID", "Modality"]
        assert {"AccessionNumber", "ScheduledProcedureStepStatus"} <= {one.name for one in explanation.reasons}
        assert explanation.summary == "not shown, because of PatientID, Modality"

    def test_says_that_final_states_are_hidden_and_that_a_status_key_shows_them(self) -> None:
        done = item(status="COMPLETED")
        assert "final states are shown only when a status is asked for" in against(explained(done, request()))[0]
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

    def test_covers_who_gets_no_association_a_query_that_is_none_and_the_most_rows(self) -> None:
        refused = explained(item(), request(), refused="its AE title is not among the modalities")
        assert against(refused) == ["Association: → not matched (its AE title is not among the modalities)"]
        assert against(explained(item(), request(), bad_key="PatientBirthDate is not a date")) == [
            "Query: → not matched (A900: PatientBirthDate is not a date)"
        ]
        assert explained(item(), request()).with_more(in_row(500, 500)).shown is True
        assert against(explained(item(), request()).with_more(in_row(501, 500)))[0].startswith(
            "Rows: query at most 500, item is number 501 → not matched"
        )

    def test_shows_no_patient_unless_told_to(self) -> None:
        explanation = explained(item(), request(PatientName="JONES^ANN", PatientBirthDate="19500101"))
        lines = [reason.text(with_persons=False) for reason in explanation.reasons]
        assert "PatientName: query …, item … → not matched (PS3.4 C.2.2.2.1)" in lines
        assert not [line for line in lines if "JONES" in line or "SMITH" in line or "1950" in line]
        assert "PatientName: query JONES^ANN, item SMITH^JANE → not matched (PS3.4 C.2.2.2.1)" in against(explanation)


class TestALoggedQuery:
    def explained(self, **keys: Any) -> Explanation:
        """By what the log keeps of a query."""
        kept = kept_keys(request(**keys), MAC)
        hidden = tuple(hidden_keys(kept, MAC, DEFAULT_OPTIONS))
        return explain(item(), Question(keys=keys_from(identifier_of(kept)), hidden=hidden), MAC)

    def test_compares_by_hash_and_says_so(self) -> None:
        explanation = self.explained(PatientID="9990000002", AccessionNumber="ACC1")
        assert explanation.shown is False
        (line,) = [reason.text(with_persons=False) for reason in explanation.against]
        assert line == "PatientID: query …, item … → not matched (PS3.4 C.2.2.2.1, compared by its hash)"
        assert self.explained(PatientID="999 000 0001").shown is True

    def test_says_what_cannot_be_told(self) -> None:
        explanation = self.explained(PatientName="SM*")
        assert explanation.shown is None
        assert explanation.summary == "cannot be told, because of PatientName"

    @pytest.mark.parametrize(
        ("was_shown", "changed", "keys", "summary"),
        [
            (True, (), {}, "it was shown at 09:02"),
            (True, (), {"PatientID": "9990000002"}, "it was shown at 09:02"),  # the hashes have not the last word
            (True, (), {"PatientName": "SM*"}, "it was shown at 09:02"),
            (
                True,
                ("the item",),
                {"PatientID": "9990000002"},
                "it was shown at 09:02; asked now it would not be, because of PatientID: the item changed since",
            ),
            (
                True,
                (),
                {"AccessionNumber": "ACC2"},
                "it was shown at 09:02; asked now it would not be, because of AccessionNumber: nothing is known "
                "to have changed since but for, perhaps, the settings",
            ),
            (False, (), {"AccessionNumber": "ACC2"}, "it was not shown at 09:02, because of AccessionNumber"),
            (
                False,
                ("the item", "the modality"),
                {"AccessionNumber": "ACC2"},
                "it was not shown at 09:02; asked now it would not be either, because of AccessionNumber: "
                "the item and the modality changed since",
            ),
            (
                False,
                ("the modality",),
                {},
                "it was not shown at 09:02; asked now it would be: the modality changed since",
            ),
            (
                False,
                (),
                {"PatientName": "SM*"},
                "it was not shown at 09:02; why cannot be told, because of PatientName",
            ),
            (
                False,
                (),
                {"PatientID": "9990000001"},
                "it was not shown at 09:02; why cannot be told: nothing is known to have changed since but for, "
                "perhaps, the settings",
            ),
        ],
    )
    def test_never_contradicts_the_log(
        self, was_shown: bool, changed: tuple[str, ...], keys: dict[str, str], summary: str
    ) -> None:
        kept = kept_keys(request(**keys), MAC)
        hidden = tuple(hidden_keys(kept, MAC, DEFAULT_OPTIONS))
        fact = Fact(was_shown, "09:02", changed)
        explanation = explain(item(), Question(keys=keys_from(identifier_of(kept)), hidden=hidden, fact=fact), MAC)
        assert explanation.summary == summary
        assert explanation.on_the_list is was_shown

    def test_names_what_was_in_the_way_at_that_time(self) -> None:
        question = Question(fact=Fact(was_shown=False, asked_at="09:02", changed=("the item",)))
        arrival = obstacle("Arrival", "the item came after the query", is_of_then=True)
        summary = explain(item(status="COMPLETED"), question, MAC).with_more(arrival).summary
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
    def test_it_says_shown_where_the_server_shows_and_only_there(
        self, woman: WorklistItem, step: dict[str, Any], root: dict[str, str], policy: ModalityPolicy
    ) -> None:
        identifier = request(dataset(**step), **root)
        answer = restricted(keys_from(identifier), policy, "MAMMO1").met_by(woman)
        typed = explained(woman, identifier, policy=policy, calling_ae_title="MAMMO1")
        assert typed.shown is answer
        kept = kept_keys(identifier, MAC)
        hidden = tuple(hidden_keys(kept, MAC, DEFAULT_OPTIONS))
        question = Question(keys_from(identifier_of(kept)), hidden, policy=policy, calling_ae_title="MAMMO1")
        assert explain(woman, question, MAC).shown in (None, answer)

    @given(ITEMS, st.fixed_dictionaries(VALUES))
    def test_there_is_a_reason_against_exactly_where_it_is_not_shown(
        self, woman: WorklistItem, step: dict[str, Any]
    ) -> None:
        explanation = explained(woman, request(dataset(**step)))
        assert bool(explanation.against) is not explanation.shown

    def test_an_item_of_any_shape_will_do(self) -> None:
        other = SimpleNamespace(status="SCHEDULED", personal_fields=frozenset())
        assert explain(other, Question(), MAC).shown is True
