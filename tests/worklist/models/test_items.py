"""Store items under constraints, and match them in SQL exactly as in Python."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, time
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from core.audit import Auditor
from core.contract import ItemStatus
from dicom.modality_policy import ModalityPolicy
from tests.dicom.requests import dataset, request
from tests.factories import WorklistItemFactory
from worklist.item_fields import FIELD_LENGTHS, NEVER_EMPTY
from worklist.models.items import COMPARED_AS_TEXT, PAGE, SEARCH_LENGTH, MatchingRows, WorklistItem
from worklist.query.information_model import MatchingOptions
from worklist.query.matching import MatchingKeys, apply_policy, parse_matching_keys
from worklist.query.person_names import NamePattern, search_form, search_pattern, wild_card

pytestmark = pytest.mark.django_db


def assert_refused(**values: Any) -> None:
    """Check that the database refuses an item with these values."""
    with pytest.raises(DatabaseError), transaction.atomic():
        WorklistItemFactory.create(**values)


class TestConstraints:
    @pytest.mark.parametrize("field", sorted(set(FIELD_LENGTHS) - {"status", "study_instance_uid"}))
    def test_no_text_is_longer_than_its_vr_allows(self, field: str) -> None:
        assert WorklistItemFactory.create(**{field: "É" * FIELD_LENGTHS[field]})
        assert_refused(**{field: "É" * (FIELD_LENGTHS[field] + 1)})

    def test_no_uid_is_longer_than_64_characters(self) -> None:
        assert_refused(study_instance_uid="1" * 65)

    @pytest.mark.parametrize("field", NEVER_EMPTY)
    def test_no_required_field_is_empty(self, field: str) -> None:
        assert_refused(**{field: ""})
        assert_refused(**{field: None})

    @pytest.mark.parametrize("field", sorted(set(COMPARED_AS_TEXT) - {"patient_sex"}))  # which is one character
    @pytest.mark.parametrize("padded", [" 1", "1 "])
    def test_no_matched_text_has_spaces_around_it(self, field: str, padded: str) -> None:
        assert_refused(**{field: padded})

    @pytest.mark.parametrize("status", ["", "STARTED", "scheduled", "DEPARTED"])
    def test_no_other_status_is_stored(self, status: str) -> None:
        assert_refused(status=status)

    def test_no_accession_number_is_stored_twice(self) -> None:
        WorklistItemFactory.create(accession_number="ACC1")
        assert_refused(accession_number="ACC1")
        assert WorklistItemFactory.create(accession_number="acc1")

    @pytest.mark.parametrize("field", ["patient_birth_date", "scheduled_date", "scheduled_time"])
    def test_no_date_or_time_is_null(self, field: str) -> None:
        assert_refused(**{field: None})

    def test_updates_are_checked_too(self) -> None:
        item = WorklistItemFactory.create()
        with pytest.raises(IntegrityError), transaction.atomic():
            WorklistItem.objects.filter(pk=item.pk).update(status="LOST")


class TestAnItem:
    def test_is_displayed_by_its_accession_number_without_the_name(self) -> None:
        item = WorklistItemFactory.create(accession_number="ACC1")
        assert str(item) == "ACC1"
        assert "SMITH" not in repr(item)

    def test_stores_names_and_times_unchanged(self) -> None:
        values = {"patient_name": "LEE^ANN=李^安", "scheduled_time": time(9, 5, 0, 250000)}
        item = WorklistItemFactory.create(**values)
        item.refresh_from_db()
        assert {name: getattr(item, name) for name in values} == values


def accession_numbers(identifier: Dataset) -> list[str]:
    """Return the accession numbers of the items that a request finds."""
    return [item.accession_number for item in MatchingRows(parse_matching_keys(identifier))]


class TestOpenItems:
    def test_are_those_that_are_not_final(self) -> None:
        for status in ItemStatus:
            WorklistItemFactory.create(status=status)
        assert {item.status for item in WorklistItem.objects.open()} == {
            "SCHEDULED",
            "ARRIVED",
            "READY",
            "IN PROGRESS",
        }


class TestMatchingItems:
    def test_are_ordered_by_date_time_and_accession_number(self) -> None:
        for number, day, at in (("D", 11, 9), ("C", 10, 10), ("B", 10, 9), ("A", 10, 10), ("E", 9, 23)):
            moment = {"scheduled_date": date(2026, 3, day), "scheduled_time": time(at)}
            WorklistItemFactory.create(accession_number=number, **moment)
        assert accession_numbers(request()) == ["E", "B", "A", "C", "D"]

    @pytest.mark.parametrize(
        ("status", "found"),
        [
            ("", ["ARRIVED", "IN PROGRESS", "READY", "SCHEDULED"]),
            (None, ["ARRIVED", "IN PROGRESS", "READY", "SCHEDULED"]),
            ("SCHEDULED", ["ARRIVED", "READY", "SCHEDULED"]),
            ("COMPLETED", ["COMPLETED"]),
            ("STARTED", ["IN PROGRESS"]),
            ("*", ["ARRIVED", "COMPLETED", "DISCONTINUED", "IN PROGRESS", "READY", "SCHEDULED"]),
            ("ARRIVED", ["ARRIVED"]),
            ("DEPARTED", []),
        ],
    )
    def test_are_open_unless_a_status_is_a_matching_key(self, status: str | None, found: list[str]) -> None:
        for stored in ItemStatus:
            WorklistItemFactory.create(status=stored)
        keys = parse_matching_keys(request(dataset(ScheduledProcedureStepStatus=status)))
        assert sorted(row.status for row in MatchingRows(keys, "status")) == found

    def test_without_a_station_match_every_station(self) -> None:
        WorklistItemFactory.create(accession_number="A", station_ae_title="")
        WorklistItemFactory.create(accession_number="B", station_ae_title="HOLOGIC2")
        assert accession_numbers(request(dataset(ScheduledStationAETitle="HOLOGIC1"))) == ["A"]

    def test_may_match_one_of_several_days(self) -> None:
        for day in (9, 10, 11, 12):
            WorklistItemFactory.create(accession_number=f"A{day}", scheduled_date=date(2026, 3, day))
        keys = dataset(ScheduledProcedureStepStartDate=["20260309", "20260311-"])
        assert accession_numbers(request(keys)) == ["A9", "A11", "A12"]

    def test_may_match_the_last_day_of_a_range(self) -> None:
        WorklistItemFactory.create(accession_number="A", scheduled_date=date(2026, 3, 11), scheduled_time=time(9))
        keys = {"ScheduledProcedureStepStartDate": "20260310-20260311", "ScheduledProcedureStepStartTime": "22-10"}
        assert accession_numbers(request(dataset(**keys))) == ["A"]

    def test_do_not_match_a_key_with_a_nul(self) -> None:
        """PostgreSQL would refuse the whole query."""
        WorklistItemFactory.create(patient_id="12")
        assert accession_numbers(request(PatientID="1\x002")) == []
        assert accession_numbers(request(AccessionNumber=["A\x00"])) == []

    def test_match_percent_signs_and_quotes_literally(self) -> None:
        WorklistItemFactory.create(accession_number="A%'\"_")
        assert accession_numbers(request(AccessionNumber="A%'\"_")) == ["A%'\"_"]
        assert accession_numbers(request(AccessionNumber="%")) == []

    @pytest.mark.parametrize(
        ("calling", "is_test_machine", "found"),
        [
            ("MAMMO1", False, ["MADE FOR IT", "REAL"]),
            ("MAMMO2", False, ["REAL"]),
            ("TEST1", True, ["MADE FOR IT", "TEST"]),
        ],
    )
    def test_are_shown_to_real_or_to_test_machines(
        self, calling: str, is_test_machine: bool, found: list[str], django_assert_num_queries: Any
    ) -> None:
        WorklistItemFactory.create(accession_number="REAL")
        WorklistItemFactory.create(accession_number="TEST", is_test=True)
        WorklistItemFactory.create(accession_number="MADE FOR IT", is_test=True, proves_ae_title="MAMMO1")
        policy = ModalityPolicy(is_test_machine=is_test_machine)
        keys = apply_policy(parse_matching_keys(request()), policy, calling)
        with django_assert_num_queries(1):
            narrowed = sorted(item.accession_number for item in WorklistItem.objects.narrowed(keys))
        assert narrowed == sorted(item.accession_number for item in MatchingRows(keys)) == found

    def test_need_one_query(self, django_assert_num_queries: Any) -> None:
        WorklistItemFactory.create_batch(5)
        with django_assert_num_queries(1):
            assert len(accession_numbers(request())) == 5


class TestTheSearchFormOfNames:
    def test_is_stored_with_items_saved_singly_or_in_bulk(self) -> None:
        WorklistItemFactory.create(patient_name="MÜLLER^ŁUCJA", performing_physician_name="HOUSE^GREG")
        WorklistItem.objects.bulk_create([WorklistItemFactory.build(patient_name="GROß=李")])
        found = WorklistItem.objects.values_list("patient_name_search", "performing_physician_name_search")
        assert set(found) == {("muller^lucja", "house^greg"), ("gross", "")}

    def test_is_stored_with_items_from_manage(self) -> None:
        assert Auditor("relay:manage").create_unless_known(WorklistItemFactory.build(patient_name="O'BRIEN^ZOË"))
        assert WorklistItem.objects.get().patient_name_search == "o'brien^zoe"

    def test_changes_with_the_name(self) -> None:
        item = WorklistItemFactory.create(patient_name="SMITH^JANE")
        Auditor("admin:jane").update(item, patient_name="BROWN^JANE")
        assert WorklistItem.objects.get().patient_name_search == "brown^jane"

    def test_is_not_in_the_audit_log(self) -> None:
        assert not {name for name in WorklistItemFactory.build().impersonal_values() if "search" in name}

    def test_is_added_to_existing_items_by_the_migration(self) -> None:
        WorklistItemFactory.create_batch(3, patient_name="MÜLLER", performing_physician_name="HOUSE^GREG")
        QuerySet.update(WorklistItem.objects.all(), patient_name_search="", performing_physician_name_search="")
        import_module("worklist.migrations.0006_fill_search_columns").forwards(apps, connection.schema_editor())
        found = WorklistItem.objects.values_list("patient_name_search", "performing_physician_name_search")
        assert set(found) == {("muller", "house^greg")}

    @given(name=st.text(max_size=194))
    def test_fits_into_its_column(self, name: str) -> None:
        assert len(search_form(name)) <= SEARCH_LENGTH


class TestAnAnswerOfManyPages:
    def test_is_complete_and_in_order(self) -> None:
        """All items have the same time, so that every page ends between two of them."""
        WorklistItem.objects.bulk_create(
            WorklistItemFactory.build(accession_number=f"A{number * 7919 % 1201:05}") for number in range(2 * PAGE + 1)
        )
        found = accession_numbers(request())
        assert found == sorted(found)
        assert len(found) == 2 * PAGE + 1

    def test_continues_while_items_leave_the_list(self) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build() for _ in range(PAGE + 5))
        answer = iter(MatchingRows(MatchingKeys(), "pk"))
        first = next(answer)
        WorklistItem.objects.filter(pk=first.pk).update(status="COMPLETED")
        assert len(list(answer)) == PAGE + 4

    def test_needs_a_query_for_each_page(self, django_assert_num_queries: Any) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build() for _ in range(PAGE + 5))
        with django_assert_num_queries(2):
            assert len(accession_numbers(request())) == PAGE + 5


INDEXED = {
    "today at one station": request(
        dataset(ScheduledStationAETitle="MAMMO1", ScheduledProcedureStepStartDate="20261123")
    ),
    "a day": request(dataset(ScheduledProcedureStepStartDate="20261123")),
    "accession number": request(AccessionNumber="ACC1"),
    "accession numbers": request(AccessionNumber="ACC1*"),
    "patient id": request(PatientID="999 000 0001"),
    "part of a patient id": request(PatientID="99900*"),
    "name": request(PatientName="SMITH^JANE"),
    "family name": request(PatientName="SMITH*"),
    "requested procedure": request(RequestedProcedureID="RP1"),
    "step": request(dataset(ScheduledProcedureStepID="SP1")),
    "study": request(StudyInstanceUID=["1.2.3", "1.2.4"]),
    "birthday": request(PatientBirthDate="19700321"),
    "everything": request(),
    "everything that is begun": request(dataset(ScheduledProcedureStepStatus="STARTED")),
}


class TestTheCost:
    @pytest.mark.parametrize("asked", INDEXED.values(), ids=INDEXED.keys())
    def test_does_not_grow_with_the_table_as_an_index_is_used(self, asked: Dataset) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build() for _ in range(20))
        plan = _plan(WorklistItem.objects.narrowed(parse_matching_keys(asked))[:PAGE])
        self.assert_uses_an_index(plan)

    @pytest.mark.parametrize("policy", [ModalityPolicy(hides_in_progress=True), ModalityPolicy(own_list_only=True)])
    def test_does_not_grow_with_the_table_under_a_policy(self, policy: ModalityPolicy) -> None:
        WorklistItem.objects.bulk_create(WorklistItemFactory.build() for _ in range(20))
        self.assert_uses_an_index(
            _plan(WorklistItem.objects.narrowed(apply_policy(MatchingKeys(), policy, "A"))[:PAGE])
        )

    def test_does_not_grow_with_years_of_final_items(self) -> None:
        """Open items have an index in the order of the list, and are adjacent in the index by status."""
        plan = _plan(WorklistItem.objects.narrowed(MatchingKeys())[:PAGE])
        assert "open_item_in_order" in plan or "USING INDEX item_by_status (status=?)" in plan

    @pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL chooses by its statistics")
    @pytest.mark.parametrize(
        ("asked", "index"),
        [
            ("family name", "patient_name_search"),
            ("part of a patient id", "patient_id"),
            ("a day", "open_item_in_order"),
            ("everything", "open_item_in_order"),
        ],
    )
    def test_is_that_of_the_index_which_finds_fewest_rows_although_most_items_may_be_open(
        self, asked: str, index: str
    ) -> None:
        plan = _plan(WorklistItem.objects.narrowed(parse_matching_keys(INDEXED[asked]))[:PAGE])
        assert index in plan
        assert "item_by_status" not in plan

    def assert_uses_an_index(self, plan: str) -> None:
        """Check that no table is read as a whole."""
        assert "index" in plan.lower()
        assert "Seq Scan" not in plan
        assert "SCAN worklist_worklistitem\n" not in plan + "\n"


def _plan(rows: QuerySet[WorklistItem]) -> str:
    """Return the query plan. PostgreSQL would read a small table as a whole, so that is switched off."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
    return rows.explain()


