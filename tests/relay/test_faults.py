"""Whatever the relay does while actions come: none is lost after `created`, none is done twice.

The listener has the real dispatcher and the real database. Ten senders send one action after another, half of them as
Manage does and half over HTTP: an action that fails at the sender is sent again, under the same id, until it has its
reply. Each fault is proven to have struck.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy, Timeouts
from relay.configuration import configured_listener
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.liveness import LivenessPolicy
from relay.hybrid_connection.sender import send
from relay.models import ReceivedAction
from tests.conftest import KEYS, PATH
from tests.database import in_database_thread
from tests.factories import payload
from tests.relay.hybrid_connection.listening import AT_ONCE, Statuses
from worklist.models import WorklistItem

pytestmark = pytest.mark.django_db(transaction=True)

QUICK = LivenessPolicy(ping=0.3, interval=0.2, deadline=0.5, retry=0.1)
SENDERS = 10
BEFORE = AFTER = 20


@dataclass(frozen=True)
class Play:
    """Faults that are injected one after the other, and what is true once they have struck."""

    faults: tuple[dict[str, Any], ...]
    has_struck: Callable[[RelayEmulator, Listener], bool]


def reconnected(emulator: RelayEmulator, listener: Listener) -> bool:
    """The listener has another channel than at first."""
    return listener.status.reconnects > 0


def used_up(emulator: RelayEmulator, listener: Listener) -> bool:
    """Every fault that was stored has been had."""
    return not emulator.state()["faults"]


def both(emulator: RelayEmulator, listener: Listener) -> bool:
    """Either, and the other."""
    return reconnected(emulator, listener) and used_up(emulator, listener)


def broken_off(emulator: RelayEmulator, listener: Listener) -> bool:
    """It strikes what is open at that instant; there may be nothing."""
    return True


def play(has_struck: Callable[[RelayEmulator, Listener], bool], *faults: dict[str, Any]) -> Play:
    """A play of these faults."""
    return Play(faults, has_struck)


DROP = {"fault": "drop"}
PLAYS = {
    "drop without a word": play(reconnected, DROP),
    "drop with a close frame": play(reconnected, {"fault": "drop", "code": 1000}),
    "1011": play(reconnected, {"fault": "drop", "code": 1011}),
    "1001": play(reconnected, {"fault": "drop", "code": 1001}),
    "rendezvous dropped": play(broken_off, {"fault": "drop", "where": "rendezvous"}),
    "half-open": play(reconnected, {"fault": "half_open"}),
    "half-open rendezvous": play(broken_off, {"fault": "half_open", "where": "rendezvous"}),
    "zombie": play(reconnected, {"fault": "zombie"}),
    "zombie that is not chosen": play(reconnected, {"fault": "zombie", "routed": False}),
    "refused with 401": play(both, {"fault": "refuse", "action": "listen", "status": 401, "times": 2}, DROP),
    "refused with 503": play(both, {"fault": "refuse", "action": "listen", "status": 503, "times": 2}, DROP),
    "senders refused": play(used_up, {"fault": "refuse", "action": "connect", "status": 500, "times": 5}),
    "requests refused": play(used_up, {"fault": "refuse", "action": "request", "status": 500, "times": 5}),
    "rendezvous refused": play(used_up, {"fault": "refuse", "action": "accept", "status": 403, "times": 5}),
    "late listeners": play(both, {"fault": "delay", "action": "listen", "seconds": 0.3}, DROP),
    "late senders": play(used_up, {"fault": "delay", "action": "connect", "seconds": 0.3, "times": 5}),
    "late requests": play(used_up, {"fault": "delay", "action": "request", "seconds": 0.3, "times": 5}),
    "late rendezvous": play(used_up, {"fault": "delay", "action": "accept", "seconds": 0.3, "times": 5}),
    "late accepts": play(used_up, {"fault": "delay", "action": "dispatch", "seconds": 0.3, "times": 5}),
    "accepts twice": play(used_up, {"fault": "duplicate_accept", "times": 10}),
    "cut in a message": play(reconnected, {"fault": "cut_mid_frame"}),
    "cut in replies": play(used_up, {"fault": "cut_mid_frame", "where": "rendezvous", "times": 5}),
    "token ended": play(reconnected, {"fault": "expire_tokens"}),
    "clock that jumps": play(
        reconnected, {"fault": "clock_skew", "seconds": 7200}, DROP, {"fault": "clock_skew", "seconds": 0}
    ),
}


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[tuple[RelayEmulator, Listener]]:
    """An emulator and the gateway's own listener on it, both quick to notice."""
    timeouts = Timeouts(rendezvous=1.0, request=2.0)
    async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}, timeouts=timeouts) as emulator:
        settings.AZURE_RELAY_NAMESPACE = emulator.namespace
        statuses, stopping = Statuses(), asyncio.Event()
        listener = replace(configured_listener(statuses), liveness=QUICK, reconnection=AT_ONCE, stop_grace=1.0)
        running = asyncio.create_task(listener.run(stopping))
        await statuses.until(lambda status: status.state == "online")
        yield emulator, listener
        stopping.set()
        await running


