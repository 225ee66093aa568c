"""What the emulator must never write to a log."""

import json
import logging

import pytest

from nonprod.relay_emulator import RelayEmulator
from tests.conftest import KEYS, PATH
from tests.nonprod.relay_emulator.clients import ask, join, listen, query_token, refusal_of, token


async def test_no_token_key_address_or_frame_is_in_it_at_any_level(
    emulator: RelayEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("websockets.client").setLevel(logging.WARNING)  # the test's own end writes its frames
    try:
        channel = await listen(emulator)
        sender, listener = await join(emulator, channel)
        await sender.send("SMITH")
        await listener.recv()
        await refusal_of(emulator, "listen", given=token(key="wrong"), more="own=SMITH&")
        await channel.send(json.dumps({"renewToken": {"token": token()}}))
        await emulator.until(lambda: emulator.counts["renewed"] == 1)
        await emulator.inject({"fault": "zombie", "routed": False})
        await ask(emulator, f"/{PATH}?name=SMITH&{query_token()}", "POST", b"SMITH")
    finally:
        logging.getLogger("websockets.client").setLevel(logging.NOTSET)
    written = "".join(f"{vars(record)}\n" for record in caplog.records)
    assert "handshake refused" in written
    secrets = ("SMITH", KEYS.key, KEYS.name, "SharedAccess", "sig=", "sb-hc-id")
    assert [secret for secret in secrets if secret in written] == []


async def test_a_listener_that_sends_garbage_writes_no_line(
    emulator: RelayEmulator, caplog: pytest.LogCaptureFixture
) -> None:
    channel = await listen(emulator)
    caplog.clear()
    await channel.send("SMITH")
    await (await channel.ping())
    assert caplog.records == []