# A query in SQL and the pure matcher --------------------------------------------------------------------------------

TEXTS = st.sampled_from(
    ["A", "a", "AB", "A B", "B%", "_", "[A]", "Á", "A\u0301", "\\\\B", "9990000001", "999 000 0001"]
)
LETTERS = st.text(st.sampled_from("aAáÁ≠\u0301sSßẞiİıłŁøσςǅ각^^= -'%_[]\\\\李"), min_size=1, max_size=8)
NAMES = (
    st.sampled_from(["SMITH^JANE", "smith^jane", "SMITH", "MÜLLER^ZOË", "LEE^ANN=李^安", "=李^安", "^JANE", "GROß"])
    | LETTERS
)
DAYS = st.dates(date(2026, 3, 9), date(2026, 3, 12))
TIMES = st.builds(time, st.integers(8, 11), st.sampled_from([0, 30, 59]), st.sampled_from([0, 59]), st.just(0))
ITEMS = st.fixed_dictionaries(
    {
        "patient_id": TEXTS,
        "patient_name": NAMES,
        "patient_birth_date": DAYS,
        "patient_sex": st.sampled_from(["F", "M", ""]),
        "station_ae_title": TEXTS | st.just(""),
        "scheduled_date": DAYS,
        "scheduled_time": TIMES,
        "modality": TEXTS,
        "performing_physician_name": NAMES | st.just(""),
        "study_description": TEXTS | st.just(""),
        "study_instance_uid": TEXTS,
        "requested_procedure_id": TEXTS,
        "scheduled_procedure_step_id": TEXTS,
        "status": st.sampled_from(list(ItemStatus)),
    }
)


