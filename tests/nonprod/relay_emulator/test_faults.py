"""Faults on demand: each does what its name says, and what comes after it behaves well."""

import asyncio
import json
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidStatus

from nonprod.relay_emulator import BadFault, RelayEmulator, Timeouts
from nonprod.relay_emulator.faults import (
    FAULTS,
    Delay,
    DuplicateAccept,
    Refuse,
    StoredFaults,
    fault_as_dict,
    read_fault,
)
from tests.conftest import PATH
from tests.nonprod.relay_emulator.clients import (
    POLICIES,
    ask,
    call,
    close_of,
    join,
    listen,
    next_message,
    open_as,
    open_socket,
    refusal_at,
    refusal_of,
    token,
    url_of,
    vanish,
)

IMPATIENT = Timeouts(rendezvous=0.1, request=0.1)


async def is_silent(socket: ClientConnection) -> bool:
    """Whether a ping stays without a pong, and the connection stays up."""
    pong = await socket.ping()
    done, _ = await asyncio.wait({asyncio.ensure_future(pong)}, timeout=0.1)
    return not done and not socket.transport.is_closing()


async def works(emulator: RelayEmulator, path: str = PATH) -> bool:
    """Whether a new channel is called, and carries text."""
    sender, listener = await join(emulator)
    await sender.send("x")
    return await listener.recv() == "x"


class TestDrop:
    async def test_without_a_code_there_is_no_close_frame(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "drop"})
        assert await close_of(channel) == (1006, "")
        assert channel.close_exc.rcvd is None
        await emulator.until(lambda: not emulator.channels[PATH])
        assert await works(emulator)

    @pytest.mark.parametrize("code", [1001, 1008, 1011, 4000])
    async def test_with_a_code_there_is_one(self, emulator: RelayEmulator, code: int) -> None:
        channel = await listen(emulator)
        ending = asyncio.create_task(close_of(channel))
        await emulator.inject({"fault": "drop", "code": code, "reason": "why"})
        assert await ending == (code, "why")

    async def test_it_strikes_one_hybrid_connection_only(self) -> None:
        async with RelayEmulator(["one", "two"], POLICIES) as emulator:
            given = token("http://127.0.0.1/")
            one, two = [await listen(emulator, path, given=given) for path in ("one", "two")]
            await emulator.inject({"fault": "drop", "path": "one"})
            await close_of(one)
            await (await two.ping())

    async def test_a_rendezvous_can_be_dropped_too(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        sender, listener = await join(emulator, channel)
        await emulator.until(lambda: emulator.counts["joined"] == 1)
        await emulator.inject({"fault": "drop", "where": "rendezvous"})
        assert (await close_of(sender), await close_of(listener)) == ((1006, ""), (1006, ""))
        await (await channel.ping())


class TestHalfOpen:
    async def test_a_channel_answers_nothing_and_stays_up(self) -> None:
        async with RelayEmulator([PATH], POLICIES, timeouts=IMPATIENT) as emulator:
            channel = await listen(emulator)
            await emulator.inject({"fault": "half_open"})
            assert await is_silent(channel)
            assert (await refusal_of(emulator, "connect"))[0] == 504
            assert emulator.state()["channels"][PATH][0]["state"] == "half-open"
            assert emulator.counts["lost"] == 1

    async def test_it_answers_no_closing_handshake(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator, close_timeout=0.1)
        await emulator.inject({"fault": "half_open"})
        await channel.close(4000, "bye")
        assert channel.close_code == 1006

    async def test_it_outlives_its_token(self) -> None:
        async with RelayEmulator([PATH], POLICIES, timeouts=IMPATIENT) as emulator:
            channel = await listen(emulator)
            await emulator.inject({"fault": "half_open"})
            await emulator.inject({"fault": "expire_tokens"})
            assert await is_silent(channel)

    async def test_a_listener_that_gives_it_up_is_gone_and_a_new_channel_works(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "half_open"})
        await vanish(channel)
        await emulator.until(lambda: not emulator.channels[PATH])
        assert await works(emulator)

    async def test_both_ends_of_a_rendezvous_can_be_too(self) -> None:
        async with RelayEmulator([PATH], POLICIES, timeouts=Timeouts(closing=0.1)) as emulator:
            sender, listener = await join(emulator)
            await emulator.until(lambda: emulator.counts["joined"] == 1)
            await emulator.inject({"fault": "half_open", "where": "rendezvous"})
            await listener.send("lost")
            assert await is_silent(sender)
            assert await is_silent(listener)


