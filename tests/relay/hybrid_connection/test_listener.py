"""The listener on a relay emulator: how it reconnects, renews its token, replaces its channel and stops."""

import asyncio
import logging
import re
import time
from dataclasses import replace

import pytest

from nonprod.relay_emulator import RelayEmulator, SharedAccessPolicy
from relay.hybrid_connection.address import HybridConnectionAddress
from relay.hybrid_connection.failures import HybridConnectionError
from relay.hybrid_connection.listener import Listener
from relay.hybrid_connection.liveness import LivenessPolicy
from relay.hybrid_connection.reconnection import ReconnectionPolicy
from relay.hybrid_connection.sender import send
from relay.hybrid_connection.status import ListenerStatus
from relay.hybrid_connection.tokens import SharedAccessKey, Token, TokenError
from tests import virtual_time
from tests.conftest import KEYS, PATH
from tests.relay.hybrid_connection.listening import AT_ONCE, Gate, Statuses, join, listening, offline_reason, upper

#: The names of a listener's tasks.
TASK_NAMES = {
    *(
        "listener",
        "aborting",
        "finishing",
        "control-channel",
        "token-renewal",
        "liveness",
        "replacement-requested",
        "closing",
    ),
    *("rendezvous", "request", "request-rendezvous", "echo"),
}


class TestReconnecting:
    async def test_it_reconnects_when_the_service_closes_the_channel(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address) as (_, statuses):
            await emulator.inject({"fault": "drop", "code": 1011, "reason": "the service's trouble"})
            reason = await statuses.went_offline()
            assert "1011, the service had an internal error [the service's trouble]" in reason
            await statuses.came_back()
            assert await send(address, KEYS, "a") == "A"

    async def test_it_reconnects_when_the_channel_breaks_without_a_closing_handshake(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address) as (_, statuses):
            await emulator.inject({"fault": "drop"})
            assert "1006, the connection broke without a closing handshake" in await statuses.went_offline()
            await statuses.came_back()
            assert await send(address, KEYS, "a") == "A"

    async def test_it_reconnects_when_the_channel_breaks_in_the_middle_of_a_message(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address) as (_, statuses):
            await emulator.inject({"fault": "cut_mid_frame"})
            await statuses.came_back()
            assert await send(address, KEYS, "a") == "A"

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 503])
    async def test_it_tries_again_whatever_status_it_is_refused_with(
        self, emulator: RelayEmulator, address: HybridConnectionAddress, status: int
    ) -> None:
        async with listening(address) as (_, statuses):
            await emulator.inject({"fault": "refuse", "action": "listen", "status": status, "times": 3})
            await emulator.inject({"fault": "drop"})
            await statuses.came_back()
            assert emulator.counts["refused"] == 3
            refused = {status.why for status in statuses.seen if "TrackingId:" in status.why}
            assert {f": {status}, " in why for why in refused} == {True}
            assert await send(address, KEYS, "a") == "A"

    async def test_a_rendezvous_continues_while_the_channel_is_lost(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        gate = Gate()
        async with listening(address, gate.answer) as (_, statuses):
            sending = asyncio.create_task(send(address, KEYS, "a"))
            await gate.asked.wait()
            await emulator.inject({"fault": "drop"})
            await statuses.came_back()
            gate.open.set()
            assert await sending == "done"

    def test_a_channel_that_ends_soon_after_opening_is_not_reopened_in_a_storm(self) -> None:
        # For example, the service ends the channel whenever it receives a ping (azure-relay-dotnet #103).
        async def play() -> int:
            async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}) as emulator:
                address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
                patient = ReconnectionPolicy(jitter=lambda _shortest, longest: longest)
                async with listening(address, reconnection=patient) as (listener, statuses):
                    began = virtual_time.now()
                    while virtual_time.now() < began + 600:
                        await statuses.came_back(listener.status.reconnects)
                        await emulator.inject({"fault": "drop"})
                        await statuses.came_back(listener.status.reconnects + 1, patience=100)
                    return listener.status.reconnects

        assert virtual_time.run(play()) < 30


async def back_after_1001(*refusals: int) -> float:
    """Return the seconds from close code 1001 until the listener is back, if these handshakes are refused meanwhile."""
    async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}) as emulator:
        address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
        longest = ReconnectionPolicy(jitter=lambda _shortest, longest: longest)
        async with listening(address, reconnection=longest) as (_, statuses):
            for status in refusals:
                await emulator.inject({"fault": "refuse", "action": "listen", "status": status})
            gone_at = virtual_time.now()
            await emulator.inject({"fault": "drop", "code": 1001})
            await statuses.came_back(patience=1000)
            seconds = virtual_time.now() - gone_at
            assert await send(address, KEYS, "a") == "A"
    return seconds


