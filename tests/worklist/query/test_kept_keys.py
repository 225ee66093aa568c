"""The log keeps no patient data of a query, and enough to explain the answer."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from tests.dicom.requests import dataset, request
from worklist.models import WorklistItem
from worklist.query.information_model import DEFAULT_OPTIONS, ROOT, STEP, MatchingOptions
from worklist.query.kept_keys import HashedKey, hashed_keys, identifier_of, ignored_keys, kept_keys, keyed_hash
from worklist.query.matching import parse_matching_keys

MAC = keyed_hash("only-for-tests")
PERSONAL = [row for row in (*ROOT, *STEP) if row.field in WorklistItem.personal_fields and row.vr != "DS"]


def item(**values: Any) -> WorklistItem:
    return WorklistItem(**{"patient_name": "SMITH^JANE", "patient_id": "9990000001", **values})


def in_place(keyword: str, value: Any) -> Dataset:
    """Return a query with one key, in the step sequence if it belongs there."""
    keys = {keyword: value}
    return request(dataset(**keys)) if keyword in {row.keyword for row in STEP} else request(**keys)


def hashed(options: MatchingOptions = DEFAULT_OPTIONS, **keys: Any) -> HashedKey:
    """Return the one key of a query that was not kept in clear."""
    kept = json.loads(json.dumps(kept_keys(request(**keys), MAC)))
    (found,) = hashed_keys(kept, MAC, options)
    return found


class TestWhatIsKept:
    def test_keys_that_cannot_be_personal_are_kept_in_clear(self) -> None:
        step = dataset(Modality="MG", ScheduledProcedureStepStartDate="20260310-", ScheduledStationAETitle="MAMMO1")
        identifier = request(step, AccessionNumber="ACC20260310A001", PatientSex="", StudyInstanceUID=["1.2", "1.3"])
        assert kept_keys(identifier, MAC) == {
            "AccessionNumber": "ACC20260310A001",
            "StudyInstanceUID": "1.2\\1.3",
            "Modality": "MG",
            "ScheduledProcedureStepStartDate": "20260310-",
            "ScheduledStationAETitle": "MAMMO1",
        }

    @pytest.mark.parametrize("attribute", PERSONAL, ids=lambda row: row.keyword)
    @pytest.mark.parametrize("value", ["SECRET^ZOE", "SECR*", "9990123456", "19531109", "19531109-", "F", "61.5"])
    def test_a_patients_value_is_never_kept_in_clear(self, attribute: Any, value: str) -> None:
        keys = {attribute.keyword: value}
        identifier = request(dataset(**keys)) if attribute in STEP else request(**keys)
        assert value not in json.dumps(kept_keys(identifier, MAC))

    @pytest.mark.parametrize("keyword", [row.keyword for row in ROOT if row.vr in ("SH", "LO", "PN", "UI", "LT")])
    @pytest.mark.parametrize("value", ["SECRET^ZOE", "SECR*", "999 012 3456", "9990123456"])
    def test_patient_data_in_the_wrong_field_is_never_kept_in_clear(self, keyword: str, value: str) -> None:
        assert value not in json.dumps(kept_keys(request(**{keyword: value}), MAC))

    @pytest.mark.parametrize(
        "keyword", [row.keyword for row in STEP if row.vr in ("AE", "CS", "DA", "TM", "SH", "LO", "PN")]
    )
    @pytest.mark.parametrize("value", ["SECRET^ZOE", "999 012 3456", "9990123456"])
    def test_patient_data_in_the_wrong_field_of_the_step_is_never_kept_in_clear(self, keyword: str, value: str) -> None:
        assert value not in json.dumps(kept_keys(request(dataset(**{keyword: value})), MAC))

    @pytest.mark.parametrize("keyword", ["AccessionNumber", "RequestedProcedureID", "ScheduledProcedureStepID"])
    @pytest.mark.parametrize(
        "value",
        [
            *("999-000-0001", "999 000 0001", "999.000.0001", "999000000*", "9990000001*", "999?000?000"),
            *("SMITH 1960", "SMITH,1960", "SMITH^1960", "JANE", ["999", "000", "0001"]),
        ],
    )
    def test_an_id_that_may_be_a_patients_is_not_kept_in_clear(self, keyword: str, value: Any) -> None:
        kept = kept_keys(in_place(keyword, value), MAC)
        assert isinstance(kept[keyword], dict)

    @pytest.mark.parametrize(
        ("keyword", "value"),
        [
            ("ScheduledStationAETitle", "JANE SMITH"),
            ("ScheduledStationAETitle", "SMITH,JANE"),
            ("ScheduledStationAETitle", "999-000-0001"),
            ("Modality", "JANE SMITH"),
            ("Modality", "SMITH"),
            ("Modality", "SMITH*"),
            ("ScheduledProcedureStepStatus", "JANE SMITH"),
            ("ScheduledProcedureStepStatus", "SMITH*"),
            ("ScheduledProcedureStepStartTime", "999000.0001"),
            ("ScheduledProcedureStepStartTime", "9990-000001"),
            ("StudyInstanceUID", "999.000.0001"),
        ],
    )
    def test_patient_data_in_a_key_that_is_usually_clear_is_not_kept_in_clear(self, keyword: str, value: str) -> None:
        kept = kept_keys(in_place(keyword, value), MAC)
        assert isinstance(kept[keyword], dict)

    @pytest.mark.parametrize(
        ("keyword", "value"),
        [
            ("AccessionNumber", "ACC1*"),
            ("AccessionNumber", "20260310"),
            ("RequestedProcedureID", "RP-12/3"),
            ("ScheduledStationAETitle", "MAMMO_1"),
            ("ScheduledStationAETitle", "MAM*"),
            ("Modality", "C?"),
            ("Modality", "M*"),
            ("ScheduledProcedureStepStatus", "STARTED"),
            ("ScheduledProcedureStepStatus", "IN*"),
            ("ScheduledProcedureStepStartTime", "090000.5-1000"),
            ("ScheduledProcedureStepStartTime", "-235960"),
            ("StudyInstanceUID", "1.2.840.10008.9990000001"),
        ],
    )
    def test_a_value_that_cannot_be_personal_is_kept_in_clear(self, keyword: str, value: str) -> None:
        assert kept_keys(in_place(keyword, value), MAC)[keyword] == value

    def test_only_the_names_of_keys_that_are_not_matched_are_kept(self) -> None:
        identifier = request(AdmissionID="123", OtherPatientIDs="9990123456", AccessionNumber="*")
        identifier.add_new(0x00091010, "LO", "SECRET")
        kept = kept_keys(identifier, MAC)
        assert kept == {"AdmissionID": {}, "OtherPatientIDs": {}, "AccessionNumber": "*"}
        assert set(ignored_keys(kept)) == {"AdmissionID", "OtherPatientIDs"}

    def test_the_keys_of_a_refused_query_are_kept(self) -> None:
        assert kept_keys(request(dataset(Modality="MG"), dataset(), PatientBirthDate="yesterday"), MAC) == {
            "PatientBirthDate": {},
            "ScheduledProcedureStepSequence": {},
        }

    def test_the_hash_depends_on_the_secret(self) -> None:
        assert kept_keys(request(PatientID="1"), MAC) != kept_keys(request(PatientID="1"), keyed_hash("other"))


class TestComparingByHash:
    @pytest.mark.parametrize(
        ("keys", "changes", "met"),
        [
            ({"PatientID": "9990000001"}, {}, True),
            ({"PatientID": "999 000 0001"}, {}, True),
            ({"PatientID": "9990000002"}, {}, False),
            ({"PatientName": "smith^jane^^"}, {}, True),
            ({"PatientName": "SMITH"}, {}, False),
            ({"PatientName": "SMITH^JANE"}, {"patient_name": "SMITH^JANE=李^安"}, True),
            ({"PatientName": "=李^安"}, {"patient_name": "SMITH^JANE=李^安"}, True),
            ({"PatientName": "SMITH*"}, {}, None),
            ({"PatientBirthDate": "19700321"}, {"patient_birth_date": date(1970, 3, 21)}, True),
            ({"PatientBirthDate": "19700322"}, {"patient_birth_date": date(1970, 3, 21)}, False),
            ({"PatientBirthDate": "1970-"}, {"patient_birth_date": date(1970, 3, 21)}, None),
            ({"PatientBirthDate": "19700101-"}, {"patient_birth_date": date(1970, 3, 21)}, None),
            ({"PatientSex": "F"}, {"patient_sex": ""}, False),
        ],
    )
    def test_matches_does_not_match_or_cannot_be_determined(
        self, keys: dict[str, Any], changes: dict[str, Any], met: bool | None
    ) -> None:
        assert hashed(**keys).matches(item(**changes), MAC) is met

    def test_folds_accents_if_configured(self) -> None:
        muller = item(patient_name="MÜLLER^EVA")
        assert hashed(PatientName="MULLER^EVA").matches(muller, MAC) is False
        assert hashed(MatchingOptions(folds_accents=True), PatientName="MULLER^EVA").matches(muller, MAC) is True

    def test_finds_an_accession_number_in_the_procedure_id_if_configured(self) -> None:
        barcode = item(accession_number="9990123456", requested_procedure_id="RP1")
        assert hashed(RequestedProcedureID="9990123456").matches(barcode, MAC) is False
        options = MatchingOptions(procedure_id_finds_accession=True)
        assert hashed(options, RequestedProcedureID="9990123456").matches(barcode, MAC) is True

    def test_cannot_be_determined_after_the_secret_has_changed(self) -> None:
        kept = kept_keys(request(PatientID="9990000001"), keyed_hash("of last year"))
        (key,) = hashed_keys(kept, MAC, DEFAULT_OPTIONS)
        assert key.matches(item(), MAC) is None

    NAMES = st.text("aàÀsßŁ^= ", min_size=1, max_size=6)

    @given(NAMES, NAMES, st.booleans())
    def test_agrees_with_matching_or_says_nothing(self, asked: str, name: str, folds: bool) -> None:
        options = MatchingOptions(folds_accents=folds)
        identifier = request(PatientName=asked)
        found = hashed_keys(kept_keys(identifier, MAC), MAC, options)
        candidate = item(patient_name=name, status="SCHEDULED")
        if found:
            assert found[0].matches(candidate, MAC) in (
                None,
                parse_matching_keys(identifier, options).matches(candidate),
            )


class TestIdentifierOf:
    def test_keys_kept_in_clear_mean_the_same_as_before(self) -> None:
        step = dataset(ScheduledProcedureStepStartDate="20260310-20260311", ScheduledProcedureStepStatus="*")
        step.ScheduledProcedureStepStartTime = "0900-1000"
        identifier = request(step, AccessionNumber="ACC1*", StudyInstanceUID=["1.2", "1.3"])
        assert parse_matching_keys(identifier_of(kept_keys(identifier, MAC))) == parse_matching_keys(identifier)

    def test_a_status_key_that_was_not_kept_still_hides_no_state(self) -> None:
        kept = kept_keys(request(dataset(ScheduledProcedureStepStatus=["COMPLETED", "JANE SMITH"])), MAC)
        assert parse_matching_keys(identifier_of(kept)).matches(item(status="COMPLETED"))
        (key,) = hashed_keys(kept, MAC, DEFAULT_OPTIONS)
        assert [key.matches(item(status=status), MAC) for status in ("COMPLETED", "SCHEDULED")] == [True, False]

    def test_no_keys_make_an_empty_identifier(self) -> None:
        assert identifier_of({}) == Dataset()