class CouldNotBeSent(Exception):
    """The sender has no reply."""


async def send_as_manage(address: HybridConnectionAddress, text: str) -> str:
    """One WebSocket, one text, one reply."""
    try:
        return await send(address, KEYS, text, patience=2.0)
    except HybridConnectionError:
        raise CouldNotBeSent from None


async def send_over_http(address: HybridConnectionAddress, text: str) -> str:
    """One POST."""

    def post() -> str:
        connection = HTTPConnection(address.namespace, timeout=5)
        try:
            headers = {"ServiceBusAuthorization": KEYS.token(address.audience).value}
            connection.request("POST", f"/{address.path}", text.encode(), headers)
            response = connection.getresponse()
            body = response.read().decode()
        except (OSError, HTTPException):
            raise CouldNotBeSent from None
        finally:
            connection.close()
        if response.status != 200:
            raise CouldNotBeSent
        return body

    return await asyncio.to_thread(post)


class Senders:
    """Send actions, and keep the replies."""

    def __init__(self, address: HybridConnectionAddress) -> None:
        self.address = address
        self.replies = 0
        self.enough = False
        self.warm, self.warm_again = asyncio.Event(), asyncio.Event()

    async def pump(self, number: int) -> None:
        """One action after another, each until it has its reply."""
        way = (send_as_manage, send_over_http)[number % 2]
        while not self.enough:
            action = payload()
            action["parameters"]["worklist_item"]["accession_number"] = action["action_id"][:16]
            reply = await self._send(way, json.dumps(action))
            assert json.loads(reply) == {"status": "created", "action_id": action["action_id"]}
            self.replies += 1
            if self.replies == BEFORE:
                self.warm.set()
            if self.replies >= BEFORE + AFTER:
                self.warm_again.set()

    async def _send(self, way: Callable[..., Any], text: str) -> str:
        while True:
            try:
                return str(await way(self.address, text))
            except CouldNotBeSent:
                await asyncio.sleep(0.01)  # not in the way of those who mend it


class TestFaults:
    @pytest.mark.parametrize("name", PLAYS)
    async def test_every_action_is_done_once_and_answered(self, settings: Settings, name: str) -> None:
        play = PLAYS[name]
        async with gateway(settings) as (emulator, listener):
            senders = Senders(listener.address)
            pumps = [asyncio.create_task(senders.pump(number)) for number in range(SENDERS)]
            async with asyncio.timeout(60):
                await senders.warm.wait()
                for fault in play.faults:
                    await emulator.inject(fault)
                await emulator.until(lambda: play.has_struck(emulator, listener))
                await senders.warm_again.wait()
                senders.enough = True
                await asyncio.gather(*pumps)
        assert await in_database_thread(done) == ({"created": senders.replies}, senders.replies)


def done() -> tuple[dict[str, int], int]:
    """How many actions had which outcome, and how many items there are."""
    outcomes = Counter(ReceivedAction.objects.values_list("outcome", flat=True))
    return dict(outcomes), WorklistItem.objects.count()