class TestGoingAway:
    """Close code 1001: a node of the service that restarts says it, and so does a deleted hybrid connection."""

    def test_it_is_back_within_two_seconds_when_the_node_is(self) -> None:
        assert virtual_time.run(back_after_1001()) < 2

    def test_it_is_back_within_35_seconds_when_the_node_refuses_meanwhile(self) -> None:
        assert virtual_time.run(back_after_1001(*[503] * 4)) < 35

    @pytest.mark.parametrize("status", [403, 404])
    def test_it_retries_slowly_once_the_handshake_says_that_there_is_none(self, status: int) -> None:
        assert 60 <= virtual_time.run(back_after_1001(status)) < 65


class TestReasons:
    async def test_a_wrong_key_is_reported_without_the_key_and_retried(self, address: HybridConnectionAddress) -> None:
        reason = await offline_reason(address, times=3, tokens=SharedAccessKey(KEYS.name, "hunter2"))
        assert "401, token refused" in reason
        assert "TrackingId:" in reason
        assert "hunter2" not in reason

    async def test_a_policy_without_the_listen_right_is_reported(self) -> None:
        async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset({"Send"}))}) as emulator:
            address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
            assert "403, the token is valid, but not for" in await offline_reason(address)

    async def test_an_unknown_hybrid_connection_is_reported(self, emulator: RelayEmulator) -> None:
        unknown = HybridConnectionAddress(emulator.namespace, "unknown", plain=True)
        assert "404, no such hybrid connection" in await offline_reason(unknown)

    async def test_a_wrong_clock_is_reported(self, emulator: RelayEmulator, address: HybridConnectionAddress) -> None:
        await emulator.inject({"fault": "clock_skew", "seconds": 7400})
        reason = await offline_reason(address)
        assert "401, token refused" in reason
        assert "this machine's clock is 2 h 3 min behind the service's: set it" in reason

    async def test_a_port_where_nothing_listens_is_reported(self) -> None:
        nobody = HybridConnectionAddress("127.0.0.1:1", PATH, plain=True)
        assert "connection refused: nothing listens there" in await offline_reason(nobody)

    async def test_a_credential_without_a_token_is_reported(self, address: HybridConnectionAddress) -> None:
        class Broken:
            def token(self, audience: str) -> Token:
                raise TokenError("Entra ID returned no token")

        assert await offline_reason(address, tokens=Broken()) == "getting a token: Entra ID returned no token"

    async def test_it_survives_an_on_status_that_raises(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        statuses, raised = Statuses(), asyncio.Event()

        def on_status(status: ListenerStatus) -> None:
            statuses(status)
            if status.state == "online" and not raised.is_set():
                raised.set()
                raise KeyError("SMITH")

        policy = ReconnectionPolicy(first=0.01, cap=0.01)
        async with listening(address, on_status=on_status, statuses=statuses, reconnection=policy):
            await raised.wait()
            assert await send(address, KEYS, "a") == "A"

    async def test_it_survives_an_unexpected_exception(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        class Faulty:
            tries = 0

            def token(self, audience: str) -> Token:
                self.tries += 1
                if self.tries == 1:
                    raise KeyError("SMITH")
                return KEYS.token(audience)

        async with listening(address, tokens=Faulty()) as (_, statuses):
            assert await statuses.went_offline() == "an internal error of the listener (KeyError)"


async def renewal_of(keys: type[SharedAccessKey], service_ahead: float = 0) -> tuple[float, Statuses]:
    """Return the virtual seconds until the first renewal of tokens that live an hour, and all statuses."""
    clock = asyncio.get_running_loop().time
    async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}, clock=clock) as emulator:
        await emulator.inject({"fault": "clock_skew", "seconds": service_ahead})
        address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
        tokens, never_too_old = keys(KEYS.name, KEYS.key, clock=clock), LivenessPolicy(max_age=1e9)
        began = clock()
        async with listening(address, clock=clock, tokens=tokens, liveness=never_too_old) as (_, statuses):
            await statuses.until(lambda status: status.renewals > 0, patience=4000)
            renewed_after = clock() - began
    return renewed_after, statuses


