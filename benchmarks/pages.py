"""Measure the live page, and the admin's pages with few rows of each kind and with many."""

import statistics
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Field, Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from benchmarks.copies import multiply, renamed
from benchmarks.live_page import measure_live_page
from benchmarks.measuring import Row, Scale, Table, progress, timed
from core.models import AuditLog
from relay.models import ReceivedAction
from tests.factories import WorklistItemFactory
from worklist import models

#: Copies are so far apart: the last one is a year ago.
HOURS_APART = 9
#: Of the rows of each kind one in so many is out of the ordinary.
RARE = 20


def measure(scale: Scale) -> list[Table]:
    """Return the tables of this part."""
    return [measure_live_page(scale), measure_admin_pages(scale)]


def measure_admin_pages(scale: Scale) -> Table:
    """Time every page with the small tables and with the large ones."""
    sizes = (f"{scale.items:,} rows of each kind", f"{scale.many_rows:,} rows")
    repeats = 1 if scale.is_short else 5
    fill_tables(scale.items)
    addresses = dict(pages())
    client = Client(SERVER_NAME="localhost")
    client.force_login(User.objects.create_superuser("benchmark"))
    rows = [Row(name, "ms", peers=((sizes[0],),)) for name in addresses]

    def show_all(size: str) -> None:
        for row, address in zip(rows, addresses.values(), strict=True):
            row.add(size, 1000 * statistics.median(timed(lambda a=address: show(client, a)) for _ in range(repeats)))  # type: ignore[misc]

    show_all(sizes[0])
    took = timed(lambda: multiply_tables(scale.many_rows // scale.items - 1))
    progress(f"{scale.items:,} rows of each kind became {scale.many_rows:,} in {took:.0f} s")
    show_all(sizes[1])
    return Table("The admin's pages by size of the tables", sizes, rows, ("ratio",), subject=sizes[1])


def show(client: Client, address: str) -> None:
    """Ask for a page, which must be there."""
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

    item = models.WorklistItem.objects.get(accession_number="B000001")
    yield "landing page", reverse("admin:index")
    yield "timeline", reverse("item-timeline", args=[item.pk])
    yield "why on a list, or not", reverse("admin:worklist_worklistitem_explain", args=[item.pk])
    kinds = (
        AuditLog,
        ReceivedAction,
        models.MppsException,
        models.PerformedProcedureStep,
        models.WorklistItem,
        models.WorklistQuery,
    )
    for model in kinds:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        record = model._default_manager.order_by("pk")[0]
        yield f"one {model._meta.verbose_name}", reverse(f"admin:{name}_change", args=[record.pk])
    for name, narrowed in NARROWED.items():
        address = reverse(f"admin:{name}_changelist")
        yield name.partition("_")[2], address
        yield f"{name.partition('_')[2]}?p=10", f"{address}?p=10"
        for query in narrowed:
            yield f"{name.partition('_')[2]}?{query}", f"{address}?{query}"
    address = reverse("admin:worklist_worklistquery_changelist")
    yield "queries that showed an item", f"{address}?item={item.pk}"


def fill_tables(count: int) -> None:
    """Create this many rows of each kind in this hour; one in RARE of each is exceptional."""
    models.WorklistItem.objects.all().delete()
    ReceivedAction.objects.all().delete()
    AuditLog.objects.all().delete()
    now = timezone.now()
    numbers = range(count)
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
    add_queries(items, now)
    add_steps(items)
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


def add_queries(items: Sequence[models.WorklistItem], now: datetime) -> None:
    """Add a query for each item, in which it was delivered; one in RARE items has an alarm."""
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
        for number in range(len(items))
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


def add_steps(items: Sequence[models.WorklistItem]) -> None:
    """Add a performed step for each item, with an MPPS exception about the two."""
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
        for number in range(len(items))
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


def multiply_tables(copies: int) -> None:
    """Copy every row, each copy some hours older; old rows are resolved."""
    done = {"status": "CASE WHEN status = 'SCHEDULED' THEN 'COMPLETED' ELSE status END"}
    multiply_rows(models.WorklistItem, copies, "accession_number", "study_instance_uid", **done)
    multiply_rows(ReceivedAction, copies, "action_id", "accession_number", "correlation_id")
    multiply_rows(models.WorklistQuery, copies, "correlation_id")
    multiply_rows(models.WorklistQuery.items.through, copies)
    multiply_rows(models.Delivery, copies)
    multiply_rows(models.ItemAlarm, copies)
    multiply_rows(models.PerformedProcedureStep, copies, "sop_instance_uid", "correlation_id")
    multiply_rows(models.StepLink, copies)
    multiply_rows(models.MppsException, copies, "accession_number", resolution="'dismissed'")
    multiply_rows(AuditLog, copies, "correlation_id")


def multiply_rows(model: type[Model], copies: int, *unique: str, **values: str) -> None:
    """Copy each row; `unique` texts, keys and times are changed."""
    copied = {str(field.column): column_of_copy(field, unique) for field in model._meta.concrete_fields}
    multiply(model, copies, copied | values)


def column_of_copy(field: "Field[Any, Any]", unique: tuple[str, ...]) -> str:
    """Return the SQL for a column of the n-th copy."""
    on_sqlite = connection.vendor == "sqlite"
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
    return renamed(column) if column in unique else column
