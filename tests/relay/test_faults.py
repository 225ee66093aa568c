"""Whatever the relay does while actions come: none is lost after `created`, none is done twice.

The listener has the real dispatcher and the real database. Ten senders send one action after another, each as Manage
does: an action that fails at the sender is sent again, under the same id, until it has its reply.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import Policy, RelayEmulator
from nonprod.relay_emulator.service import Times
from relay.configuration import configured_listener
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.liveness import LivenessPolicy
from relay.hybrid_connection.sender import send
from relay.models import ReceivedAction
from tests.conftest import KEYS, PATH
from tests.factories import payload
from tests.relay.hybrid_connection.listening import AT_ONCE, Statuses
from tests.store import ask_store
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = LivenessPolicy(pong=0.3, interval=0.2, deadline=0.5, soon=0.1)
SENDERS = 10
BEFORE = AFTER = 20

FAULTS: dict[str, list[dict[str, Any]]] = {
    "drop without a word": [{"fault": "drop"}],
    "drop with a close frame": [{"fault": "drop", "code": 1000}],
    "1011": [{"fault": "drop", "code": 1011}],
    "1001": [{"fault": "drop", "code": 1001}],
    "rendezvous dropped": [{"fault": "drop", "where": "rendezvous"}],
    "half-open": [{"fault": "half_open"}],
    "zombie": [{"fault": "zombie"}],
    "zombie that is not chosen": [{"fault": "zombie", "routed": False}],
    "refused with 401": [{"fault": "refuse", "action": "listen", "status": 401, "times": 2}, {"fault": "drop"}],
    "refused with 503": [{"fault": "refuse", "action": "listen", "status": 503, "times": 2}, {"fault": "drop"}],
    "senders refused": [{"fault": "refuse", "action": "connect", "status": 500, "times": 5}],
    "rendezvous refused": [{"fault": "refuse", "action": "accept", "status": 403, "times": 5}],
    "late handshakes": [{"fault": "delay", "action": "listen", "seconds": 0.3}, {"fault": "drop"}],
    "late rendezvous": [{"fault": "delay", "action": "accept", "seconds": 0.3, "times": 5}],
    "late accepts": [{"fault": "delay", "action": "dispatch", "seconds": 0.3, "times": 5}],
    "accepts twice": [{"fault": "duplicate_accept", "times": 10}],
    "cut in a message": [{"fault": "cut_mid_frame"}],
    "cut in replies": [{"fault": "cut_mid_frame", "where": "rendezvous", "times": 5}],
    "token ended": [{"fault": "expire_tokens"}],
    "clock that jumps and is put right": [
        {"fault": "clock_skew", "seconds": 7200},
        {"fault": "clock_skew", "seconds": 0},
    ],
}


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[tuple[RelayEmulator, HybridConnectionAddress, Listener]]:
    """An emulator and the gateway's own listener on it, both quick to notice."""
    times = Times(rendezvous=1.0)
    async with RelayEmulator([PATH], {KEYS.name: Policy(KEYS.key)}, times=times) as emulator:
        settings.AZURE_RELAY_NAMESPACE = emulator.namespace
        statuses, stopping = Statuses(), asyncio.Event()
        listener = replace(configured_listener(statuses), liveness=QUICK, reconnection=AT_ONCE)
        running = asyncio.create_task(listener.run(stopping))
        await statuses.until(lambda status: status.state == "online")
        yield emulator, listener.address, listener
        await statuses.until(lambda _: listener.status.state == "online")
        stopping.set()
        await running


class Sender:
    """Sends actions as Manage does, and keeps what became of each."""

    def __init__(self, address: HybridConnectionAddress) -> None:
        self.address = address
        self.replies: list[str] = []
        self.failures: list[str] = []
        self.warm = asyncio.Event()

    async def send(self) -> None:
        """One action, until it has its reply."""
        action = payload()
        action["parameters"]["worklist_item"]["accession_number"] = action["action_id"][:16]
        while True:
            try:
                reply = await send(self.address, KEYS, json.dumps(action), patience=2.0)
            except HybridConnectionError as failure:
                self.failures.append(str(failure))
            else:
                assert json.loads(reply) == {"status": "created", "action_id": action["action_id"]}
                self.replies.append(reply)
                if len(self.replies) == BEFORE:
                    self.warm.set()
                return


class TestFaults:
    @pytest.mark.parametrize("name", FAULTS)
    async def test_every_action_is_done_once_and_answered(self, settings: Settings, name: str) -> None:
        async with gateway(settings) as (emulator, address, _):
            sender = Sender(address)
            pumps = [asyncio.create_task(pump(sender, BEFORE + AFTER)) for _ in range(SENDERS)]
            await asyncio.wait_for(sender.warm.wait(), 30)
            for fault in FAULTS[name]:
                await emulator.inject(fault)
            await asyncio.wait_for(asyncio.gather(*pumps), 30)
        assert all(failure.startswith("sending to ") for failure in sender.failures)
        assert len(sender.replies) >= BEFORE + AFTER
        assert await ask_store(done) == ({"created": len(sender.replies)}, len(sender.replies))


async def pump(sender: Sender, enough: int) -> None:
    """One action after another, until there are enough of all senders' together."""
    while len(sender.replies) < enough:
        await sender.send()


def done() -> tuple[dict[str, int], int]:
    """How many actions had which outcome, and how many items there are."""
    outcomes = Counter(ReceivedAction.objects.values_list("outcome", flat=True))
    return dict(outcomes), WorklistItem.objects.count()
