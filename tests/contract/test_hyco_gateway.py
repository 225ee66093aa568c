"""Microsoft's hyco-ws and Node's HTTP client, in Manage's role: an action through the emulator to the gateway."""

import asyncio
import json

import pytest
from django.db import connection

from nonprod.relay_emulator import RelayEmulator
from tests.contract.conftest import Run
from tests.factories import payload
from tests.processes import Start
from worklist.models import WorklistItem

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


def count_items() -> int:
    """Count the items, in a thread, and close its database connection."""
    try:
        return WorklistItem.objects.count()
    finally:
        connection.close()


async def test_an_action_sent_over_http_and_a_websocket_is_executed_once_with_equal_replies(
    run: Run, start: Start, emulator: RelayEmulator
) -> None:
    gateway = start("run_relay_listener", AZURE_RELAY_NAMESPACE=emulator.namespace)
    await asyncio.to_thread(gateway.wait_for, "listener online")
    action = payload()
    expected = {"status": "created", "action_id": action["action_id"]}

    http = await run("http_sender")
    headers = {"Content-Type": "application/json"}
    await http.command("request", name="a", token="header", method="POST", headers=headers, text=json.dumps(action))
    response = await http.event("response", name="a")
    assert (response["status"], json.loads(response["text"])) == (200, expected)

    websocket = await run("ws_sender")
    await websocket.command("connect", name="a", token="header", text=json.dumps(action))
    assert (await websocket.event("message", name="a"))["text"] == response["text"]
    assert await asyncio.to_thread(count_items) == 1

    await http.command("request", name="health", token="header", method="GET", suffix="/health")
    assert json.loads((await http.event("response", name="health"))["text"])["health"]
    assert await asyncio.to_thread(gateway.stop) == 0
