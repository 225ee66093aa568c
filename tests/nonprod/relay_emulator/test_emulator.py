"""Who may do what."""

import asyncio
import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from nonprod.relay_emulator import HybridConnection, RelayEmulator, SharedAccessPolicy
from tests.conftest import KEYS, PATH
from tests.nonprod.relay_emulator.clients import (
    POLICIES,
    call,
    listen,
    next_message,
    open_as,
    open_socket,
    query_token,
    refusal_at,
    refusal_of,
    token,
    url_of,
)

TRACKING = re.compile(r"\. TrackingId:[0-9a-f-]{36}_G1, SystemTracker:127\.0\.0\.1:\d+, Timestamp:\d{4}-\d\d-\d\dT")


class TestTokens:
    async def test_one_may_be_in_the_query(self, emulator: RelayEmulator) -> None:
        await open_socket(f"{url_of(emulator, 'listen')}&{query_token()}")

    async def test_the_query_comes_before_the_header(self, emulator: RelayEmulator) -> None:
        await open_as(emulator, "listen", given="nonsense", more=f"{query_token()}&")

    async def test_one_for_the_whole_namespace_opens_all_of_it(self, emulator: RelayEmulator) -> None:
        await open_as(emulator, "listen", given=token(f"sb://{emulator.namespace}/"))

    async def test_one_that_names_localhost_is_as_good(self, emulator: RelayEmulator) -> None:
        await open_as(emulator, "listen", given=token(f"http://localhost:{emulator.port}/{PATH}"))

    @pytest.mark.parametrize("action", ["listen", "connect"])
    @pytest.mark.parametrize(
        ("given", "status"),
        [("", 401), ("nonsense", 401), (token(key="wrong"), 401), (token("http://127.0.0.1/other"), 403)],
    )
    async def test_an_invalid_token_is_refused(
        self, emulator: RelayEmulator, action: str, given: str, status: int
    ) -> None:
        assert (await refusal_of(emulator, action, given=given))[0] == status

    async def test_a_sender_may_sign_the_whole_address_that_it_asks_for(self, emulator: RelayEmulator) -> None:
        channel = await listen(emulator)
        called = await call(emulator, channel, f"{PATH}/suffix", given=token(f"http://127.0.0.1/{PATH}/suffix"))
        await open_socket(called.address)
        await called.opening

    async def test_a_bearer_token_opens_only_if_it_was_configured(self, emulator: RelayEmulator) -> None:
        assert (await refusal_of(emulator, "listen", given="Bearer a-jwt"))[0] == 401
        async with RelayEmulator([PATH], {}, bearer_tokens=["a-jwt"]) as configured:
            await open_as(configured, "listen", given="Bearer a-jwt")
            assert (await refusal_of(configured, "listen", given="Bearer another"))[0] == 401


class TestRights:
    async def test_a_listen_only_key_cannot_send(self) -> None:
        policies = {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset({"Listen"}))}
        async with RelayEmulator([PATH], policies) as emulator:
            await listen(emulator)
            assert (await refusal_of(emulator, "connect"))[0] == 403

    async def test_a_send_only_key_cannot_listen(self) -> None:
        async with RelayEmulator([PATH], {KEYS.name: SharedAccessPolicy(KEYS.key, frozenset({"Send"}))}) as emulator:
            assert (await refusal_of(emulator, "listen"))[0] == 403

    async def test_a_hybrid_connections_own_policy_opens_no_other(self) -> None:
        own = HybridConnection("own", {"own": SharedAccessPolicy("own-key", frozenset({"Listen"}))})
        async with RelayEmulator([PATH, own], POLICIES) as emulator:
            good = token("http://127.0.0.1", key="own-key", name="own")
            await open_as(emulator, "listen", "own", given=good)
            assert (await refusal_of(emulator, "listen", PATH, given=good))[0] == 401
            assert (await refusal_of(emulator, "connect", "own", given=good))[0] == 403

    async def test_senders_need_no_token_where_it_is_not_required(self) -> None:
        async with RelayEmulator([HybridConnection(PATH, client_authorization=False)], POLICIES) as emulator:
            assert (await refusal_of(emulator, "listen", given=""))[0] == 401
            called = await call(emulator, await listen(emulator), given="")
            await open_socket(called.address)
            await called.opening