class TestZombie:
    async def test_pings_are_answered_and_nothing_is_dispatched(self) -> None:
        async with RelayEmulator([PATH], POLICIES, timeouts=IMPATIENT) as emulator:
            channel = await listen(emulator)
            await emulator.inject({"fault": "zombie"})
            assert (await refusal_of(emulator, "connect"))[0] == 504
            assert (await ask(emulator)).status == 504
            await (await channel.ping())
            assert emulator.counts["lost"] == 2
            assert emulator.state()["channels"][PATH][0]["state"] == "zombie"

    async def test_it_takes_a_new_token_and_outlives_its_own(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "zombie"})
        await channel.send(json.dumps({"renewToken": {"token": token()}}))
        await emulator.until(lambda: emulator.counts["renewed"] == 1)
        await emulator.inject({"fault": "expire_tokens"})
        await (await channel.ping())

    async def test_one_that_is_not_routed_leaves_senders_with_404(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "zombie", "routed": False})
        assert (await refusal_of(emulator, "connect"))[0] == 404
        assert (await ask(emulator)).status == 502
        await (await channel.ping())

    async def test_senders_go_to_another_listener_if_it_is_not_routed(self, emulator: RelayEmulator) -> None:
        await listen(emulator)
        await emulator.inject({"fault": "zombie", "routed": False})
        assert await works(emulator)

    async def test_it_is_healed_when_faults_are_cleared(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "zombie"})
        emulator.clear_faults()
        await call(emulator, channel)


class TestRefuse:
    @pytest.mark.parametrize("action", ["listen", "connect"])
    @pytest.mark.parametrize("status", [307, 401, 404, 429, 500, 503])
    async def test_a_handshake_gets_any_status(self, emulator: RelayEmulator, action: str, status: int) -> None:
        await listen(emulator)
        await emulator.inject({"fault": "refuse", "action": action, "status": status, "description": "busy"})
        got, text = await refusal_of(emulator, action)
        assert (got, text.startswith("busy. TrackingId:")) == (status, True)
        await asyncio.wait_for(open_once(emulator, action), 5)

    async def test_a_rendezvous_can_be_refused_and_its_address_is_still_good(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator))
        await emulator.inject({"fault": "refuse", "action": "accept", "status": 500})
        assert (await refusal_at(called.address))[0] == 500
        await open_socket(called.address)
        await called.opening

    async def test_a_request_can_be_refused(self, emulator: RelayEmulator) -> None:
        await emulator.inject({"fault": "refuse", "action": "request", "status": 503})
        assert (await ask(emulator)).status == 503
        assert (await ask(emulator)).status == 502

    async def test_so_many_times_or_until_it_is_cleared(self, emulator: RelayEmulator) -> None:
        await emulator.inject({"fault": "refuse", "action": "listen", "status": 500, "times": 2})
        await emulator.inject({"fault": "refuse", "action": "listen", "status": 503, "times": None})
        assert [(await refusal_of(emulator, "listen"))[0] for _ in range(5)] == [500, 500, 503, 503, 503]
        emulator.clear_faults()
        await listen(emulator)

    async def test_another_path_is_not_struck(self) -> None:
        async with RelayEmulator(["one", "two"], POLICIES) as emulator:
            await emulator.inject({"fault": "refuse", "action": "listen", "status": 500, "path": "one"})
            given = token("http://127.0.0.1/")
            await listen(emulator, "two", given=given)
            assert (await refusal_of(emulator, "listen", "one", given=given))[0] == 500


async def open_once(emulator: RelayEmulator, action: str) -> None:
    """Listen, or connect and be called."""
    opening = asyncio.create_task(open_as(emulator, action))
    await emulator.until(lambda: emulator.counts["accepted"] + emulator.counts["listened"] == 2)
    opening.cancel()


