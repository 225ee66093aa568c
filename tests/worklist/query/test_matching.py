"""Attribute matching, rule by rule (PS3.4 C.2.2.2), without a database or a network."""

import time as clock
from dataclasses import replace
from datetime import date, time
from typing import Any

import pytest
from pydicom.dataset import Dataset

from dicom.modality_policy import UNKNOWN, ModalityPolicy
from tests.dicom.requests import dataset, request
from tests.factories import WorklistItemFactory
from worklist.query.information_model import MatchingOptions
from worklist.query.matching import (
    BadKey,
    MatchingKeys,
    VisibleItems,
    WildCard,
    apply_policy,
    parse_matching_keys,
    step_item,
    values_of,
)
from worklist.query.person_names import name_groups


def matches(identifier: Dataset, **values: Any) -> bool:
    """Return whether an item with these values matches."""
    return parse_matching_keys(identifier).matches(WorklistItemFactory.build(**values))


def name_matches(key: str, stored: str) -> bool:
    """Return whether a stored PatientName matches a key."""
    return matches(request(PatientName=key), patient_name=stored)


def start_matches(day: str, at: str, *, dates: str = "", times: str = "") -> bool:
    """Return whether an item that starts on `day` at `at` (YYYYMMDD, HHMMSS) matches the two keys."""
    keys = dataset(ScheduledProcedureStepStartDate=dates, ScheduledProcedureStepStartTime=times)
    moment = date(int(day[:4]), int(day[4:6]), int(day[6:])), time(int(at[:2]), int(at[2:4]), int(at[4:6]))
    return matches(request(keys), scheduled_date=moment[0], scheduled_time=moment[1])


class TestAllKeysTogether:
    def test_every_key_must_match(self) -> None:
        identifier = request(dataset(Modality="MG"), PatientName="SMITH*", PatientID="9990000001")
        assert matches(identifier, patient_name="SMITH^JANE", patient_id="9990000001")
        assert not matches(identifier, patient_name="SMITH^JANE", patient_id="9990000002")
        assert not matches(identifier, patient_name="JONES^JANE", patient_id="9990000001")
        assert not matches(identifier, patient_name="SMITH^JANE", patient_id="9990000001", modality="CT")

    @pytest.mark.parametrize("value", ["", " ", "*", None, ["MG", "*"]])
    def test_a_zero_length_key_or_a_lone_star_is_universal(self, value: Any) -> None:
        assert parse_matching_keys(request(dataset(Modality=value), PatientID=value)) == MatchingKeys()

    @pytest.mark.parametrize("value", ["", "*"])
    def test_a_universal_key_matches_an_unknown_value(self, value: str) -> None:
        assert matches(request(PatientSex=value), patient_sex="")
        assert matches(request(dataset(ScheduledPerformingPhysicianName=value)), performing_physician_name="")

    @pytest.mark.parametrize("key", ["F", "?", "?*", "*?"])
    def test_no_other_group_of_the_key_matches_an_unknown_value(self, key: str) -> None:
        assert not matches(request(PatientSex=key), patient_sex="")

    @pytest.mark.parametrize("key", ["SMITH", "?*", "**", "S*"])
    def test_no_other_key_matches_an_unknown_name(self, key: str) -> None:
        step = dataset(ScheduledPerformingPhysicianName=key)
        assert not matches(request(step), performing_physician_name="")

    @pytest.mark.parametrize("key", ["HOLOGIC1", "HOL*", "?*"])
    def test_any_station_key_matches_an_item_without_a_station(self, key: str) -> None:
        assert matches(request(dataset(ScheduledStationAETitle=key)), station_ae_title="")

    def test_only_its_own_station_key_matches_an_item_with_one(self) -> None:
        assert not matches(request(dataset(ScheduledStationAETitle="HOLOGIC1")), station_ae_title="MAMMO1")


