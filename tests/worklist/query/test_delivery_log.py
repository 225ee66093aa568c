"""The log records who queried and what was delivered to whom, and never delays an answer."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django import Settings

from core.database import borrowed_connection
from tests.dicom.requests import CALLED, Unit, dataset, request
from tests.factories import WorklistItemFactory
from tests.waiting import eventually
from tests.worklist_fixtures import LogLines
from worklist.models import Delivery, ItemAlarm, WorklistItem, WorklistQuery
from worklist.query.delivery_log import BATCH, LINKS, DeliveryLog, QueryRecord, take_batch, write
from worklist.query.find import WorklistContext

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = request(QueryRetrieveLevel="SCHEDULED")
NINE = datetime(2026, 11, 23, 9, 2, tzinfo=timezone.get_default_timezone())


def record(*shown: WorklistItem, at: datetime = NINE, **changes: Any) -> QueryRecord:
    """Return the record of one query."""
    values: dict[str, Any] = {"calling_ae_title": "MAMMO1", "called_ae_title": CALLED, "address": "10.0.0.7"}
    values |= {"correlation_id": "c0ffee", "shown": [item.pk for item in shown], "outcome": "answered"}
    return QueryRecord(at, **(values | changes))


@pytest.fixture
def started() -> Iterator[DeliveryLog]:
    """A running log that soon gives up."""
    log = DeliveryLog(capacity=5, retry_after=(0.05,)).start()
    yield log
    log.stop()


class TestAQuery:
    def test_leaves_a_row_with_its_requestor_keys_and_outcome(self, unit: Unit, context: WorklistContext) -> None:
        item = WorklistItemFactory.create(accession_number="ACC1")
        unit.ask(request(dataset(Modality="MG"), AccessionNumber=""))
        assert context.deliveries.flush()
        query = WorklistQuery.objects.get()
        assert (query.calling_ae_title, query.called_ae_title, query.address) == ("MAMMO1", CALLED, "127.0.0.1")
        assert (query.outcome, query.status, query.delivered, query.left_out) == ("answered", "0000", 1, 0)
        assert query.keys == {"Modality": "MG"}
        assert query.duration_ms < 10_000
        assert list(query.items.all()) == [item]
        assert query.correlation_id

    def test_that_fails_leaves_a_row(self, unit: Unit, context: WorklistContext) -> None:
        unit.ask(request(dataset(ScheduledProcedureStepStartDate="yesterday"), PatientID=""))
        assert context.deliveries.flush()
        query = WorklistQuery.objects.get()
        assert (query.outcome, query.status, query.delivered) == ("failed", "A900", 0)
        assert query.keys == {"ScheduledProcedureStepStartDate": {}}

    def test_by_patient_leaves_no_patient_data(self, unit: Unit, context: WorklistContext) -> None:
        who = {"PatientName": "SECRETARY^ZOE", "PatientID": "999 012 3456", "PatientBirthDate": "19531109"}
        slips = {"AccessionNumber": "9990123456", "RequestedProcedureID": "SECRETARY", "OtherPatientIDs": "9990123456"}
        step = dataset(ScheduledProcedureStepDescription="SECRETARY", ScheduledProcedureStepStartDate="SECRETARY")
        for identifier in (request(**who), request(**slips), request(step), request(PatientName="SECRET*")):
            unit.ask(identifier)
        assert context.deliveries.flush()
        assert WorklistQuery.objects.count() == 4
        written = str(list(WorklistQuery.objects.values()))
        assert [word for word in ("SECRET", "ZOE", "0123456", "012 3456", "1953") if word in written] == []

    def test_records_when_an_item_was_first_and_last_delivered_to_whom(
        self, unit: Unit, context: WorklistContext
    ) -> None:
        item = WorklistItemFactory.create()
        before = timezone.now()
        for _ in range(3):
            unit.ask(EVERYTHING)
        Unit(unit.port, "MAMMO2").ask(EVERYTHING)
        assert context.deliveries.flush()
        first, second = Delivery.objects.filter(item=item).order_by("ae_title")
        assert (first.ae_title, first.times_shown) == ("MAMMO1", 3)
        assert before < first.first_shown_at < first.last_shown_at < second.first_shown_at
        assert (second.ae_title, second.times_shown) == ("MAMMO2", 1)

    def test_raises_an_alarm_for_an_item_that_cannot_be_shown(self, unit: Unit, context: WorklistContext) -> None:
        item = WorklistItemFactory.create(patient_name="SMITH\x01")
        for _ in range(2):
            unit.ask(EVERYTHING)
        assert context.deliveries.flush()
        alarm = ItemAlarm.objects.get()
        assert (alarm.item, alarm.attribute, alarm.times) == (item, "PatientName", 2)
        assert WorklistQuery.objects.first().left_out == 1  # type: ignore[union-attr]
        assert not Delivery.objects.exists()


class TestWrite:
    def test_counts_deliveries_of_two_processes_at_once(self) -> None:
        items = WorklistItemFactory.create_batch(3)
        earlier, later = record(*items), record(*reversed(items), at=NINE + timedelta(minutes=8))

        def write_one(one: QueryRecord) -> None:
            with borrowed_connection(), transaction.atomic():
                write([one])

        threads = [threading.Thread(target=write_one, args=[one]) for one in (later, earlier)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (
            list(Delivery.objects.values_list("first_shown_at", "last_shown_at", "times_shown"))
            == [(NINE, NINE + timedelta(minutes=8), 2)] * 3
        )

    def test_takes_more_items_than_one_statement_has_parameters(self) -> None:
        items = WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(1100))
        write([record(*items)])
        assert Delivery.objects.count() == WorklistQuery.objects.get().items.count() == 1100

    def test_a_batch_is_as_large_as_one_transaction_may_be(self) -> None:
        sizes = [500] * 5 + [0] * 150 + [LINKS + 1, 1]
        waiting = deque(replace(record(), shown=[uuid4()] * size) for size in sizes)
        batches = []
        while waiting:
            batches.append(take_batch(waiting))
        assert [(len(batch), sum(one.links for one in batch)) for batch in batches] == [
            (4, LINKS),
            (BATCH, 500),
            (51, 0),
            (1, LINKS + 1),
            (1, 1),
        ]

    def test_lets_others_write_between_two_batches(self) -> None:
        items = WorklistItem.objects.bulk_create(WorklistItemFactory.build_batch(500))
        log = DeliveryLog()
        for _ in range(12):
            log.record(record(*items))
        log.start()
        eventually(WorklistQuery.objects.exists)  # the first batch is on its way
        with transaction.atomic():
            WorklistItemFactory.create()
            assert WorklistQuery.objects.count() < 12
        assert log.flush(patience=60)
        assert WorklistQuery.objects.count() == 12
        log.stop()

    def test_pauses_between_two_batches_unless_it_has_to_end(self) -> None:
        log = DeliveryLog(pause=60)
        for _ in range(BATCH + 5):
            log.record(record())
        log.start()
        eventually(WorklistQuery.objects.exists)  # the first batch is on its way
        assert not log.flush(patience=0.3)
        assert WorklistQuery.objects.count() == BATCH
        log.stop(patience=10)
        assert WorklistQuery.objects.count() == BATCH + 5

    def test_skips_an_item_that_has_been_removed(self) -> None:
        item = WorklistItemFactory.create()
        one = record(item, left_out={uuid4(): "PatientName"})
        one.shown.append(uuid4())
        write([one])
        assert Delivery.objects.get().item == item
        assert WorklistQuery.objects.get().delivered == 2

    def test_one_record_that_cannot_be_written_does_not_cost_the_others(
        self, started: DeliveryLog, log: LogLines
    ) -> None:
        started.record(record(outcome="answered"))
        started.record(record(outcome="x" * 30 + "\0"))
        started.record(record(outcome="cancelled"))
        assert started.flush()
        assert {"answered", "cancelled"} <= set(WorklistQuery.objects.values_list("outcome", flat=True))


class TestRecord:
    @pytest.mark.alone
    def test_does_not_delay_an_answer_while_the_tables_are_locked(self, unit: Unit, context: WorklistContext) -> None:
        WorklistItemFactory.create()
        with transaction.atomic():  # on SQLite, nobody else can write meanwhile
            if connection.vendor == "postgresql":
                connection.cursor().execute("LOCK TABLE worklist_worklistquery IN ACCESS EXCLUSIVE MODE")
            started = time.monotonic()
            assert [unit.ask(EVERYTHING).statuses for _ in range(3)] == [[0xFF00, 0x0000]] * 3
            assert time.monotonic() - started < 2
            assert not context.deliveries.flush(patience=0.3)
        assert context.deliveries.flush()
        assert WorklistQuery.objects.count() == Delivery.objects.get().times_shown == 3

    def test_never_waits_and_counts_what_does_not_fit(
        self, database_down: Callable[[], AbstractContextManager[None]], log: LogLines
    ) -> None:
        full = DeliveryLog(capacity=5)
        with database_down():
            started = time.monotonic()
            for _ in range(7):
                full.record(record())
            assert time.monotonic() - started < 0.5
        full.start()
        assert full.flush()
        assert vars(log.wait_for("records of queries were lost"))["lost"] == 2
        assert WorklistQuery.objects.count() == 5
        full.stop()

    def test_is_lost_while_the_database_is_away(
        self, started: DeliveryLog, database_down: Callable[[], AbstractContextManager[None]], log: LogLines
    ) -> None:
        with database_down():
            started.record(record())
            assert vars(log.wait_for("records of queries were lost"))["lost"] == 1
        started.record(record())
        assert started.flush()
        assert WorklistQuery.objects.count() == 1

    def test_is_written_once_the_database_is_back(
        self, database_down: Callable[[], AbstractContextManager[None]], log: LogLines
    ) -> None:
        patient = DeliveryLog(retry_after=(0.2, 0.5, 5, 5, 5)).start()
        with database_down():
            patient.record(record())
            log.wait_for("deliveries not written yet")
        assert patient.flush()
        assert WorklistQuery.objects.count() == 1
        patient.stop()


class TestStopping:
    def test_writes_what_is_queued(self) -> None:
        log = DeliveryLog().start()
        for _ in range(BATCH + 5):
            log.record(record())
        log.stop(patience=10)
        assert WorklistQuery.objects.count() == BATCH + 5

    def test_without_having_started_does_no_harm(self) -> None:
        DeliveryLog().stop()


class TestOldQueries:
    def test_are_removed_after_the_configured_days_and_the_deliveries_stay(
        self, started: DeliveryLog, settings: Settings, log: LogLines
    ) -> None:
        settings.MWL_KEEP_QUERIES_DAYS = 7
        item = WorklistItemFactory.create()
        now = timezone.now()
        write([record(item, at=now - timedelta(days=age)) for age in (6, 8, 400)])
        started.record(record(item, at=now))
        assert started.flush()
        assert vars(log.wait_for("old queries removed"))["removed"] == 2
        assert [query.asked_at for query in WorklistQuery.objects.all()] == [now, now - timedelta(days=6)]
        assert Delivery.objects.get().first_shown_at == now - timedelta(days=400)


class TestSpan:
    def test_is_over_all_modalities(self) -> None:
        item = WorklistItemFactory.create()
        assert Delivery.objects.first_and_last(item) is None
        shown: list[UUID] = [item.pk]
        Delivery.objects.add(shown, "MAMMO2", NINE)
        Delivery.objects.add(shown, "MAMMO1", NINE + timedelta(minutes=1))
        Delivery.objects.add(shown, "MAMMO2", NINE + timedelta(minutes=2))
        Delivery.objects.add(shown, "MAMMO1", NINE + timedelta(minutes=1))
        assert Delivery.objects.first_and_last(item) == (
            {"at": NINE, "to": "MAMMO2"},
            {"at": NINE + timedelta(minutes=2), "to": "MAMMO2"},
        )