class TestRefusals:
    async def test_each_has_a_tracking_id_in_its_reason_and_its_body(self, emulator: RelayEmulator) -> None:
        for action, given, status in (("listen", "", 401), ("dance", None, 400), ("connect", None, 404)):
            with pytest.raises(InvalidStatus) as refused:
                await open_as(emulator, action, given=given)
            response = refused.value.response
            assert response.status_code == status
            assert TRACKING.search(response.reason_phrase)
            assert (response.body or b"").decode() == response.reason_phrase

    async def test_an_unknown_hybrid_connection_is_404(self, emulator: RelayEmulator) -> None:
        assert (await refusal_of(emulator, "listen", "unknown"))[0] == 404

    async def test_an_address_without_hc_is_404(self, emulator: RelayEmulator) -> None:
        assert (await refusal_at(f"ws://{emulator.namespace}/{PATH}?sb-hc-action=listen"))[0] == 404

    @pytest.mark.parametrize("query", ["", "?sb-hc-action=dance", "?sb-hc-action="])
    async def test_an_unknown_action_is_400(self, emulator: RelayEmulator, query: str) -> None:
        assert (await refusal_at(f"ws://{emulator.namespace}/$hc/{PATH}{query}"))[0] == 400

    async def test_the_token_is_looked_at_before_a_listener_is(self, emulator: RelayEmulator) -> None:
        assert (await refusal_of(emulator, "connect", given=""))[0] == 401
        status, text = await refusal_of(emulator, "connect")
        assert (status, "no listeners connected" in text) == (404, True)


class TestListeners:
    async def test_the_twenty_sixth_is_refused_until_one_goes(self, emulator: RelayEmulator) -> None:
        channels = [await listen(emulator) for _ in range(25)]
        status, text = await refusal_of(emulator, "listen")
        assert (status, "25 listeners already" in text) == (403, True)
        await channels[0].close()
        await listen(emulator)

    async def test_no_more_than_25_of_30_that_come_at_once_are_accepted(self, emulator: RelayEmulator) -> None:
        came = await asyncio.gather(*(open_as(emulator, "listen") for _ in range(30)), return_exceptions=True)
        assert sum(not isinstance(one, InvalidStatus) for one in came) == 25

    async def test_each_sender_goes_to_one_of_them_at_random(self, emulator: RelayEmulator) -> None:
        channels = [await listen(emulator) for _ in range(3)]
        seen = [asyncio.create_task(next_message(channel, "accept")) for channel in channels]
        senders: list[asyncio.Task[Any]] = []
        while not all(task.done() for task in seen):  # each is called some time; the odds against it are none
            senders.append(asyncio.create_task(open_as(emulator, "connect")))
            await emulator.until(lambda: emulator.counts["accepted"] == len(senders))
        for sender in senders:
            sender.cancel()

    async def test_several_hybrid_connections_know_nothing_of_each_other(self) -> None:
        async with RelayEmulator(["one", "two"], POLICIES) as emulator:
            both = token("http://127.0.0.1/")
            await listen(emulator, "one", given=both)
            assert (await refusal_of(emulator, "connect", "two", given=both))[0] == 404


class TestDates:
    async def test_each_answer_has_the_services_time(self) -> None:
        async with RelayEmulator([PATH], POLICIES, clock=lambda: 1_700_000_000) as emulator:
            channel = await listen(emulator)
            assert dated(channel.response) == 1_700_000_000
            with pytest.raises(InvalidStatus) as refused:
                await connect(f"ws://{emulator.namespace}/nowhere", proxy=None)
            assert dated(refused.value.response) == 1_700_000_000


def dated(response: Any) -> float:
    """When a response says that it was given, Unix seconds."""
    return parsedate_to_datetime(response.headers["Date"]).timestamp()
