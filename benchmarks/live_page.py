"""Measure the live page with one viewer and with a hundred: the latency of a change, and the queries per second.

The viewers share a process with the server and the machine with the writer, so the latency is that of a busy machine.
"""

import asyncio
import json
import socket
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.backends.signals import connection_created
from django.test import Client
from django.utils import timezone
from websockets.asyncio.client import connect

from benchmarks.measuring import Row, Scale, Table
from core.models import Heartbeat
from tests.factories import WorklistItemFactory
from worklist.models import WorklistItem

ITEMS, CHANGES_PER_SECOND = 60, 20
FEW, MANY = 1, 100
#: How long the last change may take to all viewers.
LAST_SECONDS = 30.0


def measure_live_page(scale: Scale) -> Table:
    """Measure with FEW and with MANY viewers."""
    fill_day()
    seconds, many = (0.2, 2) if scale.is_short else (10, MANY)
    rows = {
        "changes seen": Row("changes seen", "%"),
        "median": Row("change to seen, median", "ms"),
        "95 of 100": Row("change to seen, 95 of 100", "ms"),
        "longest": Row("change to seen, longest", "ms"),
        "queries": Row("the server's queries a second", ""),
    }
    columns = (f"{FEW} viewer", f"{many} viewers")
    connection_created.connect(_count_queries)
    for column, viewers in zip(columns, (FEW, many), strict=True):
        for name, figure in asyncio.run(measure_with(viewers, seconds)).items():
            rows[name].add(column, figure)
    connection_created.disconnect(_count_queries)
    title = f"The live page, {CHANGES_PER_SECOND} changes a second"
    return Table(title, columns, list(rows.values()), subject=columns[1])


def fill_day() -> None:
    """Create ITEMS items for today, and a user who may see them."""

    WorklistItem.objects.filter(scheduled_date=timezone.localdate()).delete()
    for number in range(ITEMS):
        WorklistItemFactory.create(
            accession_number=f"L{number:06}",
            scheduled_date=timezone.localdate(),
            scheduled_time=f"{9 + number // 10}:{number % 10 * 5:02}",
            station_ae_title=f"MAMMO{number % 3}",
            study_instance_uid=f"2.25.77{number}",
            requested_procedure_id=f"RPL{number}",
            scheduled_procedure_step_id=f"SPL{number}",
        )
    User.objects.get_or_create(username="viewer", defaults={"is_superuser": True})


async def measure_with(viewers: int, seconds: float) -> dict[str, float]:
    """Return latencies in milliseconds and queries a second, with this many viewers."""
    session = await asyncio.to_thread(_session)
    async with _served() as port:
        arrivals: list[dict[str, float]] = [{} for _ in range(viewers)]
        arrived = asyncio.Condition()
        watching = [asyncio.create_task(_watch(port, session, seen, arrived)) for seen in arrivals]
        async with arrived:
            await arrived.wait_for(lambda: all(arrivals))
        before = _asked.count
        written = await asyncio.to_thread(_change, 1000 * viewers, seconds)
        queries = (_asked.count - before) / seconds
        last = max(written)
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS), arrived:
                await arrived.wait_for(lambda: all(max(seen) >= last for seen in arrivals))
        for task in watching:
            task.cancel()
    latencies = sorted(
        1000 * (min(at for mark, at in seen.items() if mark >= name) - at_write)
        for seen in arrivals
        for name, at_write in written.items()
        if any(mark >= name for mark in seen)
    )
    return {
        "changes seen": 100 * len(latencies) / (viewers * len(written)),
        "median": statistics.median(latencies),
        "95 of 100": latencies[int(0.95 * len(latencies))],
        "longest": latencies[-1],
        "queries": queries,
    }


def _session() -> str:

    client = Client()
    client.force_login(User.objects.get(username="viewer"))
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@asynccontextmanager
async def _served() -> AsyncIterator[int]:

    listening = socket.create_server(("127.0.0.1", 0), backlog=256)
    server = uvicorn.Server(uvicorn.Config("gateway_project.asgi:application", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await serving
        listening.close()


async def _watch(port: int, session: str, seen: dict[str, float], arrived: asyncio.Condition) -> None:
    """Record when the page first showed each mark, and notify `arrived`; the writer's marks increase."""

    headers = {"Cookie": f"sessionid={session}"}
    async with connect(
        f"ws://127.0.0.1:{port}/live/",
        additional_headers=headers,
        origin=f"http://127.0.0.1:{port}",  # type: ignore[arg-type]
    ) as viewer:
        async for text in viewer:
            mark = _mark(json.loads(text)["fragments"].get("relay", ""))
            seen.setdefault(mark, time.perf_counter())
            async with arrived:
                arrived.notify_all()


def _mark(relay: str) -> str:
    return relay.partition("mark-")[2][:6]


def _change(first: int, seconds: float) -> dict[str, float]:
    """Move a woman on and write a mark that viewers see, CHANGES_PER_SECOND; return when each mark was written."""

    written = {}
    now = timezone.now()
    states = ("IN PROGRESS", "COMPLETED", "SCHEDULED")
    begun = time.perf_counter()
    for number in range(int(CHANGES_PER_SECOND * seconds)):
        time.sleep(max(0.0, begun + number / CHANGES_PER_SECOND - time.perf_counter()))
        WorklistItem.objects.filter(accession_number=f"L{number % ITEMS:06}").update(status=states[number // ITEMS % 3])
        Heartbeat.objects.update_or_create(
            role="relay_listener",
            instance="benchmark",
            defaults={
                "state": "online",
                "state_since": now,
                "started_at": now,
                "beat_at": timezone.now(),
                "details": {"why": f"mark-{first + number:06}"},
            },
        )
        written[f"{first + number:06}"] = time.perf_counter()
    connection.close()
    return written


class _Asked:
    """Queries of the threads that are the server's."""

    count = 0


_asked = _Asked()


def _count_queries(connection: Any, **_: Any) -> None:
    if threading.current_thread().name.startswith("live-page") and _counted not in connection.execute_wrappers:
        connection.execute_wrappers.append(_counted)


def _counted(execute: Callable[..., Any], *arguments: Any) -> Any:
    _asked.count += 1
    return execute(*arguments)
