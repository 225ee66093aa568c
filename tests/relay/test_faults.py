"""Whatever faults the relay has, every action is executed once and answered.

The listener uses the real dispatcher and the real database. Ten senders send one action after another, half of them
over WebSockets, as Manage does, and half over HTTP. A sender that gets no reply sends the action again, under the same
action_id. Each test waits until its fault has taken effect.
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

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]

QUICK = LivenessPolicy(ping=0.3, interval=0.2, deadline=0.5, retry=0.1)
SENDERS = 10
BEFORE = AFTER = 20


@dataclass(frozen=True)
class Scenario:
    """Faults that are injected one after the other, and the condition that holds once they have taken effect."""

    faults: tuple[dict[str, Any], ...]
    took_effect: Callable[[RelayEmulator, Listener], bool]


def reconnected(emulator: RelayEmulator, listener: Listener) -> bool:
    """Whether the listener has replaced its first channel."""
    return listener.status.reconnects > 0


def used_up(emulator: RelayEmulator, listener: Listener) -> bool:
    """Whether the emulator has used every fault it was given."""
    return not emulator.state()["faults"]


def recovered(emulator: RelayEmulator, listener: Listener) -> bool:
    """Whether the listener has reconnected and every fault is used up."""
    return reconnected(emulator, listener) and used_up(emulator, listener)


def kept(emulator: RelayEmulator, listener: Listener) -> bool:
    """Whether the listener has served ten requests over rendezvous that served others before.

    A rendezvous is kept only as long as some sender is connected, so it may take several.
    """
    return emulator.counts["kept"] >= 10


def immediately(emulator: RelayEmulator, listener: Listener) -> bool:
    """Return True: the fault breaks what is open at that moment, which may be nothing."""
    return True


def scenario(took_effect: Callable[[RelayEmulator, Listener], bool], *faults: dict[str, Any]) -> Scenario:
    return Scenario(faults, took_effect)


DROP = {"fault": "drop"}
SCENARIOS = {
    "drop without a close frame": scenario(reconnected, DROP),
    "drop with a close frame": scenario(reconnected, {"fault": "drop", "code": 1000}),
    "1011": scenario(reconnected, {"fault": "drop", "code": 1011}),
    "1001": scenario(reconnected, {"fault": "drop", "code": 1001}),
    "rendezvous dropped": scenario(immediately, {"fault": "drop", "where": "rendezvous"}),
    "half-open": scenario(reconnected, {"fault": "half_open"}),
    "half-open rendezvous": scenario(immediately, {"fault": "half_open", "where": "rendezvous"}),
    "zombie": scenario(reconnected, {"fault": "zombie"}),
    "zombie that is not chosen": scenario(reconnected, {"fault": "zombie", "routed": False}),
    "refused with 401": scenario(recovered, {"fault": "refuse", "action": "listen", "status": 401, "times": 2}, DROP),
    "refused with 503": scenario(recovered, {"fault": "refuse", "action": "listen", "status": 503, "times": 2}, DROP),
    "senders refused": scenario(used_up, {"fault": "refuse", "action": "connect", "status": 500, "times": 5}),
    "requests refused": scenario(used_up, {"fault": "refuse", "action": "request", "status": 500, "times": 5}),
    "rendezvous refused": scenario(used_up, {"fault": "refuse", "action": "accept", "status": 403, "times": 5}),
    "late listeners": scenario(recovered, {"fault": "delay", "action": "listen", "seconds": 0.3}, DROP),
    "late senders": scenario(used_up, {"fault": "delay", "action": "connect", "seconds": 0.3, "times": 5}),
    "late requests": scenario(used_up, {"fault": "delay", "action": "request", "seconds": 0.3, "times": 5}),
    "late rendezvous": scenario(used_up, {"fault": "delay", "action": "accept", "seconds": 0.3, "times": 5}),
    "late accepts": scenario(used_up, {"fault": "delay", "action": "dispatch", "seconds": 0.3, "times": 5}),
    "accepts twice": scenario(used_up, {"fault": "duplicate_accept", "times": 10}),
    "messages with extra keys": scenario(used_up, {"fault": "extra_keys", "times": 10}),
    "rendezvous kept": scenario(kept, {"fault": "keep_rendezvous", "times": 50}),
    "cut in a message": scenario(reconnected, {"fault": "cut_mid_frame"}),
    "cut in replies": scenario(used_up, {"fault": "cut_mid_frame", "where": "rendezvous", "times": 5}),
    "token ended": scenario(reconnected, {"fault": "expire_tokens"}),
    "clock that jumps": scenario(
        reconnected, {"fault": "clock_skew", "seconds": 7200}, DROP, {"fault": "clock_skew", "seconds": 0}
    ),
}


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[tuple[RelayEmulator, Listener]]:
    """Run an emulator with the gateway's own listener, both with short timeouts."""
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