class TestSingleValues:
    @pytest.mark.parametrize(
        ("keyword", "field"),
        [
            ("PatientID", "patient_id"),
            ("PatientSex", "patient_sex"),
            ("AccessionNumber", "accession_number"),
            ("RequestedProcedureID", "requested_procedure_id"),
            ("StudyInstanceUID", "study_instance_uid"),
        ],
    )
    def test_a_root_key_is_matched_exactly(self, keyword: str, field: str) -> None:
        stored = {field: "1.2A"}
        assert matches(request(**{keyword: "1.2A"}), **stored)
        assert not matches(request(**{keyword: "1.2"}), **stored)
        assert not matches(request(**{keyword: "1.2a"}), **stored)
        assert not matches(request(**{keyword: "1.2AB"}), **stored)

    @pytest.mark.parametrize(
        ("keyword", "field"),
        [
            ("ScheduledStationAETitle", "station_ae_title"),
            ("Modality", "modality"),
            ("ScheduledProcedureStepDescription", "study_description"),
            ("ScheduledProcedureStepID", "scheduled_procedure_step_id"),
        ],
    )
    def test_a_key_of_the_step_is_matched_exactly(self, keyword: str, field: str) -> None:
        stored = {field: "ROOM1"}
        assert matches(request(dataset(**{keyword: "ROOM1"})), **stored)
        assert not matches(request(dataset(**{keyword: "room1"})), **stored)
        assert not matches(request(dataset(**{keyword: "ROOM"})), **stored)

    @pytest.mark.parametrize(("key", "stored"), [(" MG ", "MG"), ("MG", "MG "), ("MG\0", "MG")])
    def test_surrounding_spaces_and_padding_are_ignored(self, key: str, stored: str) -> None:
        assert matches(request(dataset(Modality=key)), modality=stored)

    def test_spaces_inside_a_value_count(self) -> None:
        assert not matches(request(AccessionNumber="A 1"), accession_number="A1")

    @pytest.mark.parametrize("key", ["9990000001", "999 000 0001", "99900 00001"])
    @pytest.mark.parametrize("stored", ["9990000001", "999 000 0001"])
    def test_spaces_inside_an_nhs_number_are_ignored(self, key: str, stored: str) -> None:
        assert matches(request(PatientID=key), patient_id=stored)

    @pytest.mark.parametrize("key", ["999 000*", "999*", "999 000 000?", "9990000*"])
    def test_spaces_inside_part_of_an_nhs_number_are_ignored(self, key: str) -> None:
        assert matches(request(PatientID=key), patient_id="9990000001")

    def test_spaces_inside_other_numbers_count(self) -> None:
        assert not matches(request(PatientID="AB 12*"), patient_id="AB12")

    @pytest.mark.parametrize("key", ["999 000 0002", "99 90", "999 000 000"])
    def test_spaces_do_not_make_another_number_of_it(self, key: str) -> None:
        assert not matches(request(PatientID=key), patient_id="9990000001")

    def test_one_of_several_values_is_enough(self) -> None:
        identifier = request(dataset(Modality=["MG", "CT"]), PatientID=["1", "2"])
        assert matches(identifier, modality="CT", patient_id="1")
        assert not matches(identifier, modality="US", patient_id="1")

    def test_a_list_of_uids_matches_any_of_them(self) -> None:
        identifier = request(StudyInstanceUID=["1.2.3", "1.2.4"])
        assert matches(identifier, study_instance_uid="1.2.4")
        assert not matches(identifier, study_instance_uid="1.2.5")

    def test_a_uid_has_no_wild_cards(self) -> None:
        assert not matches(request(StudyInstanceUID="1.2.*"), study_instance_uid="1.2.3")

    def test_a_key_may_be_longer_than_its_vr_allows(self) -> None:
        assert not matches(request(AccessionNumber="A" * 300), accession_number="A" * 16)
        assert matches(request(AccessionNumber="*" * 300 + "A"), accession_number="BA")


