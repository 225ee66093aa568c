"""Measure the admin's pages with a thousand rows of each kind and with a million, and print the ratios."""

import statistics
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.measuring import LARGE, SMALL, print_row, timed, with_a_database

if TYPE_CHECKING:
    from django.db.models import Field, Model
    from django.test import Client

REPEATS = 5
#: A page that takes longer is slow for people, whatever the ratio.
SLOW_SECONDS = 0.3
#: Copies are so far apart: the last one is a year ago.
HOURS_APART = 9
#: Of the rows of each kind one in so many is out of the ordinary.
RARE = 20


def measure_admin_pages() -> None:
    """Time every page with the small tables and with the large ones."""
    from django.db import connection  # noqa: PLC0415

    fill_tables()
    addresses = dict(pages())
    client = somebody()
    small = {what: median_of(client, address) for what, address in addresses.items()}
    print_row(f"{SMALL} rows of each kind become {LARGE}", f"{timed(multiply_tables):.0f} s")
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as autovacuum does when a table has grown
    large = {what: median_of(client, address) for what, address in addresses.items()}
    print(f"\n{'A page of the admin, in ms':44} {SMALL:>10} {LARGE:>10} {'ratio':>7}")  # noqa: T201
    for what, took in small.items():
        mark = "  SLOW" if large[what] > SLOW_SECONDS else ""
        print(f"{what:44} {took * 1000:10.1f} {large[what] * 1000:10.1f} {large[what] / took:7.2f}{mark}")  # noqa: T201


def somebody() -> "Client":
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("benchmark"))
    return client


def median_of(client: "Client", address: str) -> float:
    """Return the seconds that a page takes."""
    return statistics.median(timed(lambda: show(client, address)) for _ in range(REPEATS))


def show(client: "Client", address: str) -> None:
    response = client.get(address)
    assert response.status_code in (200, 302), (address, response.status_code)  # noqa: S101


#: List → what it is narrowed by.
NARROWED = {
    "relay_receivedaction": (
        "result=failed",
        "result=failed&day=week",
        "outcome=not_found",
        "outcome=created",
        "action_type=worklist.update_status",
        "q=BA000001",
        "q=nothing",
    ),
    "worklist_worklistitem": (
        "day=today",
        "status__exact=DISCONTINUED",
        "station_ae_title=MAMMO2",
        "modality=MG",
        "q=B000001",
        "o=1",
    ),
    "worklist_worklistquery": ("day=today", "outcome=failed", "calling_ae_title=MAMMO2", "q=c0ffee", "status=C001"),
    "worklist_mppsexception": ("state=all", "state=closed", "state=all&reason__exact=abandoned", "q=B000001"),
    "worklist_performedprocedurestep": ("status__exact=DISCONTINUED", "station_ae_title=MAMMO2", "q=B000001"),
    "worklist_delivery": ("ae_title=MAMMO2", "q=B000001"),
    "worklist_itemalarm": ("open=yes", "attribute=PatientAddress"),
    "core_auditlog": (
        "operation__exact=update",
        "operation__exact=export",
        "actor=admin:jane",
        "object_type=worklist.mppsexception",
        "q=c0ffee",
        "day=yesterday",
    ),
}


def pages() -> Iterator[tuple[str, str]]:
    """Return the addresses to measure: the start page, every list with its filters, and a record of each kind."""
    from django.urls import reverse  # noqa: PLC0415

    from core.models import AuditLog  # noqa: PLC0415
    from relay.models import ReceivedAction  # noqa: PLC0415
    from worklist.models import MppsException, PerformedProcedureStep, WorklistItem, WorklistQuery  # noqa: PLC0415

    item = WorklistItem.objects.get(accession_number="B000001")
    yield "landing page", reverse("admin:index")
    yield "timeline", reverse("item-timeline", args=[item.pk])
    yield "why on a list, or not", reverse("admin:worklist_worklistitem_explain", args=[item.pk])
    for model in (AuditLog, ReceivedAction, MppsException, PerformedProcedureStep, WorklistItem, WorklistQuery):
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        record = model._default_manager.order_by("pk")[0]
        yield f"a {model._meta.verbose_name}", reverse(f"admin:{name}_change", args=[record.pk])
    for name, narrowed in NARROWED.items():
        address = reverse(f"admin:{name}_changelist")
        yield name.partition("_")[2], address
        yield f"{name.partition('_')[2]}?p=10", f"{address}?p=10"
        for query in narrowed:
            yield f"{name.partition('_')[2]}?{query}", f"{address}?{query}"
    address = reverse("admin:worklist_worklistquery_changelist")
    yield "queries that showed an item", f"{address}?item={item.pk}"


