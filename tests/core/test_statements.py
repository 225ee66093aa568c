"""The statements whose SQL is built once write and find what Django's own queries do."""

import threading
from itertools import product

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext

from core.database import borrowed_connection
from core.statements import CompiledCount, CompiledQuery, insert, insert_unless_known, update, without_texts
from tests.factories import WorklistItemFactory
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db

BY_ACCESSION_NUMBER = CompiledCount(lambda number: WorklistItem.objects.filter(accession_number=number, is_test=False))
OF_PATIENT = CompiledCount(lambda patient: WorklistItem.objects.filter(patient_id=patient), limit=2)


class TestInsert:
    def test_the_row_is_the_one_that_django_would_save(self) -> None:
        ours, django = WorklistItemFactory.build(), WorklistItemFactory.build()
        insert(ours)
        django.save(force_insert=True)
        for item in (ours, django):
            stored = WorklistItem.objects.get(pk=item.pk)
            values = [(field.name, field.value_from_object(item)) for field in item._meta.concrete_fields]
            assert values == [(field.name, field.value_from_object(stored)) for field in item._meta.concrete_fields]
            assert not item._state.adding

    def test_a_known_row_is_left_alone(self) -> None:
        known = WorklistItemFactory.create(patient_name="FIRST^ONE")
        same = WorklistItemFactory.build(accession_number=known.accession_number, patient_name="SECOND^ONE")
        assert not insert_unless_known(same)
        assert WorklistItem.objects.get().patient_name == "FIRST^ONE"

    def test_a_row_that_breaks_a_check_is_refused_and_not_taken_for_a_known_one(self) -> None:
        with pytest.raises(IntegrityError), transaction.atomic():
            insert_unless_known(WorklistItemFactory.build(status="LOST"))


class TestUpdate:
    def test_only_the_named_fields_of_only_this_row_are_written(self) -> None:
        item, other = WorklistItemFactory.create(), WorklistItemFactory.create()
        item.location, item.station_name = "VAN 3", "not written"
        update(item, "location", "updated_at")
        stored = WorklistItem.objects.get(pk=item.pk)
        assert (stored.location, stored.station_name) == ("VAN 3", other.station_name)
        assert stored.updated_at > other.updated_at
        assert WorklistItem.objects.get(pk=other.pk).location == other.location


class TestQuestion:
    def test_it_counts_up_to_its_limit(self) -> None:
        assert OF_PATIENT.found("9990000018") == 0
        for expected in (1, 2, 2):
            WorklistItemFactory.create(patient_id="9990000018")
            assert OF_PATIENT.found("9990000018") == expected

    def test_each_text_is_a_parameter_of_its_own(self) -> None:
        item = WorklistItemFactory.create()
        assert BY_ACCESSION_NUMBER.found(item.accession_number)
        assert not BY_ACCESSION_NUMBER.found("' OR 1=1 --")
        with CaptureQueriesContext(connection) as asked:
            BY_ACCESSION_NUMBER.found("ANOTHER")
        assert len(asked) == 1


class TestWithoutTexts:
    def test_conditions_that_differ_in_the_texts_of_a_list_alone_become_equal(self) -> None:
        def wanted(*numbers: str, is_test: bool = False) -> Q:
            return Q(is_test=is_test) & (Q(accession_number__in=list(numbers)) | ~Q(patient_id__in=["9990000018"]))

        (form, texts), (other, other_texts) = without_texts(wanted("A", "B")), without_texts(wanted("C", "D"))
        assert form == other
        assert [*texts.values()] == ["A", "B", "9990000018"]
        assert texts.keys() == other_texts.keys()
        assert form not in [without_texts(each)[0] for each in (wanted("A"), wanted("A", "B", is_test=True))]

    def test_a_selection_finds_the_texts_that_it_is_given(self) -> None:
        items = [WorklistItemFactory.create(), WorklistItemFactory.create()]
        form, (placeholder,) = without_texts(Q(accession_number__in=["A"]))
        selection = CompiledQuery(WorklistItem.objects.filter(form).values_list("pk"))
        for item in items:
            assert list(selection.rows({placeholder: item.accession_number})) == [(item.pk,)]
        assert list(selection.rows({placeholder: "' OR 1=1 --"})) == []

    def test_a_selection_never_puts_one_text_in_the_place_of_another(self) -> None:
        """Swapped, equal, empty, or of characters that SQL or this module could take for something else."""
        texts = ["A", "B", "", "'", '"', "%s", "a\\_*", "parameter0"]
        stations = [*texts, *texts]
        locations = [*texts, *texts[1:], texts[0]]
        WorklistItem.objects.bulk_create(
            WorklistItemFactory.build(accession_number=f"{at}{station}", station_ae_title=station, location=location)
            for at, (station, location) in enumerate(zip(stations, locations, strict=True))
        )
        selection: CompiledQuery | None = None
        for one, other in product(texts, repeat=2):
            wanted = Q(station_ae_title__in=[one, other]) & ~Q(location__in=[one])
            wanted |= Q(accession_number__in=[f"1{other}"])
            rows = WorklistItem.objects.order_by("pk").values_list("station_ae_title", "location")
            form, places = without_texts(wanted)
            selection = selection or CompiledQuery(rows.filter(form))  # that of the first pair serves for all
            assert list(selection.rows(places)) == list(rows.filter(wanted))


class TestSelection:
    def test_it_finds_what_the_query_finds_each_time(self) -> None:
        query = WorklistItem.objects.filter(is_test=False).values_list(
            "pk", "scheduled_date", "scheduled_time", "is_test"
        )
        selection = CompiledQuery(query.order_by("pk"))
        for _ in range(3):
            WorklistItemFactory.create()
            WorklistItemFactory.create(is_test=True)
            assert list(selection.rows()) == list(query.order_by("pk"))

    def test_it_asks_nothing_if_no_row_can_be_found(self) -> None:
        with CaptureQueriesContext(connection) as asked:
            assert list(CompiledQuery(WorklistItem.objects.filter(pk__in=[]).values_list("pk")).rows()) == []
        assert len(asked) == 0

    @pytest.mark.django_db(transaction=True)
    def test_it_is_asked_on_the_connection_of_the_thread_that_asks(self) -> None:
        item = WorklistItemFactory.create()
        selection = CompiledQuery(WorklistItem.objects.values_list("pk"))
        found: list[object] = []

        def ask() -> None:
            with borrowed_connection():
                found.extend(selection.rows())

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join()
        assert found == [(item.pk,)]