class TestWildCards:
    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("ACC*", "ACC1"),
            ("ACC*", "ACC"),
            ("*1", "ACC1"),
            ("A*1", "ACC1"),
            ("A*C*1", "ACC1"),
            ("*CC*", "ACC1"),
            ("A**1", "ACC1"),
            ("ACC?", "ACC1"),
            ("?CC?", "ACC1"),
            ("A?*1", "ACC1"),
            ("?*", "A"),
            ("A*AB", "AAAAB"),
            ("*AB*AB", "ABAB"),
            ("Á?C", "ÁÉC"),
        ],
    )
    def test_star_is_any_run_and_question_mark_any_one_character(self, key: str, stored: str) -> None:
        assert matches(request(AccessionNumber=key), accession_number=stored)

    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("ACC?", "ACC"),
            ("ACC?", "ACC12"),
            ("ACC", "ACC1"),
            ("*C", "ACC1"),
            ("C*", "ACC1"),
            ("*AB*AB", "ABA"),
            ("acc*", "ACC1"),
            ("A?C", "AÉÉC"),
        ],
    )
    def test_wild_cards_match_no_more_than_that(self, key: str, stored: str) -> None:
        assert not matches(request(AccessionNumber=key), accession_number=stored)

    @pytest.mark.parametrize("literal", ["%", "_", "[A-C]", ".", "\\d", "(A|B)", "^", "$", "+", "{2}", "[!A]", "#"])
    def test_nothing_else_is_special(self, literal: str) -> None:
        """Test the condition itself: in a request a backslash would separate two values."""
        condition = WildCard((f"{literal}*",))
        assert not any(condition.matches(stored) for stored in ("A", "AA", "B", "1"))
        assert condition.matches(f"{literal}A")

    def test_a_percent_sign_stands_for_itself(self) -> None:
        assert not matches(request(PatientID="%*"), patient_id="9990000001")
        assert not matches(request(PatientID="999000000_*"), patient_id="9990000001")
        assert matches(request(PatientID="100%*"), patient_id="100% WOOL")

    def test_a_pattern_designed_to_be_slow_is_not(self) -> None:
        started = clock.monotonic()
        assert not matches(request(PatientName="*a" * 30 + "*b"), patient_name="a" * 64)
        assert clock.monotonic() - started < 1

    def test_each_of_several_values_may_have_wild_cards(self) -> None:
        identifier = request(AccessionNumber=["A*", "B1"])
        assert matches(identifier, accession_number="A7")
        assert matches(identifier, accession_number="B1")
        assert not matches(identifier, accession_number="B12")


class TestNames:
    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("SMITH^JANE", "SMITH^JANE"),
            ("smith^jane", "SMITH^JANE"),
            ("SMITH^JANE", "Smith^Jane"),
            ("SMITH^JANE^^^", "SMITH^JANE"),
            ("SMITH^JANE", "SMITH^JANE^^"),
            (" SMITH ^ JANE ", "SMITH^JANE"),
            ("SMITH^JANE=", "SMITH^JANE"),
            ("O'BRIEN*", "O'BRIEN^SIOBHÁN"),
            ("MÜLLER*", "müller^zoë"),
            ("STRASSE", "STRAßE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("O'BRIEN^SIOBHA\u0301N", "O'BRIEN^SIOBHÁN"),
            ("O'BRIEN^SIOBHÁN", "O'BRIEN^SIOBHA\u0301N"),
        ],
    )
    def test_case_composition_and_empty_components_are_ignored(self, key: str, stored: str) -> None:
        assert name_matches(key, stored)

    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("SMITH", "SMITH^JANE"),
            ("SMITH^JAN", "SMITH^JANE"),
            ("SMITH^^JANE", "SMITH^JANE"),
            ("MULLER", "MÜLLER"),
            ("JANE^SMITH", "SMITH^JANE"),
        ],
    )
    def test_all_other_differences_count(self, key: str, stored: str) -> None:
        """No star is added to a family name, accents count, and components keep their places."""
        assert not name_matches(key, stored)

    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("SMITH*", "SMITH^JANE"),
            ("SM?TH^J*", "SMITH^JANE"),
            ("SMITH^*", "SMITH"),
            ("SMITH^JANE^*", "SMITH^JANE"),
            ("SMITH^*^DR", "SMITH^^DR"),
            ("*^JANE", "SMITH^JANE"),
            ("O'BRIEN^SIOBH?N", "O'BRIEN^SIOBHÁN"),
            ("O'BRIEN^SIOBH?N", "O'BRIEN^SIOBHA\u0301N"),
            ("GRO?", "GROß"),
            ("%*", "%SMITH"),
        ],
    )
    def test_wild_cards_work_in_names(self, key: str, stored: str) -> None:
        assert name_matches(key, stored)

    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("SMITH?", "SMITH"),
            ("SMITH^?", "SMITH"),
            ("SMITH^JANE^?*", "SMITH^JANE"),
            ("SM_TH*", "SMITH^JANE"),
            ("%", "SMITH"),
            ("S.*", "SMITH"),
        ],
    )
    def test_wild_cards_in_names_match_no_more_than_that(self, key: str, stored: str) -> None:
        assert not name_matches(key, stored)

    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("LEE^ANN", "LEE^ANN=李^安"),
            ("=李^安", "LEE^ANN=李^安"),
            ("=李*", "LEE^ANN=李^安"),
            ("LEE^ANN=李^安", "LEE^ANN=李^安"),
            ("*=李^安", "LEE^ANN=李^安"),
            ("*=李^安", "=李^安"),
            ("==이*", "LEE=李=이^안"),
            ("lee^ann=", "LEE^ANN=李^安"),
        ],
    )
    def test_each_component_group_is_matched_by_the_same_group_of_the_key(self, key: str, stored: str) -> None:
        assert name_matches(key, stored)

    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("李^安", "LEE^ANN=李^安"),
            ("=LEE^ANN", "LEE^ANN=李^安"),
            ("LEE^ANN=王^安", "LEE^ANN=李^安"),
            ("LEE^ANN=李^安", "LEE^ANN"),
            ("LEE", "=LEE"),
        ],
    )
    def test_no_other_word_matches_in_progress(self, key: str, stored: str) -> None:
        assert not name_matches(key, stored)

    @pytest.mark.parametrize("key", ["=", "^^^^", "*=*", "=*=", "^=^"])
    def test_a_name_of_empty_groups_is_universal(self, key: str) -> None:
        step = dataset(ScheduledPerformingPhysicianName=key)
        assert matches(request(step), performing_physician_name="")

    def test_one_of_several_names_is_enough(self) -> None:
        identifier = request(PatientName=["SMITH*", "JONES*"])
        assert matches(identifier, patient_name="JONES^MARY")
        assert not matches(identifier, patient_name="BROWN^MARY")

    def test_the_performing_physician_is_matched_as_a_name(self) -> None:
        step = dataset(ScheduledPerformingPhysicianName="house*")
        assert matches(request(step), performing_physician_name="HOUSE^GREGORY")
        assert not matches(request(step), performing_physician_name="WILSON^JAMES")

    def test_groups_are_compared_without_case_and_spaces(self) -> None:
        assert name_groups(" LEE ^ANN^^=李^安") == ["lee^ann", "李^安"]