def ranges(single: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return a value, or a range of two values, closed or open."""
    return single | st.builds("{}-{}".format, single | st.just(""), single | st.just("")).filter(
        lambda text: text != "-"
    )


def several(single: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Return nothing, a value or a list of values."""
    return st.just("") | single | st.lists(single, min_size=2, max_size=3)


def wild(single: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return a value with or without wild cards."""
    some = st.sampled_from(["*", "?", "A*", "?*", "*B*", "S*", "%", "_", "SMITH^*", "=李*", "m?ller*", "[A]*", "gro?"])
    return single | some | st.builds("{}{}{}".format, single, st.sampled_from("*?"), single | st.just("*"))


DA = ranges(DAYS.map("{:%Y%m%d}".format))
TM = ranges(st.sampled_from(["08", "0830", "1030", "105959", "11"]))
STATUSES = st.sampled_from(["STARTED", "IN*", "COMPLETED", "SCHEDULED", "*"])
OF_THE_STEP: dict[str, st.SearchStrategy[str]] = {
    "ScheduledStationAETitle": wild(TEXTS),
    "ScheduledProcedureStepStartDate": DA,
    "ScheduledProcedureStepStartTime": TM,
    "Modality": wild(TEXTS),
    "ScheduledPerformingPhysicianName": wild(NAMES),
    "ScheduledProcedureStepDescription": wild(TEXTS),
    "ScheduledProcedureStepID": wild(TEXTS),
    "ScheduledProcedureStepStatus": STATUSES,
}
OF_THE_ROOT: dict[str, st.SearchStrategy[str]] = {
    "PatientID": wild(TEXTS),
    "PatientName": wild(NAMES),
    "PatientBirthDate": DA,
    "PatientSex": wild(st.sampled_from(["F", "M"])),
    "StudyInstanceUID": TEXTS,
    "RequestedProcedureID": wild(TEXTS),
}
ONE_KEY = st.sampled_from(sorted(OF_THE_STEP | OF_THE_ROOT)).flatmap(
    lambda keyword: st.fixed_dictionaries({keyword: several((OF_THE_STEP | OF_THE_ROOT)[keyword])})
)
PERIOD = st.fixed_dictionaries({"ScheduledProcedureStepStartDate": DA, "ScheduledProcedureStepStartTime": TM})
MANY_KEYS = st.fixed_dictionaries(
    {}, optional={keyword: several(values) for keyword, values in (OF_THE_STEP | OF_THE_ROOT).items()}
)


def asked_for(keys: dict[str, Any]) -> Dataset:
    """Return a request with these keys, in the root or in the step."""
    of_the_step = {keyword: value for keyword, value in keys.items() if keyword in OF_THE_STEP}
    return request(dataset(**of_the_step), **{name: value for name, value in keys.items() if name in OF_THE_ROOT})


@contextmanager
def rolled_back() -> Iterator[None]:
    """Roll back everything written inside the block."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


OPTIONS = st.builds(MatchingOptions, folds_accents=st.booleans(), procedure_id_finds_accession=st.booleans())
POLICIES = st.builds(ModalityPolicy, own_list_only=st.booleans(), hides_in_progress=st.booleans())

Change = tuple[int, int, str]
CHANGES = st.lists(
    st.tuples(st.integers(0, 10), st.integers(0, 2), st.sampled_from([*"*?^ =aß", "\u0301"])), max_size=4
)


class TestSqlAndTheMatcher:
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        stored=st.lists(ITEMS, min_size=1, max_size=8),
        asked=ONE_KEY | PERIOD | MANY_KEYS,
        options=OPTIONS,
        policy=POLICIES,
    )
    def test_find_the_same(
        self, stored: list[dict[str, Any]], asked: dict[str, Any], options: MatchingOptions, policy: ModalityPolicy
    ) -> None:
        keys = apply_policy(parse_matching_keys(asked_for(asked), options), policy, "A")
        with rolled_back():
            items = WorklistItem.objects.bulk_create(WorklistItemFactory.build(**row) for row in stored)
            in_order = sorted(items, key=lambda item: (item.scheduled_date, item.scheduled_time, item.accession_number))
            expected = [item.pk for item in in_order if keys.matches(item)]
            assert [row.pk for row in MatchingRows(keys, "pk")] == expected

    @given(name=NAMES, changes=CHANGES, options=OPTIONS)
    def test_the_search_form_of_a_name_passes_whatever_the_matcher_passes(
        self, name: str, changes: list[Change], options: MatchingOptions
    ) -> None:
        """Without a database, which allows many more examples, and with keys similar to the name."""
        key = name
        for place, length, put in changes:
            key = key[:place] + put + key[place + length :]
        if NamePattern(key, options.folds_accents).matches(name):
            assert wild_card(search_pattern(key)).fullmatch(search_form(name))

    @given(text=st.text(max_size=20))
    def test_accept_any_key(self, text: str) -> None:
        keywords = ("Modality", "ScheduledPerformingPhysicianName", "ScheduledProcedureStepStatus")
        keys = parse_matching_keys(request(dataset(**dict.fromkeys(keywords, text)), PatientName=text, PatientID=text))
        assert list(MatchingRows(keys)) == []

    @pytest.mark.parametrize("value", ["A", "A*", "SMITH^*", "1.2.3"])
    def test_accept_many_values_and_many_wild_cards(self, value: str) -> None:
        WorklistItemFactory.create(patient_name="SMITH^JANE", patient_id="A1", study_instance_uid="1.2.3")
        many = [value, *(f"{number}?" for number in range(3000))]
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID"):
            keys = parse_matching_keys(request(**{keyword: many}))
            assert [row.pk for row in MatchingRows(keys, "pk")] == [
                item.pk for item in WorklistItem.objects.all() if keys.matches(item)
            ]
        days = parse_matching_keys(
            request(PatientBirthDate=["19700321", *(f"2{number:03}0101" for number in range(900))])
        )
        assert len(list(MatchingRows(days))) == 1

    @pytest.mark.parametrize("pattern", ["*" * 60_000, "*?" * 30_000, "A" * 60_000 + "*", "*a" * 90 + "*b"])
    def test_nor_does_a_pattern_as_long_as_one_likes(self, pattern: str) -> None:
        WorklistItemFactory.create(patient_name="A" * 64, patient_id="A" * 64)
        found = [
            bool(list(MatchingRows(parse_matching_keys(request(**{keyword: pattern})))))
            for keyword in ("PatientName", "PatientID")
        ]
        assert found == [set(pattern) == {"*"}] * 2