class OftenRenewed:
    """Gets tokens that live for an hour, and says that they end in two seconds.

    Renewals are then frequent, and a machine too busy to renew in time still has a valid token. That a token is renewed
    in time is tested in virtual time.
    """

    def token(self, audience: str) -> Token:
        return replace(KEYS.token(audience), expires_at=time.time() + 2)


class TestRenewal:
    async def test_the_token_is_renewed_on_the_open_channel(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address, tokens=OftenRenewed()) as (_, statuses):
            channel = emulator.channels[PATH][0]
            await emulator.until(lambda: emulator.counts["renewed"] > 0)
            await statuses.until(lambda status: status.renewals > 0)
            assert emulator.channels[PATH] == [channel]
            assert statuses.states == ["connecting", "online"]

    async def test_it_reconnects_at_once_with_a_new_token_when_a_renewal_is_refused(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        class WrongOnce:
            given = 0

            def token(self, audience: str) -> Token:
                self.given += 1
                key = KEYS.key if self.given != 2 else "wrong"
                return SharedAccessKey(KEYS.name, key, lifetime=2).token(audience)

        default = ReconnectionPolicy()
        async with listening(address, tokens=WrongOnce(), reconnection=default) as (_, statuses):
            assert "1008, the token was refused or has expired" in await statuses.went_offline()
            await statuses.came_back()
            assert await send(address, KEYS, "a") == "A"

    async def test_it_reconnects_at_once_when_the_token_has_expired(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address) as (_, statuses):
            await emulator.inject({"fault": "expire_tokens"})
            assert "1008" in await statuses.went_offline()
            await statuses.came_back()

    def test_the_channel_survives_a_credential_that_gives_no_token_for_a_while(self) -> None:
        class WithoutTokenForAWhile(SharedAccessKey):
            given = 0

            def token(self, audience: str) -> Token:
                WithoutTokenForAWhile.given += 1
                if WithoutTokenForAWhile.given in (2, 3):
                    raise TokenError("Entra ID returned no token")
                return super().token(audience)

        renewed_after, statuses = virtual_time.run(renewal_of(WithoutTokenForAWhile))
        assert 2700 < renewed_after < 3600
        assert statuses.states == ["connecting", "online", "offline"]

    def test_the_channel_survives_a_credential_that_raises_for_a_while(self) -> None:
        class BrokenForAWhile(SharedAccessKey):
            given = 0

            def token(self, audience: str) -> Token:
                BrokenForAWhile.given += 1
                if BrokenForAWhile.given == 2:
                    raise ConnectionError("secret")
                return super().token(audience)

        renewed_after, statuses = virtual_time.run(renewal_of(BrokenForAWhile))
        assert 2700 < renewed_after < 3600
        assert statuses.states == ["connecting", "online", "offline"]

    def test_a_clock_that_is_behind_does_not_delay_the_renewal_beyond_the_expiry(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        renewed_after, statuses = virtual_time.run(renewal_of(SharedAccessKey, service_ahead=3000))
        assert 0.74 * 600 <= renewed_after <= 0.86 * 600
        assert statuses.states == ["connecting", "online", "offline"]
        reasons = [record.reason for record in caplog.records if record.msg == "the clock is wrong"]  # type: ignore[attr-defined]
        assert re.search(r"this machine's clock is (50 min 0|49 min 59) s behind the service's: set it", reasons[0])

    def test_a_clock_that_falls_behind_is_reported_when_the_token_expires_too_soon(self) -> None:
        async def play() -> str:
            async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}) as emulator:
                address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
                await emulator.inject({"fault": "clock_skew", "seconds": 3000})
                async with listening(address) as (_, statuses):
                    await emulator.inject({"fault": "expire_tokens"})
                    return await statuses.went_offline()

        assert "1008, the token was refused or has expired" in (reason := asyncio.run(play()))
        assert "behind the service's: set it" in reason

    def test_the_token_is_renewed_after_75_to_85_percent_of_its_life(self) -> None:
        renewed_after, _ = virtual_time.run(renewal_of(SharedAccessKey))
        assert 2690 <= renewed_after <= 3070

    @pytest.mark.alone
    async def test_no_action_is_lost_during_five_renewals_at_twenty_actions_a_second(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        replies: list[asyncio.Task[str]] = []
        async with listening(address, tokens=OftenRenewed()) as (listener, statuses):
            while listener.status.renewals < 5:
                replies.append(asyncio.create_task(send(address, KEYS, f"n{len(replies)}")))
                await asyncio.sleep(0.05)  # the pace is what is tested
            assert await asyncio.gather(*replies) == [f"N{number}" for number in range(len(replies))]
            assert statuses.states == ["connecting", "online"]
        assert len(replies) >= 50


class TestReplacing:
    async def test_the_new_channel_is_open_before_the_old_one_is_closed(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        numbers: list[int] = []

        def record() -> bool:
            numbers.append(len(emulator.channels[PATH]))
            return False

        async with listening(address) as (listener, statuses):
            watching = asyncio.create_task(emulator.until(record))
            listener.replace_channel()
            await statuses.came_back()
            await emulator.until(lambda: len(emulator.channels[PATH]) == 1)
            watching.cancel()
            assert statuses.states == ["connecting", "online"]
        assert (2 in numbers, 0 in numbers) == (True, False)

    async def test_no_action_is_lost_during_ten_replacements(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async def keep_sending() -> int:
            sent = 0
            while listener.status.reconnects < 10:
                assert await send(address, KEYS, f"n{sent}") == f"N{sent}"
                sent += 1
            return sent

        async with listening(address) as (listener, statuses):
            senders = [asyncio.create_task(keep_sending()) for _ in range(5)]
            for number in range(1, 11):
                listener.replace_channel()
                await statuses.came_back(number)
            assert sum(await asyncio.gather(*senders)) >= 10

    async def test_the_old_channel_serves_until_a_new_one_can_be_opened(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address) as (listener, statuses):
            await emulator.inject({"fault": "refuse", "action": "listen", "status": 503, "times": 3})
            listener.replace_channel()
            await emulator.until(lambda: emulator.counts["refused"] > 0)
            assert await send(address, KEYS, "a") == "A"
            await statuses.came_back()
            assert statuses.states == ["connecting", "online"]

    async def test_it_is_offline_when_the_old_channel_ends_before_a_new_one_is_open(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        hours = ReconnectionPolicy(first=3600, cap=3600, slow=3600, jitter=lambda _shortest, longest: longest)
        async with listening(address, reconnection=hours) as (listener, statuses):
            await emulator.inject({"fault": "refuse", "action": "listen", "status": 503})
            listener.replace_channel()
            await emulator.until(lambda: emulator.counts["refused"] > 0)
            assert statuses.states == ["connecting", "online"]
            await emulator.inject({"fault": "drop", "code": 1011})
            assert "1011" in await statuses.went_offline()

    async def test_an_open_rendezvous_finishes(self, emulator: RelayEmulator, address: HybridConnectionAddress) -> None:
        gate = Gate()
        async with listening(address, gate.answer) as (listener, statuses):
            sending = asyncio.create_task(send(address, KEYS, "a"))
            await gate.asked.wait()
            listener.replace_channel()
            await statuses.came_back()
            await emulator.until(lambda: len(emulator.channels[PATH]) == 1)
            gate.open.set()
            assert await sending == "done"


class TestUnrecognisedMessages:
    async def test_each_kind_is_ignored_and_logged_once_by_its_key(
        self, emulator: RelayEmulator, address: HybridConnectionAddress, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with listening(address):
            for text in ('{"future": {"name": "SMITH"}}', '{"future": 2}', "garbage", "[]"):
                await emulator.channels[PATH][0].websocket.send(text)
            assert await send(address, KEYS, "a") == "A"
        keys = [record.key for record in caplog.records if record.msg == "control channel message not understood"]  # type: ignore[attr-defined]
        assert keys == ["future", "no JSON", "no object"]
        assert "SMITH" not in caplog.text


class TestStatus:
    async def test_it_has_the_time_of_the_last_accept(self, address: HybridConnectionAddress) -> None:
        async with listening(address, clock=lambda: 1000.0) as (listener, _):
            assert (listener.status.online_since, listener.status.last_accept_at) == (1000.0, None)
            await send(address, KEYS, "a")
            assert listener.status.last_accept_at == 1000.0

    async def test_the_last_status_is_offline(self, address: HybridConnectionAddress) -> None:
        async with listening(address) as (listener, _):
            pass
        assert (listener.status.state, listener.status.why) == ("offline", "stopped")


class TestStopping:
    async def test_senders_accepted_before_the_service_learns_of_the_stop_are_served(
        self, emulator: RelayEmulator, address: HybridConnectionAddress
    ) -> None:
        async with listening(address):
            sending = [asyncio.create_task(send(address, KEYS, f"n{number}")) for number in range(30)]
            await emulator.until(lambda: emulator.counts["accepted"] == 30)
        assert await asyncio.gather(*sending) == [f"N{number}" for number in range(30)]

    async def test_a_sender_being_served_receives_its_reply(self, address: HybridConnectionAddress) -> None:
        gate = Gate()
        async with listening(address, gate.answer):
            sending = asyncio.create_task(send(address, KEYS, "a"))
            await gate.asked.wait()
            asyncio.get_running_loop().call_soon(gate.open.set)
        assert await sending == "done"

    async def test_a_sender_that_takes_longer_than_the_grace_is_cut_off(self, address: HybridConnectionAddress) -> None:
        gate = Gate()
        async with listening(address, gate.answer, stop_grace=0.05):
            sending = asyncio.create_task(send(address, KEYS, "a"))
            await gate.asked.wait()
        with pytest.raises(HybridConnectionError, match="disconnected without a reply"):
            await sending

    def test_neither_an_idle_sender_nor_a_dead_channel_delays_it(self) -> None:
        async def play() -> float:
            async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}) as emulator:
                address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
                async with listening(address):
                    silent = await join(address)
                    await emulator.inject({"fault": "half_open"})
                    began = virtual_time.now()
                silent.transport.abort()
                return virtual_time.now() - began

        assert virtual_time.run(play()) < 12

    def test_its_own_echo_does_not_delay_it(self) -> None:
        async def play() -> float:
            async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key)}) as emulator:
                address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
                async with listening(address, Gate().answer, echo_text=str):
                    await emulator.until(lambda: emulator.counts["joined"] == 1)
                    began = virtual_time.now()
                return virtual_time.now() - began

        assert virtual_time.run(play()) < 3

    async def test_no_task_is_left_running(self, emulator: RelayEmulator, address: HybridConnectionAddress) -> None:
        async with listening(address, stop_grace=0) as (listener, statuses):
            listener.replace_channel()
            await statuses.came_back()
            silent = await join(address)
            names = {task.get_name() for task in asyncio.all_tasks()}
            assert {"listener", "control-channel", "token-renewal", "liveness", "rendezvous"} <= names
        assert {task.get_name() for task in asyncio.all_tasks()} & TASK_NAMES == set()
        await silent.close()

    async def test_aborting_cuts_the_grace_short(self, address: HybridConnectionAddress) -> None:
        gate, stopping, aborting, statuses = Gate(), asyncio.Event(), asyncio.Event(), Statuses()
        listener = Listener(address, KEYS, gate.answer, on_status=statuses, stop_grace=3600)
        running = asyncio.create_task(listener.run(stopping, aborting))
        await statuses.until(lambda status: status.state == "online")
        sending = asyncio.create_task(send(address, KEYS, "a"))
        await gate.asked.wait()
        stopping.set()
        aborting.set()
        await asyncio.wait_for(running, 5)
        await asyncio.gather(sending, return_exceptions=True)

    async def test_it_stops_at_once_while_it_waits_to_reconnect(self) -> None:
        nobody = HybridConnectionAddress("127.0.0.1:1", PATH, plain=True)
        hours = ReconnectionPolicy(first=3600, cap=3600, jitter=lambda _shortest, longest: longest)
        await asyncio.wait_for(offline_reason(nobody, reconnection=hours), 5)

    async def test_it_stops_at_once_while_it_connects(self, emulator: RelayEmulator) -> None:
        address = HybridConnectionAddress(emulator.namespace, PATH, plain=True)
        await emulator.inject({"fault": "delay", "action": "listen", "seconds": 3600})
        statuses, stopping = Statuses(), asyncio.Event()
        running = asyncio.create_task(
            Listener(address, KEYS, upper, reconnection=AT_ONCE, on_status=statuses).run(stopping)
        )
        await statuses.until(lambda status: status.state == "connecting")
        stopping.set()
        await asyncio.wait_for(running, 5)


class TestLogs:
    async def test_no_token_no_frame_and_no_address_is_in_any_line(
        self, address: HybridConnectionAddress, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG)
        logging.getLogger("websockets.server").setLevel(logging.INFO)  # the emulator's, in this process
        async with listening(address):
            await send(address, KEYS, "SMITH")
        logging.getLogger("websockets.server").setLevel(logging.NOTSET)
        for secret in ("SMITH", "SharedAccessSignature", "sb-hc-id", KEYS.key):
            assert secret not in caplog.text