class TestDates:
    @pytest.mark.parametrize(
        ("key", "days"),
        [
            ("20260311", ["11"]),
            ("20260310-20260311", ["10", "11"]),
            ("20260311-20260311", ["11"]),
            ("-20260310", ["09", "10"]),
            ("20260311-", ["11", "12"]),
            (" 20260311- ", ["11", "12"]),
            ("20260312-20260310", []),
            (["20260309", "20260312"], ["09", "12"]),
            (["20260309", "20260311-"], ["09", "11", "12"]),
        ],
    )
    def test_single_value_range_and_list(self, key: Any, days: list[str]) -> None:
        found = [day for day in ("09", "10", "11", "12") if start_matches(f"202603{day}", "093000", dates=key)]
        assert found == days

    def test_birth_dates_are_matched_by_value_and_range(self) -> None:
        born = {"patient_birth_date": date(1970, 3, 21)}
        assert matches(request(PatientBirthDate="19700321"), **born)
        assert matches(request(PatientBirthDate="19700101-19701231"), **born)
        assert not matches(request(PatientBirthDate="19700322"), **born)

    @pytest.mark.parametrize(
        "key",
        [
            "2026.03.11",
            "20260230",
            "20261301",
            "00000000",
            "2026031",
            "202603111",
            "TODAY",
            "-",
            "--",
            "20260310-20260311-20260312",
            "20260310-TODAY",
            "2026031*",
            "٢٠٢٦٠٣١١",
            ["20260310", "NEVER"],
        ],
    )
    def test_a_key_that_is_not_a_date_is_a_bad_key(self, key: Any) -> None:
        with pytest.raises(BadKey, match="ScheduledProcedureStepStartDate is") as refusal:
            parse_matching_keys(request(dataset(ScheduledProcedureStepStartDate=key)))
        assert refusal.value.tag == 0x00400002


