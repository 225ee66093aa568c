"""The database cannot take an action now, as another transaction holds it locked for longer than anybody waits."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction

from tests.factories import payload
from tests.processes import Process, Start
from tests.system.conftest import Gateway
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def locked_database(table: str = "relay_receivedaction") -> Iterator[None]:
    """Somebody else is writing, and does not end."""
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
    else:
        with transaction.atomic():
            connection.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield


class TestStoreAway:
    @pytest.mark.alone
    def test_forty_senders_at_a_locked_store_are_all_told_in_time_and_an_echo_at_once(self, gateway: Gateway) -> None:
        gateway.run("run_relay_emulator", "run_relay_listener", DATABASE_WAIT_SECONDS="1")

        async def send_all() -> list[dict[str, Any]]:
            actions = [asyncio.create_task(gateway.send(payload(accession_number=f"A{n}"))) for n in range(40)]
            await asyncio.wait(actions, timeout=0.5)
            echo = json.loads(await gateway.send({"action_type": "echo"}))
            assert not all(action.done() for action in actions)
            return [echo, *(json.loads(text) for text in await asyncio.gather(*actions))]

        with locked_database():
            echo, *replies = asyncio.run(send_all())
        assert echo["status"] == "echo"
        assert {reply["code"] for reply in replies} == {"temporarily_unavailable"}

    def execute(self, start: Start, file: Path) -> Process:
        """Execute a file of actions, waiting no longer than a second for a lock."""
        process = start("execute_actions", str(file), DATABASE_WAIT_SECONDS="1")
        process.exit_status()
        return process

    def test_the_sender_is_told_to_come_again_and_then_it_is_done(self, start: Start, tmp_path: Path) -> None:
        file = tmp_path / "actions.json"
        file.write_text(json.dumps([payload()]))
        with locked_database():
            told = self.execute(start, file)
        assert '"code":"temporarily_unavailable"' in told.output
        assert told.exit_status() == 1
        assert not WorklistItem.objects.exists()
        assert '"status":"created"' in self.execute(start, file).output