def fill_tables() -> None:
    """Create SMALL rows of each kind in this hour; one in RARE of each is exceptional."""
    from django.utils import timezone  # noqa: PLC0415

    from core.models import AuditLog  # noqa: PLC0415
    from relay.models import ReceivedAction  # noqa: PLC0415
    from tests.factories import WorklistItemFactory  # noqa: PLC0415
    from worklist import models  # noqa: PLC0415

    models.WorklistItem.objects.all().delete()
    ReceivedAction.objects.all().delete()
    AuditLog.objects.all().delete()
    now = timezone.now()
    numbers = range(SMALL)
    items = models.WorklistItem.objects.bulk_create(
        WorklistItemFactory.build(
            accession_number=f"B{number:06}",
            scheduled_date=timezone.localdate(),
            station_ae_title=f"MAMMO{1 + number % 4}",
            status="SCHEDULED" if number % 4 else "DISCONTINUED" if number % RARE == 0 else "COMPLETED",
            requested_procedure_id=f"RP{number:06}",
            scheduled_procedure_step_id=f"SP{number:06}",
        )
        for number in numbers
    )
    ReceivedAction.objects.bulk_create(
        ReceivedAction(
            action_id=f"action-{number}",
            action_type="worklist.update_status" if number % 3 == 0 else "worklist.create_item",
            accession_number=f"BA{number:06}",
            payload="{}",
            fingerprint="0" * 64,
            connection="benchmark",
            correlation_id=f"correlation-{number}",
            received_at=now - timedelta(seconds=number),
            outcome="created" if number % RARE else "not_found",
            reply='{"status":"created"}',
            is_final=True,
        )
        for number in numbers
    )
    queries = models.WorklistQuery.objects.bulk_create(
        models.WorklistQuery(
            asked_at=now - timedelta(seconds=number),
            calling_ae_title=f"MAMMO{1 + number % 4}",
            called_ae_title="GATEWAY_MWL",
            address=f"10.0.0.{number % 4}",
            keys={"Modality": "MG"},
            outcome="answered" if number % RARE else "failed",
            status="0000" if number % RARE else "C001",
            correlation_id=f"correlation-{number}",
        )
        for number in numbers
    )
    showed = models.WorklistQuery.items.through
    showed.objects.bulk_create(
        showed(worklistquery_id=query.pk, worklistitem_id=item.pk) for query, item in zip(queries, items, strict=True)
    )
    models.Delivery.objects.bulk_create(
        models.Delivery(item=item, ae_title=item.station_ae_title, first_shown_at=now, last_shown_at=now)
        for item in items
    )
    models.ItemAlarm.objects.bulk_create(
        models.ItemAlarm(item=item, attribute="PatientAddress", first_at=now, last_at=now) for item in items[::RARE]
    )
    steps = models.PerformedProcedureStep.objects.bulk_create(
        models.PerformedProcedureStep(
            sop_instance_uid=f"1.2.3.{number}",
            status="COMPLETED" if number % RARE else "DISCONTINUED",
            station_ae_title=f"MAMMO{1 + number % 4}",
            calling_ae_title="MAMMO1",
            address="10.0.0.1",
            data_set="{}",
            correlation_id=f"correlation-{number}",
        )
        for number in numbers
    )
    models.StepLink.objects.bulk_create(
        models.StepLink(step=step, item=item) for step, item in zip(steps, items, strict=True)
    )
    models.MppsException.objects.bulk_create(
        models.MppsException(
            step=step,
            item=item,
            reason="unknown_item" if number % RARE else "abandoned",
            accession_number=item.accession_number,
            resolution="dismissed" if number % RARE else "",
        )
        for number, (step, item) in enumerate(zip(steps, items, strict=True))
    )
    AuditLog.objects.bulk_create(
        AuditLog(
            actor="relay:manage" if number % RARE else "admin:jane",
            operation="create" if number % RARE else "export" if number % 100 == 0 else "update",
            object_type="worklist.worklistitem" if number % 3 else "worklist.mppsexception",
            object_id=item.pk,
            correlation_id=f"correlation-{number}",
        )
        for number, item in enumerate(items)
    )


