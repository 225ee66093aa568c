"""The listeners' control channels."""

import json
import math
import time

import pytest

from nonprod.relay_emulator import RelayEmulator
from tests.conftest import PATH
from tests.nonprod.relay_emulator.clients import POLICIES, call, close_of, listen, open_socket, token


def renewal(value: str) -> str:
    """The message that brings a new token."""
    return json.dumps({"renewToken": {"token": value}})


class TestRenewal:
    async def test_a_new_token_moves_the_end(self, emulator: RelayEmulator) -> None:
        soon, later = math.ceil(time.time()) + 100, math.ceil(time.time()) + 5000
        channel = await listen(emulator, given=token(expires_at=soon))
        assert emulator.channels[PATH][0].expires_at == soon
        await channel.send(renewal(token(expires_at=later)))
        await emulator.until(lambda: emulator.counts["renewed"] == 1)
        assert emulator.channels[PATH][0].expires_at == later

    @pytest.mark.parametrize(
        "bad", ["", "nonsense", token(key="wrong"), token(expires_at=1), token("http://127.0.0.1/other")]
    )
    async def test_an_invalid_token_closes_it_with_1008(self, emulator: RelayEmulator, bad: str) -> None:
        channel = await listen(emulator)
        await channel.send(renewal(bad))
        code, reason = await close_of(channel)
        assert (code, ". TrackingId:" in reason) == (1008, True)
        await emulator.until(lambda: not emulator.channels[PATH])

    async def test_a_rendezvous_that_is_open_is_not_affected(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        called = await call(emulator, channel)
        listener, sender = await open_socket(called.address), await called.opening
        await channel.send(renewal("nonsense"))
        await close_of(channel)
        await sender.send("still here")
        assert await listener.recv() == "still here"


class TestExpiry:
    async def test_a_token_that_ends_closes_it_with_1008(self) -> None:
        async with RelayEmulator([PATH], POLICIES, clock=lambda: 999.99) as emulator:
            channel = await listen(emulator, given=token(expires_at=1000))
            code, reason = await close_of(channel)
            assert code == 1008
            assert reason.startswith("The token has expired. TrackingId:")

    async def test_one_that_was_renewed_in_time_lives_on(self) -> None:
        async with RelayEmulator([PATH], POLICIES, clock=lambda: 999.7) as emulator:
            channel = await listen(emulator, given=token(expires_at=1000))
            await channel.send(renewal(token(expires_at=1010)))
            await emulator.until(lambda: emulator.counts["renewed"] == 1)
            await emulator.inject({"fault": "clock_skew", "seconds": 5})
            await call(emulator, channel)


class TestOddMessages:
    @pytest.mark.parametrize(
        "frame",
        [
            "garbage",
            "[]",
            "1",
            '{"renewToken": 7}',
            '{"response": 7}',
            '{"response": {"requestId": {}, "statusCode": [], "responseHeaders": 1, "body": 1}}',
            '{"accept": {}}',
            b"\xff\x00",
            "[" * 100_000,
        ],
        ids=lambda frame: str(frame)[:20],
    )
    async def test_anything_odd_is_ignored(self, emulator: RelayEmulator, frame: str | bytes) -> None:
        channel = await listen(emulator)
        await channel.send(frame)
        await (await channel.ping())
        await call(emulator, channel)

    async def test_a_text_that_is_not_utf8_ends_this_channel_only(self, emulator: RelayEmulator) -> None:
        bad, good = await listen(emulator), await listen(emulator)
        await bad.send(b"\xff", text=True)
        assert (await close_of(bad))[0] == 1007
        await emulator.until(lambda: len(emulator.channels[PATH]) == 1)
        await call(emulator, good)
