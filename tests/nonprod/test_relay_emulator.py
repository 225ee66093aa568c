"""The emulator behaves as the protocol document says of the service."""

import asyncio
import json
import urllib.request
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from nonprod.relay_emulator import LISTENERS_AT_MOST, Policy, Refused, RelayEmulator, check_token
from relay.hybrid_connection.tokens import sign
from tests.conftest import KEYS, PATH

FOREVER = 4_000_000_000


def token(audience: str = f"http://127.0.0.1/{PATH}", key: str = KEYS.key, expires_at: int = FOREVER) -> str:
    """A token of the test policy."""
    return sign(audience, KEYS.name, key, expires_at)


async def open_as(emulator: RelayEmulator, action: str, path: str = PATH, **options: str) -> ClientConnection:
    """Connect with the token in the query, as some clients do."""
    value = quote(options.get("token", token()), safe="")
    more = options.get("more", "")
    url = f"ws://{emulator.namespace}/$hc/{path}?{more}sb-hc-action={action}&sb-hc-token={value}"
    return await connect(url, compression=None, max_size=None, proxy=None)


async def status_of(emulator: RelayEmulator, action: str, path: str = PATH, **options: str) -> tuple[int, str]:
    """How a handshake is refused: status and text."""
    with pytest.raises(InvalidStatus) as refused:
        await open_as(emulator, action, path, **options)
    response = refused.value.response
    return response.status_code, (response.body or b"").decode()


async def join(emulator: RelayEmulator) -> tuple[ClientConnection, ClientConnection]:
    """A sender and the listener's end of its rendezvous."""
    channel = await open_as(emulator, "listen")
    opening = asyncio.create_task(open_as(emulator, "connect"))
    accept = json.loads(await channel.recv())["accept"]
    listener = await connect(accept["address"], compression=None, max_size=None, proxy=None)
    return await opening, listener


class TestWhoMayIn:
    @pytest.mark.parametrize(
        ("wrong", "status"),
        [("", 401), ("nonsense", 401), (token(key="wrong"), 401), (token(expires_at=1), 401)],
    )
    async def test_a_token_that_is_none_is_401(self, emulator: RelayEmulator, wrong: str, status: int) -> None:
        code, text = await status_of(emulator, "listen", token=wrong)
        assert code == status
        assert "TrackingId:" in text

    async def test_a_token_for_another_path_is_403(self, emulator: RelayEmulator) -> None:
        assert (await status_of(emulator, "listen", token=token("http://127.0.0.1/other")))[0] == 403

    async def test_an_unknown_hybrid_connection_is_404(self, emulator: RelayEmulator) -> None:
        assert (await status_of(emulator, "listen", "unknown"))[0] == 404

    async def test_a_sender_without_a_listener_is_404(self, emulator: RelayEmulator) -> None:
        assert (await status_of(emulator, "connect"))[0] == 404

    async def test_an_unknown_action_is_400(self, emulator: RelayEmulator) -> None:
        assert (await status_of(emulator, "dance"))[0] == 400

    async def test_a_listen_only_key_cannot_send(self) -> None:
        policies = {KEYS.name: Policy(KEYS.key, frozenset({"Listen"}))}
        async with RelayEmulator([PATH], policies) as emulator:
            await open_as(emulator, "listen")
            assert (await status_of(emulator, "connect"))[0] == 403

    async def test_the_twenty_sixth_listener_is_refused(self, emulator: RelayEmulator) -> None:
        channels = [await open_as(emulator, "listen") for _ in range(LISTENERS_AT_MOST)]
        assert len(channels) == 25
        assert (await status_of(emulator, "listen"))[0] == 403

    async def test_a_sender_may_have_a_suffix_and_parameters_of_its_own(self, emulator: RelayEmulator) -> None:
        channel = await open_as(emulator, "listen")
        opening = asyncio.create_task(open_as(emulator, "connect", f"{PATH}/suffix", more="own=1&"))
        assert "accept" in json.loads(await channel.recv())
        opening.cancel()