def multiply_tables() -> None:
    """Copy every row until there are LARGE, each copy some hours older; old rows are resolved."""
    from core.models import AuditLog  # noqa: PLC0415
    from relay.models import ReceivedAction  # noqa: PLC0415
    from worklist import models  # noqa: PLC0415

    done = {"status": "CASE WHEN status = 'SCHEDULED' THEN 'COMPLETED' ELSE status END"}
    multiply(models.WorklistItem, "accession_number", "study_instance_uid", **done)
    multiply(ReceivedAction, "action_id", "accession_number", "correlation_id")
    multiply(models.WorklistQuery, "correlation_id")
    multiply(models.WorklistQuery.items.through)
    multiply(models.Delivery)
    multiply(models.ItemAlarm)
    multiply(models.PerformedProcedureStep, "sop_instance_uid", "correlation_id")
    multiply(models.StepLink)
    multiply(models.MppsException, "accession_number", resolution="'dismissed'")
    multiply(AuditLog, "correlation_id")


def multiply(model: "type[Model]", *unique: str, **values: str) -> None:
    """Copy in SQL, because Django needs minutes for a million rows; `unique` texts and keys are changed."""
    from django.db import connection  # noqa: PLC0415

    on_sqlite = connection.vendor == "sqlite"
    table = model._meta.db_table
    written, read = [], []
    for field in model._meta.concrete_fields:
        if field.get_internal_type() in ("AutoField", "BigAutoField"):
            continue  # a serial number makes itself
        column = str(field.column)
        written.append(column)
        read.append(values.get(column) or copied(field, unique, on_sqlite=on_sqlite))
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE copies(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < %s) "  # noqa: S608
            f"INSERT INTO {table} ({', '.join(written)}) SELECT {', '.join(read)} FROM {table} CROSS JOIN copies",
            [LARGE // SMALL - 1],
        )


def copied(field: "Field[Any, Any]", unique: tuple[str, ...], *, on_sqlite: bool) -> str:
    """Return the SQL for a column of the n-th copy."""
    column = str(field.column)
    target = field.target_field if field.is_relation else field  # type: ignore[attr-defined]
    kind = target.get_internal_type()
    if kind == "UUIDField":
        if on_sqlite:
            return f"CASE WHEN {column} IS NOT NULL THEN printf('%%08x', n) || substr({column}, 9) END"
        return f"(lpad(to_hex(n), 8, '0') || substr(replace({column}::text, '-', ''), 9))::uuid"
    if kind == "DateTimeField":
        if on_sqlite:
            return f"strftime('%%Y-%%m-%%d %%H:%%M:%%f', {column}, '-' || (n * {HOURS_APART}) || ' hours')"
        return f"{column} - n * interval '{HOURS_APART} hours'"
    if column == "scheduled_date":
        return f"date({column}, '-' || n || ' days')" if on_sqlite else f"{column} - n"
    return f"CAST(100000 + n AS varchar) || '-' || {column}" if column in unique else column


if __name__ == "__main__":
    with with_a_database():
        measure_admin_pages()