class TestDelay:
    @pytest.mark.parametrize("action", ["connect", "dispatch"])
    async def test_an_accept_message_comes_later(self, emulator: RelayEmulator, action: str) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "delay", "action": action, "seconds": 0.1})
        began = asyncio.get_running_loop().time()
        await call(emulator, channel)
        assert asyncio.get_running_loop().time() - began >= 0.1

    async def test_others_are_not_held_up(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "delay", "action": "dispatch", "seconds": 3600})
        late = asyncio.create_task(open_as(emulator, "connect"))
        await emulator.until(lambda: emulator.state()["faults"] == [])
        await call(emulator, channel)
        assert not late.done()

    async def test_what_is_late_goes_on_when_faults_are_cleared(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "delay", "action": "connect", "seconds": 3600})
        late = asyncio.create_task(call(emulator, channel))
        await emulator.until(lambda: emulator.state()["faults"] == [])
        emulator.clear_faults()
        await late

    async def test_a_late_dispatch_counts_as_the_listeners_time(self) -> None:
        async with RelayEmulator([PATH], POLICIES, timeouts=IMPATIENT) as emulator:
            await listen(emulator)
            await emulator.inject({"fault": "delay", "action": "dispatch", "seconds": 3600, "times": None})
            assert (await refusal_of(emulator, "connect"))[0] == 504
            assert (await ask(emulator)).status == 504

    @pytest.mark.parametrize("action", ["listen", "accept"])
    async def test_a_handshake_takes_longer(self, emulator: RelayEmulator, action: str) -> None:
        called = await call(emulator, await listen(emulator))
        url = called.address if action == "accept" else url_of(emulator, "listen")
        await emulator.inject({"fault": "delay", "action": action, "seconds": 3600})
        with pytest.raises(TimeoutError):
            await open_socket(url, open_timeout=0.1)


class TestDuplicateAccept:
    async def test_the_same_message_comes_twice_and_the_second_is_403(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "duplicate_accept"})
        called = await call(emulator, channel)
        assert await next_message(channel, "accept") == called.accept
        await open_socket(called.address)
        await called.opening
        assert (await refusal_at(called.address))[0] == 403
        await call(emulator, channel)
        assert emulator.counts["accepted"] == 3


class TestDropOnPing:
    async def test_a_channel_breaks_when_it_is_pinged(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "drop_on_ping"})
        await channel.ping()
        assert (await close_of(channel))[0] == 1006
        await (await (await listen(emulator)).ping())