class NoReply(Exception):
    """The sender got no reply."""


async def send_as_manage(address: HybridConnectionAddress, text: str) -> str:
    """Send one action over a WebSocket, and return the reply."""
    try:
        return await send(address, KEYS, text, patience=2.0)
    except HybridConnectionError:
        raise NoReply from None


async def send_over_http(address: HybridConnectionAddress, text: str) -> str:
    """POST one action, and return the reply."""

    def post() -> str:
        connection = HTTPConnection(address.namespace, timeout=5)
        try:
            headers = {"ServiceBusAuthorization": KEYS.token(address.audience).value}
            connection.request("POST", f"/{address.path}", text.encode(), headers)
            response = connection.getresponse()
            body = response.read().decode()
        except (OSError, HTTPException):
            raise NoReply from None
        finally:
            connection.close()
        if response.status != 200:
            raise NoReply
        return body

    return await asyncio.to_thread(post)


class Senders:
    """Send actions, and count the replies."""

    def __init__(self, address: HybridConnectionAddress) -> None:
        self.address = address
        self.replies = 0
        self.stopped = False
        self.enough_before, self.enough_after = asyncio.Event(), asyncio.Event()

    async def send_until_stopped(self, number: int) -> None:
        """Send one action after another, each until it gets its reply."""
        send_once = (send_as_manage, send_over_http)[number % 2]
        while not self.stopped:
            action = payload()
            action["parameters"]["worklist_item"]["accession_number"] = action["action_id"][:16]
            reply = await self._send(send_once, json.dumps(action))
            assert json.loads(reply) == {"status": "created", "action_id": action["action_id"]}
            self.replies += 1
            if self.replies == BEFORE:
                self.enough_before.set()
            if self.replies >= BEFORE + AFTER:
                self.enough_after.set()

    async def _send(self, send_once: Callable[..., Any], text: str) -> str:
        while True:
            try:
                return str(await send_once(self.address, text))
            except NoReply:
                await asyncio.sleep(0.01)  # leave the processor to the listener and the emulator


class TestFaults:
    @pytest.mark.parametrize("name", SCENARIOS)
    async def test_every_action_is_executed_once_and_answered(self, settings: Settings, name: str) -> None:
        scenario = SCENARIOS[name]
        async with gateway(settings) as (emulator, listener):
            senders = Senders(listener.address)
            async with asyncio.timeout(60), asyncio.TaskGroup() as sending:
                for number in range(SENDERS):
                    sending.create_task(senders.send_until_stopped(number))
                await senders.enough_before.wait()
                for fault in scenario.faults:
                    await emulator.inject(fault)
                await emulator.until(lambda: scenario.took_effect(emulator, listener))
                await senders.enough_after.wait()
                senders.stopped = True
        assert await in_database_thread(outcomes_and_items) == ({"created": senders.replies}, senders.replies)


def outcomes_and_items() -> tuple[dict[str, int], int]:
    """Count the actions of each outcome, and the items."""
    outcomes = Counter(ReceivedAction.objects.values_list("outcome", flat=True))
    return dict(outcomes), WorklistItem.objects.count()