class TestTimes:
    @pytest.mark.parametrize(
        ("key", "times"),
        [
            ("1000", ["100000"]),
            ("10", ["100000"]),
            ("100000", ["100000"]),
            ("100000.000000", ["100000"]),
            ("100000.0", ["100000"]),
            ("0900-1000", ["090000", "095959", "100000", "100059"]),
            ("09-10", ["090000", "095959", "100000", "100059", "105959"]),
            ("0900-100000", ["090000", "095959", "100000"]),
            ("1000-", ["100000", "100059", "105959", "235959"]),
            ("-0900", ["000000", "090000"]),
            ("-000000", ["000000"]),
            ("0000-2359", ["000000", "090000", "095959", "100000", "100059", "105959", "235959"]),
            ("220000-060000", []),
            (["0900", "1000"], ["090000", "100000"]),
        ],
    )
    def test_single_values_ranges_and_lists_compare_times(self, key: Any, times: list[str]) -> None:
        stored = ["000000", "090000", "095959", "100000", "100059", "105959", "235959"]
        assert [at for at in stored if start_matches("20260310", at, times=key)] == times

    def test_2230_is_223000(self) -> None:
        assert start_matches("20260310", "223000", times="2230")

    @pytest.mark.parametrize("key", ["100000.5", "100000.50", "100000.500000", "100000.5-100000.5"])
    def test_fractions_compare_as_times(self, key: str) -> None:
        step = dataset(ScheduledProcedureStepStartTime=key)
        assert matches(request(step), scheduled_time=time(10, 0, 0, 500000))
        assert not matches(request(step), scheduled_time=time(10, 0, 0, 400000))
        assert not matches(request(step), scheduled_time=time(10, 0, 0, 600000))

    def test_an_upper_bound_includes_all_that_its_precision_leaves_open(self) -> None:
        step = dataset(ScheduledProcedureStepStartTime="0000-235959")
        assert matches(request(step), scheduled_time=time(23, 59, 59, 999999))

    @pytest.mark.parametrize(
        "key", ["2400", "1060", "100061", "9", "930", "10:00", "100000.", "100000.1234567", "NOON", "-", "0900-NOON"]
    )
    def test_a_key_that_is_not_a_time_is_a_bad_key(self, key: str) -> None:
        with pytest.raises(BadKey, match="ScheduledProcedureStepStartTime is") as refusal:
            parse_matching_keys(request(dataset(ScheduledProcedureStepStartTime=key)))
        assert refusal.value.tag == 0x00400003


#: Seven a day from 09:30 to 12:30 would not show the difference; these lie around every edge of the table below.
MOMENTS = [
    f"{day} {at}"
    for day in ("10", "11", "12")
    for at in ("050000", "090000", "093000", "100000", "140000", "220000", "235959")
]


def found(dates: str, times: str) -> list[str]:
    """Return those of MOMENTS that match the two keys."""
    return [each for each in MOMENTS if start_matches(f"202603{each[:2]}", each[3:], dates=dates, times=times)]


class TestCombinedDateTimeRanges:
    def test_two_full_ranges_are_one_range(self) -> None:
        assert found("20260310-20260311", "093000-100000") == [
            *("10 093000", "10 100000", "10 140000", "10 220000", "10 235959"),
            *("11 050000", "11 090000", "11 093000", "11 100000"),
        ]

    def test_two_ranges_open_at_the_end_are_one_range(self) -> None:
        assert found("20260311-", "140000-") == [
            *("11 140000", "11 220000", "11 235959"),
            *[each for each in MOMENTS if each.startswith("12")],
        ]

    def test_two_ranges_open_at_the_start_are_one_range(self) -> None:
        assert found("-20260311", "-093000") == [
            *[each for each in MOMENTS if each.startswith("10")],
            *("11 050000", "11 090000", "11 093000"),
        ]

    def test_a_combined_range_may_be_a_night(self) -> None:
        assert found("20260311-20260312", "220000-060000") == ["11 220000", "11 235959", "12 050000"]

    def test_a_combined_range_within_one_day_is_part_of_that_day(self) -> None:
        assert found("20260310-20260310", "093000-100000") == ["10 093000", "10 100000"]
        assert found("20260310-20260310", "220000-060000") == []

    def test_a_combined_range_includes_the_whole_of_its_last_minute(self) -> None:
        assert found("20260310-20260311", "2200-2359")[-1] == "11 235959"

    def test_a_day_and_a_range_of_times_are_that_morning(self) -> None:
        assert found("20260310", "093000-100000") == ["10 093000", "10 100000"]

    def test_a_range_of_days_and_one_time_are_that_time_on_each(self) -> None:
        assert found("20260310-20260311", "090000") == ["10 090000", "11 090000"]

    def test_ranges_of_different_forms_are_matched_separately(self) -> None:
        late = ("140000", "220000", "235959")
        assert found("20260310-20260311", "140000-") == [f"{day} {at}" for day in ("10", "11") for at in late]
        assert found("20260311-", "-090000") == ["11 050000", "11 090000", "12 050000", "12 090000"]
        assert found("-20260310", "0930-1000") == ["10 093000", "10 100000"]

    def test_a_range_of_times_alone_is_on_every_day(self) -> None:
        assert found("", "093000-100000") == [
            f"{day} {at}" for day in ("10", "11", "12") for at in ("093000", "100000")
        ]

    @pytest.mark.parametrize(
        ("dates", "times", "keyword"),
        [
            ("20260310-20269999", "0900-1000", "ScheduledProcedureStepStartDate"),
            ("20260310-20260311", "0900-2500", "ScheduledProcedureStepStartTime"),
            ("-", "-", "ScheduledProcedureStepStartDate"),
        ],
    )
    def test_an_invalid_range_is_a_bad_key(self, dates: str, times: str, keyword: str) -> None:
        with pytest.raises(BadKey, match=keyword):
            found(dates, times)