class TestExtraKeys:
    async def test_the_next_message_has_them(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        await emulator.inject({"fault": "extra_keys"})
        called = await call(emulator, channel)
        assert next(iter(called.accept)) == "remoteEndpoint"
        await open_socket(called.address)
        await called.opening
        assert "remoteEndpoint" not in (await call(emulator, channel)).accept


class TestCutMidFrame:
    async def test_a_channel_breaks_in_the_middle_of_a_message(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        ending = asyncio.create_task(close_of(channel))
        await emulator.inject({"fault": "cut_mid_frame"})
        assert (await ending)[0] == 1006
        assert await works(emulator)

    @pytest.mark.parametrize("reply", ["a reply", b"bytes", "", "x" * 2**20], ids=lambda reply: str(reply)[:9])
    async def test_the_next_reply_breaks_in_its_middle(self, emulator: RelayEmulator, reply: str | bytes) -> None:
        channel = await listen(emulator)
        sender, listener = await join(emulator, channel)
        await emulator.inject({"fault": "cut_mid_frame", "where": "rendezvous"})
        await sender.send("a question")
        assert await listener.recv() == "a question"
        await listener.send(reply)
        assert (await close_of(sender))[0] == 1006
        assert (await close_of(listener))[0] == 1011
        sender, listener = await join(emulator, channel)
        await listener.send(reply)
        assert await sender.recv() == reply

    async def test_a_reply_without_the_text_that_is_waited_for_is_left_whole(self, emulator: RelayEmulator) -> None:
        sender, listener = await join(emulator, await listen(emulator))
        await emulator.inject({"fault": "cut_mid_frame", "where": "rendezvous", "containing": "created"})
        await listener.send("echo")
        assert await sender.recv() == "echo"
        await listener.send(b"created")
        assert (await close_of(sender))[0] == 1006


class TestClockSkew:
    async def test_the_services_clock_is_wrong_for_tokens_and_in_each_date(self) -> None:
        async with RelayEmulator([PATH], POLICIES, clock=lambda: 1000) as emulator:
            await emulator.inject({"fault": "clock_skew", "seconds": 600})
            with pytest.raises(InvalidStatus) as refused:
                await open_as(emulator, "listen", given=token(expires_at=1500))
            response = refused.value.response
            assert b"ExpiredToken" in (response.body or b"")
            assert parsedate_to_datetime(response.headers["Date"]).timestamp() == 1600
            assert parsedate_to_datetime((await ask(emulator)).headers["date"]).timestamp() == 1600

    async def test_tokens_of_open_channels_end_by_it(self) -> None:
        async with RelayEmulator([PATH], POLICIES, clock=lambda: 1000) as emulator:
            channel = await listen(emulator, given=token(expires_at=1500))
            ending = asyncio.create_task(close_of(channel))
            await emulator.inject({"fault": "clock_skew", "seconds": 600})
            assert (await ending)[0] == 1008

    async def test_it_is_put_right_when_faults_are_cleared(self, emulator: RelayEmulator) -> None:
        await emulator.inject({"fault": "clock_skew", "seconds": 10_000_000_000})
        assert (await refusal_of(emulator, "listen"))[0] == 401
        emulator.clear_faults()
        await listen(emulator)


class TestExpireTokens:
    async def test_open_channels_are_closed_with_1008(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        ending = asyncio.create_task(close_of(channel))
        await emulator.inject({"fault": "expire_tokens"})
        assert (await ending)[0] == 1008
        assert await works(emulator)


class TestReadFault:
    @pytest.mark.parametrize("name", list(FAULTS))
    def test_every_name_is_known_and_shown_as_it_is_asked_for(self, name: str) -> None:
        needed: dict[str, Any] = {
            "refuse": {"action": "listen", "status": 500},
            "delay": {"action": "dispatch", "seconds": 1},
            "clock_skew": {"seconds": -600},
        }
        fault = read_fault({"fault": name, **needed.get(name, {})})
        assert read_fault(fault_as_dict(fault)) == fault

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (None, "one of: drop, half_open, zombie"),
            ([], "one of: drop"),
            ({}, "one of: drop"),
            ({"fault": "fly"}, "one of: drop"),
            ({"fault": []}, "one of: drop"),
            ({"fault": "drop", "speed": 1}, "drop has no 'speed'; it has: path, where, code, reason"),
            ({"fault": "drop", "code": "1011"}, "code cannot be '1011'"),
            ({"fault": "drop", "code": True}, "code cannot be True"),
            ({"fault": "drop", "code": 1006}, "code must be valid in a close frame"),
            ({"fault": "drop", "code": 1000, "reason": "x" * 124}, "123 bytes"),
            ({"fault": "drop", "where": "here"}, "where cannot be 'here'; it may be: control, rendezvous"),
            ({"fault": "zombie", "routed": 1}, "routed cannot be 1"),
            ({"fault": "cut_mid_frame", "containing": "x"}, "where must be rendezvous"),
            ({"fault": "refuse", "action": "listen"}, "refuse lacks one of: .*status"),
            ({"fault": "refuse", "action": "listen", "status": 200}, "status must be from 300 to 599"),
            (
                {"fault": "delay", "action": "dance", "seconds": 1},
                "it may be: listen, connect, accept, request, dispatch",
            ),
        ],
    )
    def test_an_invalid_fault_says_what_is_valid(self, value: Any, message: str) -> None:
        with pytest.raises(BadFault, match=message):
            read_fault(value)

    async def test_an_unknown_path_is_rejected(self, emulator: RelayEmulator) -> None:
        with pytest.raises(BadFault, match=f"path must be one of: {PATH}"):
            await emulator.inject({"fault": "drop", "path": "unknown"})


class TestArmoury:
    def test_the_first_that_fits_is_taken(self) -> None:
        stored = StoredFaults(changed=lambda: None)
        for fault in (Refuse(action="connect", status=500), Refuse(action="listen", status=503, path="one")):
            stored.store(fault)
        assert stored.take(Refuse, "two", "listen") is None
        assert stored.take(Delay, "one", "listen") is None
        assert stored.take(Refuse, "one", "listen") == Refuse(action="listen", status=503, path="one")
        assert stored.take(Refuse, "one", "listen") is None

    def test_what_is_left_is_shown(self) -> None:
        stored = StoredFaults(changed=lambda: None)
        stored.store(DuplicateAccept(times=3))
        stored.take(DuplicateAccept, PATH)
        assert stored.as_dicts() == [{"fault": "duplicate_accept", "path": "", "times": 2}]
