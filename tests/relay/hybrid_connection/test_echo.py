"""Detecting a channel that looks connected but is dead, with the default policy and in virtual time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.liveness import LivenessPolicy
from relay.hybrid_connection.reconnection import ReconnectionPolicy
from relay.hybrid_connection.rendezvous_limit import RendezvousLimit
from relay.hybrid_connection.sender import send
from tests import virtual_time
from tests.conftest import KEYS, PATH
from tests.relay.hybrid_connection.listening import Statuses, join, listening


def echo_text(nonce: str) -> str:
    """Return the text of an echo."""
    return f"echo {nonce}"


@asynccontextmanager
async def emulated(*rights: str) -> AsyncIterator[tuple[RelayEmulator, HybridConnectionAddress]]:
    """Run an emulator in the running loop; the key has all rights unless some are named."""
    async with RelayEmulator(
        [PATH], {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset(rights or {"Manage"}))}
    ) as emulator:
        yield emulator, HybridConnectionAddress(emulator.namespace, PATH, plain=True)


@asynccontextmanager
async def proving(
    *rights: str, **options: Any
) -> AsyncIterator[tuple[RelayEmulator, HybridConnectionAddress, Statuses]]:
    """Run a listener that sends echoes to itself, on an emulator of its own."""
    async with emulated(*rights) as (emulator, address):  # noqa: SIM117 - the second needs the first
        async with listening(address, echo_text=echo_text, **options) as (_, statuses):
            yield emulator, address, statuses


async def recovery_from(fault: dict[str, Any]) -> tuple[float, Statuses]:
    """Return the seconds from a fault of a proven channel until another is open, and all statuses."""
    async with proving() as (emulator, address, statuses):
        await statuses.until(lambda status: status.echo == "here")
        broken_at = virtual_time.now()
        await emulator.inject(fault)
        await statuses.came_back(patience=1000)
        recovered = virtual_time.now() - broken_at
        assert await send(address, KEYS, "a") == "A"
        await statuses.until(lambda status: status.echo == "here" and status.reconnects == 1)
        assert statuses.seen[-1].state == "online"
    return recovered, statuses


class TestDeadChannels:
    def test_a_half_open_channel_is_detected_within_90_seconds(self) -> None:
        recovered, statuses = virtual_time.run(recovery_from({"fault": "half_open"}))
        assert recovered <= 90
        assert any("half open: a ping was not answered in time" in status.why for status in statuses.seen)

    @pytest.mark.parametrize("routed", [True, False])
    def test_a_zombie_is_detected_within_150_seconds_and_replaced_without_a_gap(self, routed: bool) -> None:
        recovered, statuses = virtual_time.run(recovery_from({"fault": "zombie", "routed": routed}))
        assert recovered <= 150
        assert statuses.states == ["connecting", "online", "suspect", "online", "offline"]
        assert any("2 echoes through the relay did not come back" in status.why for status in statuses.seen)

    def test_a_channel_whose_echoes_another_listener_answers_is_detected_too(self) -> None:
        async def play() -> float:
            async with proving() as (emulator, address, statuses):
                await statuses.until(lambda status: status.echo == "here")
                await emulator.inject({"fault": "zombie", "routed": False})
                broken_at = virtual_time.now()
                async with listening(address):
                    await statuses.came_back(patience=1000)
                    assert any("were answered by another listener" in status.why for status in statuses.seen)
                    return virtual_time.now() - broken_at

        assert virtual_time.run(play()) <= 150

    def test_another_listener_causes_no_false_alarm(self) -> None:
        async def play() -> list[str]:
            async with proving(liveness=LivenessPolicy(listeners=25)) as (_, address, statuses), listening(address):
                await statuses.until(lambda status: status.echoes >= 20, patience=1000)
                assert {"here", "elsewhere"} <= {status.echo for status in statuses.seen}
                return statuses.states

        assert virtual_time.run(play()) == ["connecting", "online"]


class TestDroppedAtPings:
    def test_after_the_second_drop_no_more_pings_are_sent_and_the_log_says_so_once(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def play() -> tuple[int, list[str]]:
            async with proving() as (emulator, address, statuses):
                await emulator.inject({"fault": "drop_on_ping", "times": None})
                await statuses.came_back(2, patience=1000)
                await statuses.until(lambda status: status.echoes >= 20, patience=2000)
                assert await send(address, KEYS, "a") == "A"
                return statuses.seen[-1].reconnects, statuses.states

        reconnects, states = virtual_time.run(play())
        assert reconnects == 2
        assert states == ["connecting", "online", "offline", "online", "offline", "online"]
        lines = [record for record in caplog.records if record.msg == "no more pings are sent"]
        assert len(lines) == 1

    def test_a_dead_channel_is_then_detected_by_its_echo(self) -> None:
        async def play() -> float:
            async with proving() as (emulator, _, statuses):
                await emulator.inject({"fault": "drop_on_ping", "times": None})
                await statuses.came_back(2, patience=1000)
                await statuses.until(lambda status: status.reconnects == 2 and status.echo == "here", patience=100)
                broken_at = virtual_time.now()
                await emulator.inject({"fault": "half_open"})
                await statuses.came_back(3, patience=1000)
                return virtual_time.now() - broken_at

        assert virtual_time.run(play()) <= 150

    def test_without_the_right_to_send_the_channel_is_then_replaced_at_its_maximum_age(self) -> None:
        async def play() -> tuple[float, list[str]]:
            async with proving("Listen") as (emulator, _, statuses):
                await emulator.inject({"fault": "drop_on_ping", "times": None})
                await statuses.came_back(2, patience=1000)
                began, seen = virtual_time.now(), len(statuses.seen)
                await statuses.came_back(4, patience=1000)
                return virtual_time.now() - began, [status.state for status in statuses.seen[seen:]]

        two_ages, states = virtual_time.run(play())
        assert 599 <= two_ages < 610
        assert set(states) == {"online"}


class TestRefusedEchoes:
    def test_channels_are_not_replaced_in_a_storm_when_no_echo_gets_through(self) -> None:
        async def play() -> int:
            patient = ReconnectionPolicy(jitter=lambda _shortest, longest: longest)
            async with proving(reconnection=patient) as (emulator, _, statuses):
                await emulator.inject({"fault": "refuse", "action": "connect", "status": 500, "times": None})
                began = virtual_time.now()
                while virtual_time.now() < began + 600:
                    await statuses.came_back(statuses.seen[-1].reconnects + 1, patience=1000)
                return statuses.seen[-1].reconnects

        assert virtual_time.run(play()) < 30


class TestWithoutTheRightToSend:
    def test_a_channel_is_replaced_at_its_maximum_age_without_a_gap(self) -> None:
        async def play() -> tuple[float, list[str]]:
            async with proving("Listen") as (_, _, statuses):
                began = virtual_time.now()
                await statuses.until(lambda status: status.echo == "forbidden")
                await statuses.came_back(patience=1000)
                return virtual_time.now() - began, statuses.states

        age, states = virtual_time.run(play())
        assert 299 <= age < 305
        assert states == ["connecting", "online"]


class TestEchoes:
    def test_the_first_is_sent_soon_and_then_one_every_minute(self) -> None:
        async def play() -> list[int]:
            async with proving(clock=asyncio.get_running_loop().time) as (_, _, statuses):
                online = (await statuses.until(lambda status: status.state == "online")).online_since or 0
                await statuses.until(lambda status: status.echoes == 3, patience=1000)
                times = {status.last_echo_at for status in statuses.seen if status.last_echo_at}
                return sorted(round(time - online) for time in times)

        assert virtual_time.run(play()) == [5, 65, 125]

    def test_a_single_late_echo_raises_no_alarm(self) -> None:
        async def play() -> list[str]:
            async with proving() as (emulator, _, statuses):
                await emulator.inject({"fault": "delay", "action": "connect", "seconds": 25})
                await statuses.until(lambda status: status.echo == "missed", patience=100)
                await statuses.until(lambda status: status.echo == "here", patience=100)
                return statuses.states

        assert virtual_time.run(play()) == ["connecting", "online"]

    async def test_it_bypasses_the_limit_and_does_not_count_as_an_accept(self) -> None:
        one_slot, at_once = RendezvousLimit(limit=1), LivenessPolicy(retry=0.01)
        options = {"liveness": at_once, "rendezvous_limit": one_slot, "stop_grace": 0}
        async with proving(**options) as (_, address, statuses):
            accepted = statuses.seen[-1].last_accept_at
            silent = await join(address)
            await statuses.until(lambda status: status.echo == "here")
            assert statuses.seen[-1].last_echo_ms is not None
            assert accepted is None
            await silent.close()

    async def test_each_of_two_listeners_recognises_its_own(self) -> None:
        at_once = LivenessPolicy(retry=0.01, interval=0.01, listeners=25)
        async with proving(liveness=at_once) as (_, address, first):  # noqa: SIM117 - the second needs the first
            async with listening(address, echo_text=echo_text, liveness=at_once) as (_, second):
                for statuses in (first, second):
                    await statuses.until(lambda status: status.echo == "elsewhere")
                    await statuses.until(lambda status: status.echo == "here")