class TestStatuses:
    @pytest.mark.parametrize("key", ["STARTED", "IN PROGRESS", "START*", "IN?PROGRESS", ["COMPLETED", "STARTED"]])
    def test_started_and_in_progress_both_match_in_progress(self, key: Any) -> None:
        assert matches(request(dataset(ScheduledProcedureStepStatus=key)), status="IN PROGRESS")

    @pytest.mark.parametrize("key", ["SCHEDULED", "started", "ARRIVED", "COMP*"])
    def test_no_other_key_matches(self, key: str) -> None:
        assert not matches(request(dataset(ScheduledProcedureStepStatus=key)), status="IN PROGRESS")

    @pytest.mark.parametrize(("key", "named"), [("COMPLETED", True), ("*", True), ("", False), (None, False)])
    def test_a_status_key_with_a_value_names_the_status(self, key: str | None, named: bool) -> None:
        assert parse_matching_keys(request(dataset(ScheduledProcedureStepStatus=key))).names_status is named


class TestMatchingOptions:
    @pytest.mark.parametrize(
        ("key", "stored"),
        [
            ("MULLER", "MÜLLER"),
            ("müller", "MULLER"),
            ("LUKASZ^WYN", "ŁUKASZ^ŴYN"),
            ("ŁUK*", "LUKASZ"),
            ("O?BRIEN^SIOBH?N", "O'BRIEN^SIOBHA\u0301N"),
            ("SORENSEN", "SØRENSEN"),
        ],
    )
    def test_accents_are_ignored_if_configured(self, key: str, stored: str) -> None:
        item = WorklistItemFactory.build(patient_name=stored)
        assert parse_matching_keys(request(PatientName=key), MatchingOptions(folds_accents=True)).matches(item)
        assert parse_matching_keys(request(PatientName=key)).matches(item) is (key == "O?BRIEN^SIOBH?N")

    @pytest.mark.parametrize("key", ["\u0301", "=\u0301", "\u2260"])
    def test_a_lone_accent_matches_nothing(self, key: str) -> None:
        item = WorklistItemFactory.build(patient_name="SMITH^JANE=李")
        assert not parse_matching_keys(request(PatientName=key), MatchingOptions(folds_accents=True)).matches(item)

    def test_letters_still_count_if_accents_are_ignored(self) -> None:
        options = MatchingOptions(folds_accents=True)
        item = WorklistItemFactory.build(patient_name="MÜLLER^JANE")
        assert not parse_matching_keys(request(PatientName="MILLER*"), options).matches(item)
        assert not parse_matching_keys(request(PatientName="MULLER"), options).matches(item)

    def test_a_procedure_id_matches_an_accession_number_if_configured(self) -> None:
        item = WorklistItemFactory.build(accession_number="ACC1", requested_procedure_id="RP1")
        options = MatchingOptions(procedure_id_finds_accession=True)
        for key in ("ACC1", "ACC*", "RP1"):
            assert parse_matching_keys(request(RequestedProcedureID=key), options).matches(item)
        assert not parse_matching_keys(request(RequestedProcedureID="ACC1")).matches(item)
        assert not parse_matching_keys(request(AccessionNumber="RP1"), options).matches(item)