class TestCheckToken:
    @pytest.mark.parametrize(
        "audience",
        ["http://NS/Path/sub", "https://ns/path", "http://ns/path/", "http://ns/", "http://ns", "sb://ns/path"],
    )
    def test_all_spellings_of_the_audience_are_taken(self, audience: str) -> None:
        assert check_token(token(audience), {KEYS.name: Policy(KEYS.key)}, "ns:9350/path/sub", "Listen") == FOREVER

    def test_lower_case_hex_is_taken_as_it_was_signed(self) -> None:
        signed = sign("x", KEYS.name, KEYS.key, FOREVER).replace("sr=x", "sr=y")
        with pytest.raises(Refused, match="InvalidSignature"):
            check_token(signed, {KEYS.name: Policy(KEYS.key)}, "ns/x", "Listen")

    @pytest.mark.parametrize(
        "audience",
        [
            "http://ns/pa",
            "http://ns/path/sub/deeper",
            "http://ns/other",
            "http://other/path",
            "ftp://ns/",
            "path",
            "",
            "http://[x/",
        ],
    )
    def test_an_audience_must_be_a_prefix_segment_by_segment(self, audience: str) -> None:
        with pytest.raises(Refused, match="right to Listen"):
            check_token(token(audience), {KEYS.name: Policy(KEYS.key)}, "ns:9350/path/sub", "Listen")


class TestRendezvous:
    async def test_frames_go_both_ways_untouched(self, emulator: RelayEmulator) -> None:
        sender, listener = await join(emulator)
        for frame in ("text ł", b"\x00\xff", "x" * 2**20):
            await sender.send(frame)
            assert await listener.recv() == frame
            await listener.send(frame)
            assert await sender.recv() == frame

    async def test_a_close_is_passed_on_with_its_code(self, emulator: RelayEmulator) -> None:
        sender, listener = await join(emulator)
        await sender.close(4001, "bye")
        with pytest.raises(ConnectionClosed) as closed:
            await listener.recv()
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "bye")  # type: ignore[union-attr]

    async def test_an_address_is_good_for_one_connection(self, emulator: RelayEmulator) -> None:
        channel = await open_as(emulator, "listen")
        opening = asyncio.create_task(open_as(emulator, "connect"))
        address = json.loads(await channel.recv())["accept"]["address"]
        await connect(address, proxy=None)
        await opening
        with pytest.raises(InvalidStatus) as refused:
            await connect(address, proxy=None)
        assert refused.value.response.status_code == 403

    async def test_the_accept_has_the_senders_headers_without_its_token(self, emulator: RelayEmulator) -> None:
        channel = await open_as(emulator, "listen")
        headers = {"ServiceBusAuthorization": token(), "X-Own": "1"}
        url = f"ws://{emulator.namespace}/$hc/{PATH}?sb-hc-action=connect"
        opening = asyncio.ensure_future(connect(url, additional_headers=headers, proxy=None))
        text = await channel.recv()
        received = json.loads(text)["accept"]["connectHeaders"]
        assert received["X-Own"] == "1"
        assert "Sec-WebSocket-Key" in received
        assert "sig" not in str(text)
        opening.cancel()

    async def test_a_rejection_reaches_the_sender(self, emulator: RelayEmulator) -> None:
        channel = await open_as(emulator, "listen")
        refused = asyncio.create_task(status_of(emulator, "connect"))
        address = json.loads(await channel.recv())["accept"]["address"]
        with pytest.raises(InvalidStatus) as gone:
            await connect(f"{address}&sb-hc-statusCode=451&sb-hc-statusDescription=not%20today", proxy=None)
        assert gone.value.response.status_code == 410
        assert await refused == (451, "not today")

    async def test_a_listener_that_does_not_come_is_504(self) -> None:
        async with RelayEmulator([PATH], {KEYS.name: Policy(KEYS.key)}, rendezvous_seconds=0.05) as emulator:
            await open_as(emulator, "listen")
            assert (await status_of(emulator, "connect"))[0] == 504


class TestControlChannel:
    async def test_a_token_that_does_not_renew_closes_it_with_1008(self, emulator: RelayEmulator) -> None:
        channel = await open_as(emulator, "listen")
        await channel.send(json.dumps({"renewToken": {"token": token(key="wrong")}}))
        with pytest.raises(ConnectionClosed) as closed:
            await channel.recv()
        assert closed.value.rcvd.code == 1008  # type: ignore[union-attr]

    async def test_its_state_can_be_looked_at(self, emulator: RelayEmulator) -> None:
        await open_as(emulator, "listen")
        await emulator.until(lambda: len(emulator.channels[PATH]) == 1)
        url = f"http://{emulator.namespace}/$emulator"
        text = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())
        assert json.loads(text)["listeners"] == {PATH: 1}
