"""How senders and listeners come together."""

import asyncio

import pytest
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from nonprod.relay_emulator import RelayEmulator, Timeouts
from tests.conftest import PATH
from tests.nonprod.relay_emulator.clients import (
    POLICIES,
    call,
    close_of,
    described,
    join,
    listen,
    next_message,
    open_as,
    open_socket,
    query_token,
    refusal_at,
    refusal_of,
    url_of,
    vanish,
)


class TestRelaying:
    @pytest.mark.parametrize("frame", ["text ł", b"\x00\xff", "", b"", "x" * 2**21], ids=lambda frame: str(frame)[:9])
    async def test_messages_go_both_ways_untouched(self, emulator: RelayEmulator, frame: str | bytes) -> None:
        sender, listener = await join(emulator)
        await sender.send(frame)
        assert await listener.recv() == frame
        await listener.send(frame)
        assert await sender.recv() == frame

    @pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4001, 4999])
    @pytest.mark.parametrize("who", [0, 1])
    async def test_a_close_is_passed_on_with_code_and_reason(
        self, emulator: RelayEmulator, who: int, code: int
    ) -> None:
        ends = await join(emulator)
        await ends[who].close(code, "bye")
        assert await close_of(ends[1 - who]) == (code, "bye")

    @pytest.mark.parametrize("who", [0, 1])
    async def test_a_close_without_a_code_is_1000(self, emulator: RelayEmulator, who: int) -> None:
        ends = await join(emulator)
        async with ends[who].send_context():
            ends[who].protocol.send_close()
        assert await close_of(ends[1 - who]) == (1000, "")

    @pytest.mark.parametrize("who", [0, 1])
    async def test_an_end_that_breaks_is_1011_to_the_other(self, emulator: RelayEmulator, who: int) -> None:
        ends = await join(emulator)
        await vanish(ends[who])
        assert (await close_of(ends[1 - who]))[0] == 1011

    async def test_what_was_sent_before_a_close_arrives(self, emulator: RelayEmulator) -> None:
        sender, listener = await join(emulator)
        for number in range(50):
            await sender.send(str(number))
        await sender.close()
        assert [await listener.recv() for _ in range(50)] == [str(number) for number in range(50)]

    async def test_pings_are_answered_here_and_not_passed_on(self, emulator: RelayEmulator) -> None:
        sender, listener = await join(emulator)
        listener.transport.pause_reading()
        async with asyncio.timeout(5):
            await (await sender.ping())
        listener.transport.resume_reading()

    async def test_a_sender_is_held_up_by_a_listener_that_does_not_read(self, emulator: RelayEmulator) -> None:
        sender, listener = await join(emulator)
        listener.transport.pause_reading()
        sending = asyncio.create_task(flood(sender))
        done, _ = await asyncio.wait({sending}, timeout=0.2)
        assert not done
        listener.transport.resume_reading()
        received = 0
        while received < FLOOD:
            received += len(await listener.recv())
        await sending

    async def test_many_at_once_do_not_get_mixed_up(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        pairs = [await join(emulator, channel) for _ in range(10)]
        for number, (sender, _) in enumerate(pairs):
            await sender.send(str(number))
        assert [await listener.recv() for _, listener in pairs] == [str(number) for number in range(10)]


FLOOD = 64 * 2**20


async def flood(sender: object) -> None:
    """More than any buffer on the way takes."""
    for _ in range(64):
        await sender.send(bytes(2**20))  # type: ignore[attr-defined]


class TestAccept:
    async def test_it_has_the_senders_headers_without_its_token(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        called = await call(
            emulator, channel, headers={"X-Own": "1", "Authorization": "secret"}, user_agent_header="Me"
        )
        headers = called.accept["connectHeaders"]
        assert (headers["X-Own"], headers["User-Agent"], headers["Host"]) == ("1", "Me", emulator.namespace)
        assert headers["Sec-WebSocket-Key"]
        assert {"authorization", "servicebusauthorization"} & {name.lower() for name in headers} == set()

    async def test_its_address_has_the_senders_path_and_query_and_no_token(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        called = await call(emulator, channel, f"{PATH}/suf%20fix", more=f"own=%2f1&{query_token()}&")
        assert called.address.startswith(
            f"ws://{emulator.namespace}/$hc/{PATH}/suf%20fix?own=%2f1&sb-hc-action=accept&"
        )
        assert "token" not in called.address

    async def test_its_id_is_the_senders_own_if_it_gave_one(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        first = await call(emulator, channel, more="sb-hc-id=mine&")
        second = await call(emulator, channel, more="sb-hc-id=mine&")
        assert (first.accept["id"], second.accept["id"]) == ("mine", "mine")
        assert first.address != second.address

    async def test_the_senders_handshake_stays_open_until_the_listener_has_come(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator))
        assert emulator.state()["senders_waiting"] == 1
        assert not called.opening.done()
        await open_socket(called.address)
        await called.opening
        assert emulator.state()["senders_waiting"] == 0


class TestSubprotocols:
    async def test_the_listeners_choice_is_both_ends(self, emulator: RelayEmulator) -> None:
        offered = [Subprotocol("a"), Subprotocol("b")]
        called = await call(emulator, await listen(emulator), subprotocols=offered)
        assert called.accept["connectHeaders"]["Sec-WebSocket-Protocol"] == "a, b"
        listener = await open_socket(called.address, subprotocols=["b"])
        assert (listener.subprotocol, (await called.opening).subprotocol) == ("b", "b")

    async def test_a_listener_that_names_none_chooses_none(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator), subprotocols=[Subprotocol("a")])
        await open_socket(called.address)
        assert (await called.opening).subprotocol is None

    async def test_one_that_the_sender_did_not_offer_is_none(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator), subprotocols=[Subprotocol("a")])
        listener = await open_socket(called.address, subprotocols=["b"])
        assert (listener.subprotocol, (await called.opening).subprotocol) == (None, None)

    async def test_an_offer_that_cannot_be_read_is_400(self, emulator: RelayEmulator) -> None:
        await listen(emulator)
        assert (await refusal_of(emulator, "connect", headers={"Sec-WebSocket-Protocol": "a b"}))[0] == 400


class TestReject:
    async def test_status_and_description_reach_the_sender(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator))
        rejecting = f"{called.address}&sb-hc-statusCode=451&sb-hc-statusDescription=not%20today"
        assert (await refusal_at(rejecting))[0] == 410
        with pytest.raises(InvalidStatus) as refused:
            await called.opening
        assert described(refused.value) == (451, "not today")
        assert refused.value.response.reason_phrase == "not today"
        assert emulator.counts["rejected"] == 1

    async def test_a_description_cannot_add_lines(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator))
        await refusal_at(f"{called.address}&sb-hc-statusCode=400&sb-hc-statusDescription=a%0D%0AX-Evil:%201%C5%82")
        with pytest.raises(InvalidStatus) as refused:
            await called.opening
        assert refused.value.response.reason_phrase == "a??X-Evil: 1?"
        assert "X-Evil" not in refused.value.response.headers

    async def test_one_without_a_description_has_the_statuss_own(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator))
        await refusal_at(f"{called.address}&sb-hc-statusCode=404")
        with pytest.raises(InvalidStatus) as refused:
            await called.opening
        assert refused.value.response.reason_phrase == "Not Found"

    @pytest.mark.parametrize("status", ["", "x", "101", "600", "-1"])
    async def test_a_status_that_is_none_is_400_and_the_sender_waits_on(
        self, emulator: RelayEmulator, status: str
    ) -> None:
        called = await call(emulator, await listen(emulator))
        assert (await refusal_at(f"{called.address}&sb-hc-statusCode={status}"))[0] == 400
        await open_socket(called.address)
        await called.opening