class TestApplyPolicy:
    OWN = ModalityPolicy(own_list_only=True)
    HIDES = ModalityPolicy(hides_in_progress=True)

    def sees(self, policy: ModalityPolicy, identifier: Dataset, **values: Any) -> bool:
        """Return whether HOLOGIC1 is shown an item with these values."""
        item = WorklistItemFactory.build(**values)
        return apply_policy(parse_matching_keys(identifier), policy, "HOLOGIC1").matches(item)

    @pytest.mark.parametrize("key", ["", "*", "HOLOGIC*", "HOLOGIC1"])
    def test_a_modality_limited_to_its_own_list_sees_that_list(self, key: str) -> None:
        identifier = request(dataset(ScheduledStationAETitle=key))
        assert self.sees(self.OWN, identifier, station_ae_title="HOLOGIC1")
        assert self.sees(self.OWN, identifier, station_ae_title="")
        assert not self.sees(self.OWN, identifier, station_ae_title="HOLOGIC2")

    def test_a_modality_limited_to_its_own_list_sees_no_other_even_by_key(self) -> None:
        identifier = request(dataset(ScheduledStationAETitle="HOLOGIC2"))
        assert not self.sees(self.OWN, identifier, station_ae_title="HOLOGIC2")
        assert not self.sees(self.OWN, identifier, station_ae_title="HOLOGIC1")

    @pytest.mark.parametrize(("key", "shown"), [("", False), (None, False), ("STARTED", True), ("*", True)])
    def test_items_in_progress_are_hidden_unless_the_query_names_a_status(self, key: str | None, shown: bool) -> None:
        identifier = request(dataset(ScheduledProcedureStepStatus=key))
        assert self.sees(self.HIDES, identifier, status="IN PROGRESS") is shown
        assert self.sees(UNKNOWN, identifier, status="IN PROGRESS")

    def test_a_policy_without_limits_hides_test_items_only(self) -> None:
        keys = parse_matching_keys(request(PatientName="SMITH*"))
        assert apply_policy(keys, UNKNOWN, "HOLOGIC1") == replace(
            keys, shown_to=VisibleItems("HOLOGIC1", is_test_machine=False)
        )

    @pytest.mark.parametrize("key", ["ACC1", "*", ""])
    def test_a_test_item_is_shown_to_test_machines_and_to_the_machine_it_is_made_for(self, key: str) -> None:
        identifier = request(dataset(ScheduledProcedureStepStatus="*"), AccessionNumber=key)
        real, test = ModalityPolicy(is_known=True), ModalityPolicy(is_known=True, is_test_machine=True)
        for policy, made_for, is_test, is_shown in (
            (real, "", False, True),
            (real, "", True, False),
            (real, "HOLOGIC2", True, False),
            (real, "HOLOGIC1", True, True),
            (UNKNOWN, "", True, False),
            (test, "", True, True),
            (test, "HOLOGIC2", True, True),
            (test, "", False, False),
        ):
            values = {"accession_number": "ACC1", "is_test": is_test, "proves_ae_title": made_for}
            assert self.sees(policy, identifier, **values) is is_shown


class TestCriteria:
    @pytest.mark.parametrize(
        ("identifier", "name", "query_value", "rule"),
        [
            (request(PatientID="1"), "PatientID", "1", "PS3.4 C.2.2.2.1"),
            (request(PatientName="SMITH*"), "PatientName", "SMITH*", "PS3.4 C.2.2.2.4"),
            (request(PatientName="SMITH"), "PatientName", "SMITH", "PS3.4 C.2.2.2.1"),
            (request(StudyInstanceUID=["1.2", "1.3"]), "StudyInstanceUID", "1.2\\1.3", "PS3.4 C.2.2.2.2"),
            (request(PatientBirthDate="19700101-"), "PatientBirthDate", "19700101-", "PS3.4 C.2.2.2.5"),
            (request(PatientBirthDate="19700101"), "PatientBirthDate", "19700101", "PS3.4 C.2.2.2.1"),
            (request(dataset(Modality="M?")), "Modality", "M?", "PS3.4 C.2.2.2.4"),
        ],
    )
    def test_a_key_holds_the_query_value_and_the_rule(
        self, identifier: Dataset, name: str, query_value: str, rule: str
    ) -> None:
        (key,) = parse_matching_keys(identifier).keys
        assert (key.name, key.query_value, key.rule) == (name, query_value, rule)

    def test_every_criterion_has_a_name_and_a_rule(self) -> None:
        step = dataset(ScheduledProcedureStepStartDate="20260310-", ScheduledProcedureStepStartTime="0900-")
        keys = apply_policy(
            parse_matching_keys(request(step, PatientID="1")), ModalityPolicy(own_list_only=True), "HOLOGIC1"
        )
        found = [(criterion.name, criterion.query_value) for criterion in keys.criteria]
        assert found == [
            ("Test item", ""),
            ("ScheduledProcedureStepStatus", ""),
            ("ScheduledProcedureStepStartDate and ScheduledProcedureStepStartTime", "20260310- 0900-"),
            ("PatientID", "1"),
            ("ScheduledStationAETitle", "HOLOGIC1"),
        ]
        assert all(criterion.rule for criterion in keys.criteria)


