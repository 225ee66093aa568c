"""A sender that arrives on a probe's channel is served as by the listener, and no action is lost."""

import asyncio
import json
import urllib.request
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from nonprod.relay_emulator import RelayEmulator
from relay.configuration import configured_listener
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.sender import send
from relay.models import ReceivedAction
from relay.probe.temporary_channel import temporary_channel
from tests.conftest import KEYS, PATH
from tests.database import in_database_thread
from tests.factories import payload

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.once]


@pytest.fixture
def listener(emulator: RelayEmulator, settings: Settings) -> Listener:
    """Return the gateway's own listener, not running."""
    settings.AZURE_RELAY_NAMESPACE = emulator.namespace
    return configured_listener(lambda _status: None)


async def send_action(address: HybridConnectionAddress, action: dict[str, Any]) -> dict[str, Any]:
    reply: dict[str, Any] = json.loads(await send(address, KEYS, json.dumps(action)))
    return reply


class TestTemporaryChannel:
    async def test_an_action_that_arrives_is_executed_and_counted(
        self, listener: Listener, address: HybridConnectionAddress
    ) -> None:
        action = payload()
        async with temporary_channel(listener) as served:
            assert (await send_action(address, action))["status"] == "created"
        assert len(served) == 1
        assert await in_database_thread(ReceivedAction.objects.count) == 1

    async def test_an_action_under_way_gets_its_reply_after_the_block_has_ended(
        self, listener: Listener, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with temporary_channel(listener):
            sending = asyncio.create_task(send_action(address, payload()))
            await emulator.until(lambda: emulator.counts["accepted"] == 1)
        assert (await sending)["status"] == "created"

    async def test_an_http_request_is_answered_as_well(
        self, listener: Listener, address: HybridConnectionAddress, emulator: RelayEmulator
    ) -> None:
        token = KEYS.token(address.audience).value
        request = urllib.request.Request(
            f"http://{emulator.namespace}/{PATH}",
            data=json.dumps(payload()).encode(),
            headers={"ServiceBusAuthorization": token},
        )
        async with temporary_channel(listener) as served:
            reply = await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())
        assert json.loads(reply)["status"] == "created"
        assert len(served) == 1

    async def test_the_channel_is_closed_afterwards(self, listener: Listener, emulator: RelayEmulator) -> None:
        async with temporary_channel(listener):
            assert len(emulator.channels[PATH]) == 1
        await emulator.until(lambda: emulator.channels[PATH] == [])

    async def test_a_refused_channel_raises(self, listener: Listener, emulator: RelayEmulator) -> None:
        emulator.policies = {}
        with pytest.raises(HybridConnectionError, match="401"):
            async with temporary_channel(listener):
                pass
