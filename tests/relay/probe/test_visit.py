"""Who comes to a probe's channel by chance is served as by the listener, and nothing of it is lost."""

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
from relay.probe.visit import visiting
from tests.conftest import KEYS, PATH
from tests.database import in_database_thread
from tests.factories import payload

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listener(emulator: RelayEmulator, settings: Settings) -> Listener:
    """The gateway's own, which does not run."""
    settings.AZURE_RELAY_NAMESPACE = emulator.namespace
    return configured_listener(lambda _status: None)


async def sent(address: HybridConnectionAddress, action: dict[str, Any]) -> dict[str, Any]:
    """The reply to an action of Manage's."""
    reply: dict[str, Any] = json.loads(await send(address, KEYS, json.dumps(action)))
    return reply


class TestVisiting:
    async def test_an_action_that_comes_in_is_executed_here_and_counted(
        self, listener: Listener, address: HybridConnectionAddress
    ) -> None:
        action = payload()
        async with visiting(listener) as visit:
            assert (await sent(address, action))["status"] == "created"
        assert visit.served == 1
        assert await in_database_thread(ReceivedAction.objects.count) == 1

    async def test_one_that_is_in_hand_gets_its_reply_though_the_probe_is_done(
        self, listener: Listener, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with visiting(listener):
            sending = asyncio.create_task(sent(address, payload()))
            await emulator.until(lambda: emulator.counts["accepted"] == 1)
        assert (await sending)["status"] == "created"

    async def test_an_http_request_is_answered_too(
        self, listener: Listener, address: HybridConnectionAddress, emulator: RelayEmulator
    ) -> None:
        token = KEYS.token(address.audience).value
        request = urllib.request.Request(
            f"http://{emulator.namespace}/{PATH}",
            data=json.dumps(payload()).encode(),
            headers={"ServiceBusAuthorization": token},
        )
        async with visiting(listener) as visit:
            reply = await asyncio.to_thread(lambda: urllib.request.urlopen(request).read())
        assert json.loads(reply)["status"] == "created"
        assert visit.served == 1

    async def test_the_channel_is_gone_afterwards(self, listener: Listener, emulator: RelayEmulator) -> None:
        async with visiting(listener):
            assert len(emulator.channels[PATH]) == 1
        await emulator.until(lambda: emulator.channels[PATH] == [])

    async def test_one_that_is_refused_is_told(self, listener: Listener, emulator: RelayEmulator) -> None:
        emulator.policies = {}
        with pytest.raises(HybridConnectionError, match="401"):
            async with visiting(listener):
                pass