class TestAttributesThatAreNotKeys:
    def test_a_query_retrieve_level_a_private_element_and_a_group_length_are_ignored(self) -> None:
        identifier = request(QueryRetrieveLevel="SCHEDULED", SpecificCharacterSet="ISO_IR 100")
        identifier.add_new(0x00090010, "LO", "ACME")
        identifier.add_new(0x00100000, "UL", 8)
        assert parse_matching_keys(identifier) == MatchingKeys()

    def test_a_modality_at_the_root_is_ignored(self) -> None:
        assert matches(request(Modality="CT"), modality="MG")

    def test_an_attribute_that_is_not_matched_on_is_ignored(self) -> None:
        assert matches(request(dataset(ScheduledStationName="A2"), AdmissionID="123", PatientWeight="70"))

    def test_a_timezone_offset_is_ignored(self) -> None:
        assert parse_matching_keys(request(TimezoneOffsetFromUTC="+0300")) == MatchingKeys()


class TestTheStepSequence:
    @pytest.mark.parametrize("identifier", [request(), request(dataset()), request(ScheduledProcedureStepSequence=[])])
    def test_it_may_be_absent_empty_or_have_an_empty_item(self, identifier: Dataset) -> None:
        assert len(step_item(identifier)) == 0
        assert matches(identifier)

    def test_two_items_are_a_bad_key(self) -> None:
        with pytest.raises(BadKey, match="ScheduledProcedureStepSequence has more than one item") as refusal:
            parse_matching_keys(request(dataset(Modality="MG"), dataset(Modality="CT")))
        assert refusal.value.tag == 0x00400100

    def test_a_value_that_is_not_a_sequence_is_a_bad_key(self) -> None:
        identifier = request()
        identifier.add_new(0x00400100, "LO", "MG")
        with pytest.raises(BadKey, match="is no sequence"):
            parse_matching_keys(identifier)


class TestBadKeys:
    def test_the_text_is_an_error_comment_without_the_value(self) -> None:
        with pytest.raises(BadKey) as refusal:
            parse_matching_keys(request(PatientBirthDate="SMITH^JANE 9990000001"))
        assert str(refusal.value) == "PatientBirthDate is not a date (YYYYMMDD)"
        assert len(str(refusal.value)) <= 64


class TestValuesOf:
    @pytest.mark.parametrize(
        ("value", "texts"),
        [
            (None, []),
            ("", []),
            ("  ", []),
            (" A B ", ["A B"]),
            (["A", " B", ""], ["A", "B"]),
            ("1.2.3\0", ["1.2.3"]),
            (4, ["4"]),
        ],
    )
    def test_values_are_texts_without_padding(self, value: Any, texts: list[str]) -> None:
        assert values_of(value) == texts


class TestOddValues:
    @pytest.mark.parametrize("key", ["235960", "000000-235960", "235960-", "-235960.5"])
    def test_a_leap_second_is_valid(self, key: str) -> None:
        step = Dataset()
        step.ScheduledProcedureStepStartTime = key
        identifier = Dataset()
        identifier.ScheduledProcedureStepSequence = [step]
        assert parse_matching_keys(identifier).keys

    def test_a_text_sent_as_a_sequence_is_a_bad_key(self) -> None:
        identifier = Dataset()
        identifier.add_new(0x00080050, "SQ", [Dataset()])
        with pytest.raises(BadKey, match="AccessionNumber is a sequence"):
            parse_matching_keys(identifier)