class TestAddress:
    async def test_it_is_valid_for_one_connection(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator))
        await open_socket(called.address)
        await called.opening
        assert (await refusal_at(called.address))[0] == 403

    async def test_it_is_valid_for_one_rejection(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator))
        rejecting = f"{called.address}&sb-hc-statusCode=400&sb-hc-statusDescription=no"
        assert (await refusal_at(rejecting))[0] == 410
        assert (await refusal_at(rejecting))[0] == 403
        await asyncio.gather(called.opening, return_exceptions=True)

    async def test_an_unknown_one_is_403(self, emulator: RelayEmulator) -> None:
        for query in ("", "&sb-hc-id=unknown"):
            assert (await refusal_at(f"{url_of(emulator, 'accept')}{query}"))[0] == 403

    async def test_it_expires_when_the_sender_gets_504(self) -> None:
        async with RelayEmulator([PATH], POLICIES, timeouts=Timeouts(rendezvous=0.05)) as emulator:
            channel = await listen(emulator)
            status, text = await refusal_of(emulator, "connect")
            assert (status, "TrackingId:" in text) == (504, True)
            assert (await refusal_at((await next_message(channel, "accept"))["address"]))[0] == 403

    def test_times_are_the_services(self) -> None:
        assert (Timeouts().rendezvous, Timeouts().request) == (30, 60)

    async def test_a_sender_that_goes_while_it_waits_leaves_nothing(self, emulator: RelayEmulator) -> None:
        called = await call(emulator, await listen(emulator))
        called.opening.cancel()
        await emulator.until(lambda: emulator.state()["senders_waiting"] == 0)
        assert (await refusal_at(called.address))[0] == 403

    async def test_a_control_channel_that_is_closed_by_its_listener_is_called_no_more(
        self, emulator: RelayEmulator
    ) -> None:
        channel = await listen(emulator)
        await channel.close()
        assert (await refusal_of(emulator, "connect"))[0] == 404

    async def test_a_rendezvous_outlives_its_control_channel(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        called = await call(emulator, channel)
        listener = await open_socket(called.address)
        sender = await called.opening
        await vanish(channel)
        await emulator.until(lambda: not emulator.channels[PATH])
        await sender.send("still here")
        assert await listener.recv() == "still here"

    async def test_senders_that_wait_when_the_service_goes_down_get_503(self) -> None:
        async with RelayEmulator([PATH], POLICIES) as emulator:
            channel = await listen(emulator)
            opening = asyncio.create_task(open_as(emulator, "connect"))
            await next_message(channel, "accept")
        with pytest.raises(InvalidStatus) as refused:
            await opening
        assert described(refused.value)[0] == 503
        assert (await close_of(channel))[0] == 1001
